"""A real launcher: what it takes for orders, and what never ends it or makes its daemon wait."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from newleaf.core.launch.plan import OVERLAP, Health
from newleaf.system import process_table
from tests.support.deployment import wait_until
from tests.support.http_server import Answer
from tests.support.http_server import serving as answering
from tests.support.launchers import (
    COMMIT,
    OTHER,
    SAY_READY,
    Line,
    line_to,
    make_plan,
    make_post,
    running,
    serving,
    write_launcher,
)

CHATTY = f"""{SAY_READY}
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("last words", flush=True), sys.exit(0)))
print("born", flush=True)
time.sleep(600)
"""


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_terminated_it_ends_its_daemon_and_says_nothing_is_wrong(state: Path) -> None:
    write_launcher(state, make_plan(state))
    with running(state) as launcher:
        daemon = serving(state)
        assert daemon is not None
        record = json.loads((state / "daemon.pid").read_text())
        assert (record["pid"], record["commit"], record["launcher"]) == (daemon, COMMIT, launcher.pid)
        launcher.terminate()
        assert launcher.wait(20) == 0
        assert process_table.find(daemon) is None
    assert not (state / "control.sock").exists()
    assert json.loads((state / "launcher-state.json").read_text())["processes"] == []


def test_orders_are_answered_and_what_is_none_is_refused(state: Path) -> None:
    write_launcher(state, make_plan(state))
    with running(state) as launcher, line_to(state) as line:
        assert line.ask()["pid"] == launcher.pid
        for order in (
            {},
            {"do": "dance"},
            {"do": ["stop"]},
            {"do": "handover"},
            {"do": "hold", "attempt": ""},
        ):
            line.say(**order)
            assert line.hear() == {"event": "refused", "reason": "that is no order"}
        line.socket.sendall(b"\xff\xfe junk\n[1]\nnull\n")
        assert [line.hear()["event"] for _ in range(3)] == ["refused"] * 3
        line.say(do="handover", attempt="a1", commit=OTHER)
        assert line.hear_until("refused")["reason"] == "1.0.0 (aaaaaaaaa) is what a start would load"
        line.say(do="reload")
        assert line.hear_until("running", "failed")["event"] == "running"


def test_who_floods_it_and_never_reads_is_hung_up_and_nobody_waits(state: Path) -> None:
    write_launcher(state, make_plan(state))
    with running(state), line_to(state) as other:
        flood = Line(state)
        flood.socket.settimeout(5)
        began = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while True:
                flood.socket.sendall(b'{"do": "status"}\n' * 1000)
        assert other.ask()["event"] == "status"
        assert time.monotonic() - began < 5.0
        flood.close()


def test_seventy_lines_at_once_then_those_within_the_limit_are_heard(state: Path) -> None:
    write_launcher(state, make_plan(state))
    with running(state):
        lines = [Line(state) for _ in range(70)]
        answered = 0
        for line in lines:
            try:
                line.say(do="status")
                answered += line.hear().get("event") == "status"
            except OSError:
                continue
        assert answered == 64
        for line in lines:
            line.close()
        assert wait_until(lambda: serving(state))


def test_the_daemons_output_is_kept_to_its_last_words(state: Path) -> None:
    plan = make_plan(state, sys.executable, "-I", "-S", "-c", CHATTY)
    write_launcher(state, plan, make_post(state, log_files=True))
    with running(state) as launcher:
        wait_until(lambda: "born" in (state / "logs" / "daemon.log").read_text())
        launcher.terminate()
        assert launcher.wait(20) == 0
    assert (state / "logs" / "daemon.log").read_text() == "born\nlast words\n"


@pytest.mark.timeout(60)
def test_nobody_reads_what_it_says_then_it_goes_on(state: Path) -> None:
    write_launcher(state, make_plan(state))
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    try:
        while True:
            os.write(sink, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(sink, True)
    with running(state, stderr=sink) as launcher, line_to(state) as line:
        for _ in range(3):
            line.say(do="reload")
            assert line.hear_until("running", "failed")["event"] == "running"
        launcher.terminate()
        assert launcher.wait(20) == 0
    os.close(source)
    os.close(sink)


@pytest.mark.skipif(sys.platform != "linux", reason="its time is told by /proc")
@pytest.mark.parametrize("interval", ["0", "3000000"])
def test_idle_it_does_next_to_nothing(state: Path, interval: str) -> None:
    write_launcher(state, make_plan(state))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(state / "manager"))
        manager.settimeout(5)
        env = {**os.environ, "NOTIFY_SOCKET": str(state / "manager"), "WATCHDOG_USEC": interval}
        with running(state, env=env) as launcher:
            wait_until(
                lambda: json.loads((state / "launcher-state.json").read_text())["counters"]["confirmed"]
            )
            before = cpu_seconds(launcher.pid)
            time.sleep(0.3)
            assert cpu_seconds(launcher.pid) - before <= 0.05
        heard = []
        manager.setblocking(False)
        try:
            while True:
                heard.append(manager.recv(4096))
        except BlockingIOError:
            pass
    assert [message for message in heard if message.startswith(b"READY=1")] == [
        b"READY=1\nSTATUS=running 1.0.0 (aaaaaaaaa)"
    ]
    assert (b"WATCHDOG=1" in heard) == (interval != "0")
    assert heard[-1] == b"STOPPING=1"


def test_the_state_directory_cannot_be_written_then_the_daemon_runs_on(state: Path) -> None:
    """A folder in the place of each file stands in for a full disk."""
    write_launcher(state, make_plan(state))
    with running(state) as launcher:
        daemon = serving(state)
        for name in ("daemon.pid", "launcher-state.json", "planned-restart"):
            path = state / name
            path.unlink(missing_ok=True)
            path.mkdir()
            (path / "x").touch()
        with line_to(state) as line:
            line.say(do="reload")
            assert line.hear_until("running", "failed")["event"] == "running"
        assert serving(state) not in (daemon, None)
        launcher.terminate()
        assert launcher.wait(20) == 0
        assert launcher.stderr is not None
        said = launcher.stderr.read()
    assert "cannot be written" in said
    assert "Traceback" not in said


def test_a_health_command_that_floods_its_output_is_no_fault(state: Path) -> None:
    command = (sys.executable, "-I", "-S", "-c", "print('x' * 300_000)")
    write_launcher(state, make_plan(state, health=Health(10.0, 0.1, command=command)))
    with running(state) as launcher:
        launcher.send_signal(signal.SIGTERM)
        assert launcher.wait(20) == 0


def test_it_takes_what_its_health_is_asked_and_does_not_answer_then_it_does_not_take_over(
    state: Path,
) -> None:
    code = f"""{SAY_READY}
import time
while "health" in os.environ.get("LISTEN_FDNAMES", ""):
    socket.socket(fileno=os.dup(3)).accept()[0].close()
time.sleep(600)
"""
    with answering(lambda _: Answer()) as server:
        health = Health(10.0, 0.1, url=f"{server.url}/up")
        command = (sys.executable, "-I", "-S", "-c", code)
        write_launcher(state, make_plan(state, *command, handover=OVERLAP, health=health))
        with running(state), line_to(state) as line:
            line.say(do="reload")
            said = line.hear_until("failed", "running")
            assert said["event"] == "failed"
            assert "no answer in time" in said["reason"]


def test_the_daemon_asks_for_more_time_to_start_then_the_service_manager_hears_of_it(state: Path) -> None:
    code = (
        SAY_READY.replace("READY=1", "EXTEND_TIMEOUT_USEC=60000000")
        + SAY_READY
        + "import time; time.sleep(600)"
    )
    write_launcher(state, make_plan(state, sys.executable, "-I", "-S", "-c", code))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(state / "manager"))
        manager.settimeout(10)
        with running(state, env={**os.environ, "NOTIFY_SOCKET": str(state / "manager")}):
            assert manager.recv(100) == b"EXTEND_TIMEOUT_USEC=60000000"
            assert manager.recv(100).startswith(b"READY=1\n")


def test_it_is_started_by_its_module_too(state: Path) -> None:
    argv = [sys.executable, "-m", "newleaf.launcher", str(state)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, "launcher.json cannot be used" in done.stderr) == (7, True)
