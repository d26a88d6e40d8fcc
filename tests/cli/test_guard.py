"""`newleaf guard`: 0 or 7, and never a reason of its own to keep a daemon from starting."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from newleaf.cli.main import run
from tests.support.deployment import Deployment
from tests.support.terminal import Terminal

MANY = "[health]\nmax_starts = 1\n"


def go_round(terminal: Terminal) -> None:
    for _ in range(2):
        assert terminal.run("guard").code == 0


def test_a_start_that_may_happen_is_said_in_a_line_and_a_record(host: Deployment, terminal: Terminal) -> None:
    name = host.head()[:9]
    assert terminal.lines("guard") == [f"{name} may start"]
    assert terminal.lines("guard") == [f"{name} may start; abnormal ends within 30m, never confirmed: 1"]
    assert terminal.run("guard").record == {
        "schema": 1,
        "outcome": "ok",
        "release": {"commit": host.head(), "version": None},
        "abnormal_ends": 2,
        "warnings": [],
    }


def test_a_crash_loop_exits_7_with_what_to_do(host: Deployment, terminal: Terminal) -> None:
    """lessons.md L32"""
    host.host_settings(MANY)
    go_round(terminal)
    answer = terminal.run("guard")
    assert (answer.code, answer.outcome) == (7, "inconsistent")
    (error,) = answer.record["errors"]
    assert error["code"] == "crash_loop"
    code, output, errors = terminal.text("guard")
    assert (code, output) == (7, "")
    assert error["message"] in errors
    assert "newleaf rollback" in errors
    status = terminal.run("status").record
    assert (status["status"], status["error"]) == ("inconsistent", error["message"])
    log = (host.state / "logs/update.log").read_text()
    assert log.count("it is not started") == 1, "L5"


def test_allow_lets_it_start_again(host: Deployment, terminal: Terminal) -> None:
    host.host_settings(MANY)
    go_round(terminal)
    assert terminal.run("guard").code == 7
    assert terminal.lines("allow", host.head()[:12]) == [f"{host.head()} may start again"]
    assert terminal.run("guard").code == 0
    assert terminal.run("status").record["status"] == "restarting"
    assert terminal.run("allow", host.head()).outcome == "usage", "there is nothing left to allow"


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("guard.json", b"{"),
        ("guard.json", b'{"schema": 2}'),
        ("history.jsonl", b"[]\n"),
        ("journal.jsonl", b"[]\n"),
        ("host.toml", b"[health]\nmax_starts = 0\n"),
        ("host.toml", b"]"),
        ("identity.json", b"{"),
    ],
)
def test_what_cannot_be_read_is_a_warning_and_the_daemon_starts(
    host: Deployment, terminal: Terminal, name: str, body: bytes
) -> None:
    host.host_settings(MANY)
    go_round(terminal)
    (host.state / name).write_bytes(body)
    answer = terminal.run("guard")
    assert (answer.code, answer.outcome) == (0, "ok")
    (warning,) = answer.record["warnings"]
    assert name in warning
    assert warning in answer.errors
    assert (host.state / name).read_bytes() == body or name == "guard.json"


def test_a_state_directory_that_is_unsafe_is_a_warning_too(host: Deployment, terminal: Terminal) -> None:
    host.host_settings("")
    host.state.chmod(0o777)
    answer = terminal.run("guard")
    assert (answer.code, len(answer.record["warnings"])) == (0, 1)


def test_a_defect_keeps_no_daemon_from_starting(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("newleaf.compose.guarding.admit", fail)
    answer = terminal.run("guard")
    assert answer.code == 0
    assert "ZeroDivisionError" in answer.record["warnings"][0]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_nobody_need_hear_what_it_says(host: Deployment) -> None:
    with open("/dev/full", "w") as full:
        call = [sys.executable, "-m", "newleaf", "guard"]
        done = subprocess.run(
            call, cwd=host.app, env=host.variables, stdout=full, stderr=full, check=False, timeout=30
        )
    assert done.returncode == 0
    assert host.record("guard.json")["commit"] == host.head()


def test_it_asks_no_remote_and_starts_no_program(
    host: Deployment, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands before every start of the daemon, and must be quick."""
    host.remote.path.rename(host.folder / "gone")
    monkeypatch.setenv("PATH", "/nowhere")
    assert run(["guard"]) == 0
    assert terminal.run("guard").record["warnings"] == []
