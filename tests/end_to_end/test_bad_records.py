"""Records of the state directory that are broken, newer than this newleaf, or links to elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.bad_input import carry_out, look, require_plain
from tests.support.deployment import Deployment

COMMIT = "c" * 40
MOMENT = "2026-11-20T12:00:00.000Z"
RELEASE = {"commit": COMMIT, "version": "1.1.0"}
JOURNALED = {"attempt": "a", "at": MOMENT, "state": "done", "from": RELEASE, "to": RELEASE, "detail": {}}
ENDED = {"attempt": "a", "at": MOMENT, "outcome": "updated", "from": RELEASE, "to": RELEASE}
PUBLISHED: dict[str, Any] = {
    "status": "deployed",
    "timestamp": MOMENT,
    "computer": "mini-1",
    "app": "sessions",
    "channel": "alpha",
    "target": None,
    "attempt": None,
    "error": None,
    "waiting_for": [],
}

BROKEN = {
    "empty": b"",
    "half written": b'{"schema":1,"app":"sess',
    "no object": b'["sessions"]\n',
    "no text": b"\x00\xff\xfe\x80\n",
    "of no schema": b'{"schema":"one"}\n',
    "nested too deeply": b"[" * 100_000 + b"\n",
}
NEWER = b'{"schema":2,"note":"of a newer newleaf"}\n'


def line(record: Mapping[str, Any], **changed: Any) -> bytes:
    return json.dumps({"schema": 1, **record, **changed}).encode() + b"\n"


TORN = ("empty", "half written")
"""Of a file of lines: what a kill leaves, and the next write mends."""

LINES = {name: body for name, body in BROKEN.items() if name not in TORN}

RELIED_ON: dict[str, dict[str, bytes]] = {
    "journal.jsonl": {
        **LINES,
        "no record": line({}),
        "no attempt": line(JOURNALED, attempt=None),
        "no state": line(JOURNALED, state="dreaming"),
        "no moment": line(JOURNALED, at="2026-11-20T12:00:00"),
        "no commit": line(JOURNALED, to={"commit": "--upload-pack=touch x", "version": "1"}),
        "no version": line(JOURNALED, to={"commit": COMMIT, "version": 1.1}),
        "no detail": line(JOURNALED, detail=[1]),
    },
    "history.jsonl": {
        **LINES,
        "no line": line({}),
        "no moment": line(ENDED, at="yesterday"),
        "no attempt": line(ENDED, attempt=["a"]),
        "no durations": line(ENDED, durations={"fetch": "long"}),
        "no errors": line(ENDED, errors=["bad"]),
        "no release": line(ENDED, to="1.1.0"),
    },
    "denied.json": BROKEN,
    "decisions.json": {
        **BROKEN,
        "no pin": line({"pin": 1.2}),
        "no suspension": line({"suspended": True}),
    },
    "identity.json": BROKEN,
    "migration_state.json": {**BROKEN, "no list": line({"applied": "1.1.0/001_a.py"})},
    "daemon.pid": {
        **BROKEN,
        "no record": line({}),
        "a bare number": b"4711\n",
        "no start": line({"pid": 1, "started": 5, "since": MOMENT}),
    },
}

FREE_TO_WRITE = {
    "status.json": {
        "empty": b"",
        "half written": BROKEN["half written"],
        "no gates": line(PUBLISHED, waiting_for=["idle"]),
    },
    "update_available.json": {
        "half written": BROKEN["half written"],
        "of another channel": line({"available": "9.9.9", "channel": "beta"}),
    },
    "watch.json": {"no object": BROKEN["no object"]},
}

JOURNALED_ALL_THE_SAME = {"migration_state.json": ("state/journal.jsonl", "state/history.jsonl")}
"""A target may have no migrations, and a way back needs none: it is read when an attempt comes to it."""

RECORDS = (*RELIED_ON, "status.json")


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """A host at 1.1.0, brought there by newleaf; 1.2.0 is out."""
    deployment = Deployment.make(tmp_path)
    deployment.release("1.1.0")
    assert deployment.run("update").outcome == "updated"
    deployment.release("1.2.0")
    return deployment


@pytest.mark.parametrize("name", RELIED_ON)
def test_a_broken_record_that_is_relied_on_stops_the_update_with_a_way_out(
    deployment: Deployment, name: str
) -> None:
    """lessons.md L20"""
    path, text = deployment.state / name, ""
    for kind, body in RELIED_ON[name].items():
        path.write_bytes(body)
        before = look(deployment, *JOURNALED_ALL_THE_SAME.get(name, ()))
        text = require_plain(deployment.run("update"), 7, "inconsistent")
        assert f"{name} cannot be read" in text, kind
        assert look(deployment, *JOURNALED_ALL_THE_SAME.get(name, ())) == before, kind
    carry_out(text, "rm" if name == "daemon.pid" else "mv")
    assert deployment.run("update").outcome == "updated"


@pytest.mark.parametrize("kind", TORN)
@pytest.mark.parametrize("name", ["journal.jsonl", "history.jsonl"])
def test_a_torn_last_line_is_cut_off(deployment: Deployment, name: str, kind: str) -> None:
    path = deployment.state / name
    whole = path.read_bytes()
    path.write_bytes((whole if BROKEN[kind] else b"") + BROKEN[kind])
    assert deployment.run("update").outcome == "updated"
    assert deployment.lines(name), "every line is JSON again"


@pytest.mark.parametrize("name", FREE_TO_WRITE)
def test_a_broken_file_that_nothing_relies_on_is_written_anew(deployment: Deployment, name: str) -> None:
    """lessons.md L2, L3: what newleaf only tells, or only hints, never stands in an update's way."""
    path = deployment.state / name
    for number, body in enumerate(FREE_TO_WRITE[name].values()):
        path.write_bytes(body)
        assert deployment.run("why").outcome == "ok"
        assert deployment.run("check").outcome == "available"
        assert deployment.run("update").outcome == "updated"
        deployment.release(f"1.3.{number}")
    assert deployment.run("status").record["status"] == "restarting"


def test_a_broken_status_is_said_to_who_asks_for_it(deployment: Deployment) -> None:
    for body in FREE_TO_WRITE["status.json"].values():
        (deployment.state / "status.json").write_bytes(body)
        text = require_plain(deployment.run("status"), 7, "inconsistent", "corrupt_file")
        assert "status.json cannot be read" in text


def test_a_host_that_needs_a_person_says_so_in_its_status(deployment: Deployment) -> None:
    """lessons.md L2, L6"""
    (deployment.state / "journal.jsonl").write_bytes(BROKEN["no text"])
    deployment.run("update")
    status = deployment.run("status").record
    assert status["status"] == "inconsistent"
    assert "journal.jsonl cannot be read" in status["error"]


def test_a_dry_run_on_broken_records_says_it_and_publishes_nothing(deployment: Deployment) -> None:
    (deployment.state / "journal.jsonl").write_bytes(BROKEN["no text"])
    before = (deployment.state / "status.json").read_bytes()
    require_plain(deployment.run("update", "--dry-run"), 7, "inconsistent", "corrupt_file")
    assert (deployment.state / "status.json").read_bytes() == before


def test_what_runs_is_unknown_while_the_daemon_s_record_is_broken(deployment: Deployment) -> None:
    """lessons.md L1"""
    (deployment.state / "daemon.pid").write_text("4711\n")
    answer = deployment.run("status")
    assert (answer.code, answer.record["running"]) == (0, None)


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_of_a_newer_newleaf_is_left_alone(deployment: Deployment, name: str) -> None:
    path = deployment.state / name
    path.write_bytes(NEWER)
    before = look(deployment, *JOURNALED_ALL_THE_SAME.get(name, ()))
    text = require_plain(deployment.run("update"), 7, "inconsistent", "newer_schema")
    assert "upgrade this newleaf" in text
    assert path.read_bytes() == NEWER
    assert look(deployment, *JOURNALED_ALL_THE_SAME.get(name, ())) == before


def test_what_the_watcher_remembers_is_left_to_a_newer_newleaf(deployment: Deployment) -> None:
    path = deployment.state / "watch.json"
    path.write_bytes(NEWER)
    require_plain(deployment.run("check"), 7, "inconsistent", "newer_schema")
    assert path.read_bytes() == NEWER


WRITTEN_BY: dict[str, tuple[str, ...]] = {
    "journal.jsonl": ("update", "rollback"),
    "history.jsonl": ("update", "rollback"),
    "status.json": ("update",),
    "update_available.json": ("check", "update"),
    "denied.json": ("rollback",),
    "decisions.json": ("suspend", "pin 1.2.0"),
    "identity.json": ("check", "update"),
    "migration_state.json": ("update", "migrate"),
    "daemon.pid": ("update",),
    "watch.json": ("check",),
    "restart-requested": ("update",),
    "update.lock": ("update", "why"),
    "busy.lock": ("update", "busy -- true"),
    "host.toml": ("update", "config"),
    "logs/update.log": ("update",),
    "git/move.json": ("update",),
}


@pytest.mark.parametrize("name", WRITTEN_BY)
def test_nothing_is_written_through_a_link(deployment: Deployment, name: str) -> None:
    """threats.md T20"""
    other, path = deployment.folder / "precious", deployment.state / name
    # Somebody else's, but such that it could be read, and written on.
    other.write_bytes(path.read_bytes() if path.exists() else b"")
    before = (other.read_bytes(), other.stat().st_mtime_ns, other.stat().st_mode)
    path.unlink(missing_ok=True)
    path.symlink_to(other)
    deployment.checkout.write("app.py", "a local change\n")
    for verb in WRITTEN_BY[name]:
        answer = deployment.run(*verb.split())
        assert answer.code in (0, 2, 4, 7), answer
        assert "Traceback" not in answer.errors
        assert (other.read_bytes(), other.stat().st_mtime_ns, other.stat().st_mode) == before, verb
