"""How a launcher begins: alone, with what a killed one left ended, or with a word on why it does not."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from newleaf.core.launch.launcher_errors import LauncherRuns
from newleaf.launcher.beginning import LOCK, end_left_behind, remove_leftovers, take_lock
from newleaf.launcher.daemon_processes import LONGEST_NAME
from newleaf.launcher.programs import LAUNCHER
from newleaf.launcher.sockets import MAX_PATH_BYTES
from newleaf.launcher.state_files import StateFiles
from newleaf.system import process_table
from tests.support.children import started
from tests.support.deployment import wait_until
from tests.support.kills import run_in_child
from tests.support.launchers import line_to, make_plan, running, serving, write_launcher


def refusal(state: Path) -> tuple[int, str]:
    """How a launcher ends that does not begin: its exit code and what it says."""
    done = subprocess.run(
        [*LAUNCHER, str(state)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


# --- the only one -------------------------------------------------------------------------------


def test_a_second_launcher_is_refused_and_told_the_first_ones_number(state: Path) -> None:
    write_launcher(state, make_plan(state))
    with running(state) as launcher:
        daemon = serving(state)
        code, said = refusal(state)
        assert (code, f"as pid {launcher.pid}" in said) == (1, True), said
        assert (serving(state), launcher.poll()) == (daemon, None)


def test_the_lock_goes_with_its_process(state: Path) -> None:
    def hold() -> None:
        take_lock(state / LOCK)
        with pytest.raises(LauncherRuns) as refused:
            take_lock(state / LOCK)
        assert refused.value.facts["pid"] == str(os.getpid())

    assert run_in_child(hold) == 0
    os.close(take_lock(state / LOCK))
    assert (state / LOCK).read_text() == f"{os.getpid()}\n"


def test_a_lock_that_is_a_symlink_is_not_followed(state: Path) -> None:
    """threats.md T20"""
    (state / "other").write_text("kept")
    (state / LOCK).symlink_to("other")
    write_launcher(state, make_plan(state))
    code, said = refusal(state)
    assert (code, said.startswith("newleaf: it cannot go on: ")) == (1, True), said
    assert "Traceback" not in said
    assert (state / "other").read_text() == "kept"


# --- what keeps it from beginning ---------------------------------------------------------------


def spoil(**changes: Any) -> Callable[[Path], object]:
    """A plan with something changed."""

    def act(state: Path) -> None:
        record = json.loads((state / "launcher.json").read_text())
        record["plan"] |= changes
        (state / "launcher.json").write_text(json.dumps(record))

    return act


REFUSALS: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "no record": (lambda s: (s / "launcher.json").unlink(), 7, "launcher.json cannot be used: it is missing"),
    "corrupt": (lambda s: (s / "launcher.json").write_text("{"), 7, "launcher.json cannot be used: not JSON"),
    "newer": (lambda s: (s / "launcher.json").write_text('{"schema": 2}'), 7, "written by a newer newleaf"),
    "newer counters": (lambda s: (s / "launcher-state.json").write_text('{"schema": 2}'), 7, "newer newleaf"),
    "no address": (spoil(listen=["unix:launcher.json"]), 2, "no socket lies there"),
    "a bad address": (spoil(listen=["nonsense:x"]), 2, "nonsense:x cannot be listened on"),
    "a file for a socket": (
        lambda s: (s / "control.sock").write_text(""),
        2,
        "control.sock cannot be listened on",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_keeps_it_from_beginning_is_said(state: Path, case: str) -> None:
    write_launcher(state, make_plan(state))
    act, code, reason = REFUSALS[case]
    act(state)
    found, said = refusal(state)
    assert (found, reason in said) == (code, True), said
    assert "Traceback" not in said


def test_a_path_that_leaves_no_room_for_sockets_is_refused_before_anything_runs(state: Path) -> None:
    """`control.sock` alone would have room in it."""
    deep = state / ("x" * (MAX_PATH_BYTES - len(str(state)) - len(LONGEST_NAME) - 1))
    deep.mkdir()
    write_launcher(deep, make_plan(deep))
    code, said = refusal(deep)
    assert (code, "longer than 103 bytes" in said) == (2, True), said
    assert not (deep / "control.sock").exists()


def test_a_command_that_cannot_be_started_ends_it(state: Path) -> None:
    write_launcher(state, make_plan(state, "bin/nonesuch"))
    code, said = refusal(state)
    assert (code, "the daemon cannot be started: bin/nonesuch: No such file" in said) == (1, True), said


# --- after a killed one -------------------------------------------------------------------------


def test_killed_then_the_next_ends_what_is_left_and_nothing_runs_twice(state: Path) -> None:
    """lessons.md L35"""
    write_launcher(state, make_plan(state, listen=("unix:app.sock",)))
    with running(state) as first:
        daemon = serving(state)
        assert daemon is not None
        first.kill()
        first.wait(10)
        (state / ".health-1-1").touch()
        (state / ".launcher-1").touch()
        with running(state) as second:
            found = process_table.find(daemon)
            assert found is None or found.is_zombie
            assert serving(state) not in (daemon, None)
            second.terminate()
            said = second.communicate(timeout=20)[1]
        assert f"pid {daemon} was left behind by a launcher that was killed, and is ended" in said
    assert [
        path.name for path in state.iterdir() if path.name.startswith((".health", ".notify", ".launcher"))
    ] == []


SLEEP = "import time; print(1, flush=True); time.sleep(600)"


def left(state: Path, pid: int, started_at: object) -> list[str]:
    """What is said about a process that was noted so."""
    record = {"processes": [{"pid": "x"}, {"pid": pid, "kind": "daemon", "started": started_at}]}
    (state / "launcher-state.json").write_text(json.dumps(record))
    said: list[str] = []
    end_left_behind(StateFiles(state), make_plan(state), said.append)
    return said


def test_left_behind_then_it_is_ended_with_its_group(state: Path) -> None:
    code = "import os, time; os.fork(); print(1, flush=True); time.sleep(600)"
    with started(sys.executable, "-I", "-S", "-c", code) as process:
        begun = process_table.start_time(process.pid)
        assert len(left(state, process.pid, begun)) == 1
        assert process.wait(10) != 0
        assert process_table.group_members(process.pid, str(begun)) == []


@pytest.mark.parametrize("other", ["boot/1", None, 7, ["x"]])
def test_another_process_with_that_number_is_left_alone(state: Path, other: object) -> None:
    """lessons.md L35"""
    with started(sys.executable, "-I", "-S", "-c", SLEEP) as process:
        assert left(state, process.pid, other) == []
        assert process.poll() is None


@pytest.mark.parametrize("pid", [0, -1, 1, pytest.param(os.getpid(), id="own"), 2**40])
def test_a_number_that_no_daemon_has_ends_nobody(state: Path, pid: int) -> None:
    left(state, pid, "boot/1")


def test_only_its_own_leftovers_are_taken_away(state: Path) -> None:
    kept = ("launcher.lock", "notify", ".env", "health-1", ".launcher")
    for name in (*kept, ".notify-abc", ".health-1-2", ".launcher-77"):
        (state / name).touch()
    (state / ".notify-folder").mkdir()
    remove_leftovers(state)
    assert sorted(path.name for path in state.iterdir()) == sorted([*kept, ".notify-folder"])
    remove_leftovers(state / "gone")


# --- sockets of a service manager ---------------------------------------------------------------


def test_sockets_of_the_service_manager_are_the_daemons(state: Path) -> None:
    """Its own names for them do not matter; the daemon is told newleaf's."""
    code = "import os; open('said', 'w').write(os.environ['LISTEN_FDNAMES']); import time; time.sleep(600)"
    write_launcher(state, make_plan(state, sys.executable, "-c", code, listen=("unix:b.sock", "unix:a.sock")))
    passed = []
    for name in ("a.sock", "b.sock"):
        one = socket.socket(socket.AF_UNIX)
        one.bind(str(state / name))
        one.listen()
        passed.append(one)
    inodes = [(state / name).stat().st_ino for name in ("a.sock", "b.sock")]
    become = (
        "import os, sys\n"
        "for place, held in enumerate(map(int, sys.argv[1:3]), 100): os.dup2(held, place)\n"
        "for place in (3, 4): os.dup2(place + 97, place); os.set_inheritable(place, True)\n"
        "own = {'LISTEN_FDS': '2', 'LISTEN_PID': str(os.getpid()), 'LISTEN_FDNAMES': 'x.socket:x.socket'}\n"
        "os.environ |= own\n"
        "os.execv(sys.argv[3], sys.argv[3:])"
    )
    numbers = [one.fileno() for one in passed]
    argv = [sys.executable, "-c", become, *map(str, numbers), *LAUNCHER, str(state)]
    with started(*argv, ready=False, pass_fds=numbers) as launcher:
        wait_until((state / "said").exists)
        wait_until(lambda: (state / "said").read_text() == "listen0:listen1")
        assert [(state / name).stat().st_ino for name in ("a.sock", "b.sock")] == inodes
        with line_to(state) as line:
            line.say(do="stop")
            assert line.hear_until("never") == {}
        assert launcher.wait(20) == 0
    for one in passed:
        one.close()
