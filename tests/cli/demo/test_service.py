"""The daemon as the world sees it, on a small daemon of the test's own."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from newleaf.cli.demo import service as service_module
from newleaf.cli.demo.sandbox import Sandbox, wait_until
from newleaf.cli.demo.service import Sample, Service, Witness, kept_running
from newleaf.core.errors import DemoStuck
from newleaf.system import process_table

DAEMON = """
import json, os, socketserver, sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path

notes = []

class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(version=Path("version").read_text(), pid=os.getpid(), notes=notes)
    def do_POST(self):
        notes.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.answer(added=True)
    def answer(self, **record):
        body = json.dumps(record).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

with socketserver.TCPServer(("127.0.0.1", 0), Answers) as server:
    server.timeout = 0.02
    Path("data/new").write_text(json.dumps({"port": server.server_address[1]}))
    Path("data/new").rename("data/address.json")
    while not Path("leave").exists():
        server.handle_request()
    Path("leave").unlink()
sys.exit(42)
"""


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path, os.environ["PATH"])


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    for name in ("data", "notes", ".venv/bin"):
        (folder / name).mkdir(parents=True)
    (folder / ".venv/bin/python").symlink_to(sys.executable)
    (folder / "notes/__main__.py").write_text(DAEMON)
    (folder / "version").write_text("1.0.0")
    return folder


def test_nobody_answers_before_there_is_a_daemon(tmp_path: Path) -> None:
    service = Service(tmp_path, tmp_path / "events")
    assert service.ask() is None
    assert service.events("started") == []
    assert service.running() == []


def test_daemon_takes_notes_and_answers_as_its_version(sandbox: Sandbox, checkout: Path) -> None:
    with kept_running(sandbox, checkout) as service:
        service.add("buy milk")
        answer = service.await_version("1.0.0")
        assert answer["notes"] == ["buy milk"]
        assert service.running() == [answer["pid"]]


def test_daemon_that_leaves_comes_again_and_the_witness_has_seen_both(
    sandbox: Sandbox, checkout: Path
) -> None:
    status = sandbox.folder / "status.json"
    status.write_text(json.dumps({"running": {"version": "1.0.0"}}))
    with kept_running(sandbox, checkout) as service:
        with Witness(service, status).watching() as seen:
            wait_until(lambda: any(sample.answer for sample in seen), "a first look")
            old = service.running()
            (checkout / "leave").write_text("")
            wait_until(lambda: service.running() not in ([], old), "the next daemon")
            service.await_version("1.0.0")
        assert [event["status"] for event in service.events("ended")] == [42]
        assert len({sample.answer["pid"] for sample in seen if sample.answer}) == 2
        assert {sample.said for sample in seen} == {"1.0.0"}
        assert not any(sample.is_ahead for sample in seen)


def test_daemon_and_keeper_are_gone_in_the_end_also_after_an_error(sandbox: Sandbox, checkout: Path) -> None:
    class Trouble(Exception):
        """Something went wrong on the stage."""

    with pytest.raises(Trouble), kept_running(sandbox, checkout) as service:  # noqa: PT012
        (pid,) = service.running()
        raise Trouble
    assert process_table.find(pid) is None
    assert len(sandbox.groups) == 2
    assert sandbox.left_running() == []


def test_daemon_that_cannot_start_is_told_at_once(sandbox: Sandbox, checkout: Path) -> None:
    (checkout / ".venv/bin/python").unlink()
    with pytest.raises(DemoStuck, match="the daemon does not start"), kept_running(sandbox, checkout):
        raise AssertionError


def test_version_that_never_answers_is_an_error(
    sandbox: Sandbox, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "wait_until", lambda look, what: wait_until(look, what, 0.05))
    service = Service(checkout, sandbox.folder / "events")
    with pytest.raises(DemoStuck, match=r"in vain for the daemon to answer as 9\.9\.9"):
        service.await_version("9.9.9")


@pytest.mark.parametrize(
    ("said", "answered", "ahead"),
    [
        ("1.1.0", "1.0.0", True),
        ("1.10.0", "1.9.0", True),
        ("1.0.0", "1.1.0", False),
        ("1.1.0", "1.1.0", False),
        (None, "1.0.0", False),
    ],
)
def test_status_is_ahead_when_it_names_what_does_not_answer_yet(
    said: str | None, answered: str, *, ahead: bool
) -> None:
    """lessons.md L1"""
    assert Sample(said, {"version": answered}).is_ahead is ahead
    assert not Sample(said, None).is_ahead
