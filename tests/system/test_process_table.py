"""A recorded process is known again, and no other is ever taken for it. By /proc, and by ps."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from newleaf.system import process_table, uptime
from tests.support.children import python, read_line, started
from tests.support.kills import wait_until

SLEEP = "import time; print('ready', flush=True); time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)
PARENT = """
import subprocess, sys
child = subprocess.Popen(["sleep", "60"])
print(child.pid, flush=True)
sys.stdin.read()
"""
by_ps = pytest.param("ps", marks=pytest.mark.skipif(not shutil.which("ps"), reason="there is no ps"))
by_proc = pytest.param(
    "proc", marks=pytest.mark.skipif(not process_table.HAS_PROC, reason="there is no /proc")
)


@pytest.fixture(params=[by_proc, by_ps])
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(process_table, "HAS_PROC", request.param == "proc")
    return str(request.param)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[str]]:
    with python(SLEEP) as child:
        yield child


def known(pid: int) -> str:
    found = process_table.start_time(pid)
    assert found is not None
    return found


def test_own_process_is_found_with_its_group_and_age(source: str) -> None:
    found = process_table.find(os.getpid())
    assert found is not None
    assert (found.pid, found.group, found.is_zombie) == (os.getpid(), os.getpgrp(), False)
    assert timedelta(seconds=-1) < datetime.now(UTC) - found.started_at < timedelta(hours=3)


def test_start_is_told_to_about_a_second(source: str) -> None:
    before = datetime.now(UTC)
    with python(SLEEP) as child:
        found = process_table.find(child.pid)
    assert found is not None
    assert before - timedelta(seconds=2.5) < found.started_at < datetime.now(UTC) + timedelta(seconds=0.5)


def test_living_process_is_alive_and_an_ended_one_is_not(source: str, sleeper: subprocess.Popen[str]) -> None:
    recorded = known(sleeper.pid)
    assert process_table.is_alive(sleeper.pid, recorded)
    sleeper.kill()
    sleeper.wait()
    assert not process_table.is_alive(sleeper.pid, recorded)
    assert process_table.find(sleeper.pid) is None


def test_number_used_again_is_not_taken_for_the_recorded_process(
    source: str, sleeper: subprocess.Popen[str]
) -> None:
    """lessons.md L35: the number is the same, the start time is not."""
    assert not process_table.is_alive(sleeper.pid, "another-boot/17")


@pytest.mark.skipif(not process_table.HAS_PROC, reason="only /proc counts from the boot")
def test_same_ticks_of_another_boot_are_another_process(
    sleeper: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """lessons.md L35: after a reboot a number and its clock ticks may come back together."""
    recorded = known(sleeper.pid)
    monkeypatch.setattr(uptime, "boot", lambda: "the-next-boot")
    assert not process_table.is_alive(sleeper.pid, recorded)


def test_zombie_is_dead(source: str, sleeper: subprocess.Popen[str]) -> None:
    recorded = known(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGKILL)
    wait_until(lambda: not process_table.is_alive(sleeper.pid, recorded), "the zombie to count as dead")
    assert sleeper.returncode is None


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 5])
def test_impossible_number_is_no_process(source: str, pid: int) -> None:
    assert process_table.find(pid) is None
    assert not process_table.send_signal(pid, "x/1", signal.SIGTERM)


@pytest.mark.skipif(not process_table.HAS_PROC, reason="only /proc shows names as they are")
def test_name_with_spaces_and_parentheses_is_read(tmp_path: Path) -> None:
    program = tmp_path / "a) R 1 (b"
    program.symlink_to(shutil.which("sleep") or "")
    with started(str(program), "60", ready=False) as child:
        wait_until(lambda: "a) R" in (process_table.PROC / str(child.pid) / "comm").read_text(), "the exec")
        found = process_table.find(child.pid)
    assert found is not None
    assert found.group == child.pid


@pytest.mark.parametrize(
    "line",
    [
        "",
        "garbage",
        "1 2 S Sat Foo 21 03:45:14 2026",
        "1 2 S Sat Nov 41 03:45:14 2026",
        "x 2 S Sat Nov 21 03:45:14 2026",
    ],
)
def test_line_of_ps_that_makes_no_sense_is_no_process(line: str) -> None:
    assert process_table._parse_ps(line) is None


def test_line_of_ps_is_read_in_any_width() -> None:
    found = process_table._parse_ps("  812   800 Z+   Sat Nov  1 03:45:14 2026")
    assert found is not None
    assert (found.pid, found.group, found.is_zombie) == (812, 800, True)
    assert found.started_at == datetime(2026, 11, 1, 3, 45, 14, tzinfo=UTC)


# --- signals ----------------------------------------------------------------------------


def test_recorded_process_gets_the_signal(source: str, sleeper: subprocess.Popen[str]) -> None:
    assert process_table.send_signal(sleeper.pid, known(sleeper.pid), signal.SIGTERM)
    assert sleeper.wait(timeout=10) == -signal.SIGTERM


def test_process_is_signalled_where_the_kernel_has_no_descriptors_for_processes(
    monkeypatch: pytest.MonkeyPatch, sleeper: subprocess.Popen[str]
) -> None:
    """Kernels before 5.3, and some containers, refuse the call."""

    def refused(_: int) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "pidfd_open", refused, raising=False)
    assert process_table.send_signal(sleeper.pid, known(sleeper.pid), signal.SIGTERM)
    assert sleeper.wait(timeout=10) == -signal.SIGTERM


def test_process_with_a_number_used_again_gets_no_signal(source: str, sleeper: subprocess.Popen[str]) -> None:
    """lessons.md L35"""
    assert not process_table.send_signal(sleeper.pid, "another-boot/17", signal.SIGKILL)
    assert process_table.is_alive(sleeper.pid, known(sleeper.pid))


# --- groups -----------------------------------------------------------------------------


def test_group_is_ended_with_the_children_of_its_first_process(source: str) -> None:
    """lessons.md L22"""
    with python(PARENT, ready=False) as parent:
        child = int(read_line(parent.stdout))
        child_started = known(child)
        assert process_table.end_group(parent.pid, known(parent.pid))
        assert parent.wait(timeout=10) == -signal.SIGTERM
        assert not process_table.is_alive(child, child_started)


def test_children_are_ended_when_the_first_process_is_gone(source: str) -> None:
    """lessons.md L22: a child survives its parent."""
    with python(PARENT, ready=False) as parent:
        child = int(read_line(parent.stdout))
        recorded, child_started = known(parent.pid), known(child)
        parent.kill()
        parent.wait()
        assert [member.pid for member in process_table.group_members(parent.pid, recorded)] == [child]
        assert process_table.end_group(parent.pid, recorded)
        assert not process_table.is_alive(child, child_started)


def test_children_older_than_the_recorded_process_are_not_its_children(source: str) -> None:
    """lessons.md L35: the group's number was another group's before."""
    with python(PARENT, ready=False) as parent:
        child = int(read_line(parent.stdout))
        boot, _, ticks = known(parent.pid).rpartition("/")
        parent.kill()
        parent.wait()
        assert not process_table.group_members(parent.pid, f"{boot}/{int(ticks) + 10_000_000}")
        assert not process_table.group_members(parent.pid, f"another-boot/{ticks}")
        assert process_table.find(child)


def test_process_that_ignores_the_request_is_killed(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_table, "GRACE_SECONDS", 0.05)
    with python(STUBBORN) as child:
        assert process_table.end_group(child.pid, known(child.pid))
        assert child.wait(timeout=10) == -signal.SIGKILL


def test_group_with_a_number_used_again_is_left_alone(source: str, sleeper: subprocess.Popen[str]) -> None:
    """lessons.md L35"""
    assert process_table.end_group(sleeper.pid, "another-boot/17")
    assert sleeper.poll() is None


def test_own_group_and_no_group_are_never_ended(source: str) -> None:
    for group in (os.getpgrp(), 1, 0, -1):
        assert process_table.end_group(group, process_table.start_time(group) or "x/1")


def test_group_that_cannot_be_ended_is_said_to_be_left(
    sleeper: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_table, "GRACE_SECONDS", 0.02)
    monkeypatch.setattr(process_table, "KILL_SECONDS", 0.02)
    monkeypatch.setattr(os, "killpg", lambda _group, _number: None)
    assert not process_table.end_group(sleeper.pid, known(sleeper.pid))
    monkeypatch.undo()


def test_look_at_all_processes_is_quick() -> None:
    began = time.monotonic()
    process_table.group_members(os.getpgrp(), known(os.getpid()))
    assert time.monotonic() - began < 5
