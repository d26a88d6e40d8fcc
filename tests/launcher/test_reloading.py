"""The launcher loaded anew in its own process: all stays as it was, or it says why it was not loaded."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from newleaf.core.launch.events import Tick
from newleaf.launcher.beginning import begin
from newleaf.launcher.reloading import _record, resume
from newleaf.system import process_table
from tests.support.deployment import wait_until
from tests.support.kills import run_in_child
from tests.support.launchers import SAY_READY, line_to, make_plan, make_post, running, serving, write_launcher

ANEW = "loaded anew; the daemon runs on"
ANSWERING = f"""{SAY_READY}
import sys, time
print("served", flush=True)
one = socket.socket(fileno=3)
while True:
    accepted, _ = one.accept()
    accepted.sendall(str(os.getpid()).encode())
    accepted.close()
"""


def ask_daemon(state: Path) -> int:
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(5)
        one.connect(str(state / "app.sock"))
        return int(one.recv(20))


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd")) if sys.platform == "linux" else 0


def await_said(launcher: subprocess.Popen[str], text: str) -> None:
    """Reads what it says until this comes."""
    assert launcher.stderr is not None
    while text not in (said := launcher.stderr.readline()):
        assert said, "it has ended"
        assert "loaded anew" not in said, said


def test_loaded_anew_then_daemon_sockets_lines_and_logs_go_on(state: Path) -> None:
    plan = make_plan(state, sys.executable, "-I", "-S", "-c", ANSWERING, listen=("unix:app.sock",))
    write_launcher(state, plan, make_post(state, log_files=True))
    with running(state) as launcher, line_to(state) as line:
        daemon = ask_daemon(state)
        held = []
        line.socket.sendall(b'{"do": "sta')
        for _ in range(2):
            launcher.send_signal(signal.SIGHUP)
            await_said(launcher, ANEW)
            assert ask_daemon(state) == daemon
            held.append(descriptors(launcher.pid))
        line.socket.sendall(b'tus"}\n')
        status = line.hear()
        assert (status["pid"], [child["pid"] for child in status["children"]]) == (launcher.pid, [daemon])
        # None is left open; for a moment there are some that it works with.
        wait_until(lambda: descriptors(launcher.pid) <= held[0])
        line.say(do="reload")
        assert line.hear_until("running", "failed")["event"] == "running"
        assert ask_daemon(state) != daemon
        launcher.terminate()
        assert launcher.wait(20) == 0
    assert (state / "logs" / "daemon.log").read_text() == "served\nserved\n"
    assert not list(state.glob(".launcher-*"))


def test_what_it_knows_cannot_be_put_down_then_it_goes_on_as_it_is(state: Path) -> None:
    """threats.md T20: whose name was taken by a symlink, say."""
    write_launcher(state, make_plan(state))
    with running(state) as launcher:
        daemon = serving(state)
        (state / "other").write_text("kept")
        (state / f".launcher-{launcher.pid}").symlink_to("other")
        launcher.send_signal(signal.SIGHUP)
        await_said(launcher, "not loaded anew: ")
        assert serving(state) == daemon
        assert (state / "other").read_text() == "kept"
        launcher.send_signal(signal.SIGHUP)
        await_said(launcher, ANEW)
        assert serving(state) == daemon


def test_told_to_stop_while_it_is_loaded_then_it_stops(state: Path) -> None:
    write_launcher(state, make_plan(state))
    with running(state) as launcher:
        daemon = serving(state)
        launcher.send_signal(signal.SIGHUP)
        wait_until(lambda: (state / f".launcher-{launcher.pid}").exists() or launcher.poll() is not None)
        launcher.terminate()
        assert launcher.wait(20) == 0
    assert daemon is not None
    assert process_table.find(daemon) is None


@pytest.mark.parametrize("content", ["", "{", "{}", None])
def test_nothing_to_resume_then_it_ends_with_a_word(state: Path, content: str | None) -> None:
    path = state / ".launcher-1"
    if content is not None:
        path.write_text(content)
    write_launcher(state, make_plan(state))
    env = {**os.environ, "NEWLEAF_LAUNCHER_RESUME": str(path)}
    with running(state, env=env) as launcher:
        said = launcher.communicate(timeout=20)[1]
    assert launcher.returncode == (1 if content is None else 7)
    assert "it cannot go on: [Errno 2]" in said or ".launcher-1 cannot be used: it is not what" in said
    assert "Traceback" not in said


def test_all_that_is_known_comes_back(state: Path) -> None:
    """In one process, without becoming another program."""

    def check() -> None:
        write_launcher(state, make_plan(state, listen=("unix:app.sock",)), make_post(state, log_files=True))
        said: list[str] = []
        launcher = begin(state, said.append)
        launcher.feed(Tick())
        launcher._handle_events()
        launcher._handle_events()
        pid = launcher.opened.daemon.pid_of(1)
        assert pid
        with line_to(state):
            launcher.accept()
            record = _record(launcher)
            (state / "record").write_text(json.dumps(record))
            again = resume(state, state / "record", said.append)
            assert not (state / "record").exists()
            assert {**_record(again), "descriptors": []} == {**record, "descriptors": []}
            assert sorted(_record(again)["descriptors"]) == sorted(record["descriptors"])
            assert not any(os.get_inheritable(held) for held in record["descriptors"])
            assert again.opened.daemon.pid_of(1) == pid
        os.kill(pid, signal.SIGKILL)
        # Both hold the same descriptors.
        os._exit(0)

    assert run_in_child(check) == 0
