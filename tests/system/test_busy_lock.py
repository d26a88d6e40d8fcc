"""`busy.lock`: shared by jobs in any language, alone for what restarts, gone with its holder."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from newleaf.core.errors import StateDirectoryUnsafe
from newleaf.core.job_errors import AppBusy
from newleaf.system import busy_lock, process_table
from newleaf.system.busy_lock import (
    Probe,
    is_job_running,
    open_shared,
    probe,
    quiet,
    try_shared,
    wait_shared,
)
from newleaf.system.locks import open_lock, try_lock
from newleaf.system.processes import Holder
from tests.support.children import python, read_line, started
from tests.support.kills import wait_until

QUIET = """
import sys
from pathlib import Path
from newleaf.system.busy_lock import quiet
with quiet(Path(sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.readline()
"""
JOB_WITH_A_CHILD = """
import subprocess, sys
from pathlib import Path
from newleaf.system.busy_lock import open_shared, wait_shared
with open_shared(Path(sys.argv[1])) as lock:
    wait_shared(lock)
    print(subprocess.Popen(["sleep", "60"], pass_fds=(lock,)).pid, flush=True)
    sys.stdin.read()
"""
FORKING = """
import os, sys, time
from pathlib import Path
from newleaf.system.busy_lock import quiet
with quiet(Path(sys.argv[1])):
    if os.fork() == 0:
        print("ready", flush=True)
        time.sleep(60)
        os._exit(0)
sys.stdin.read()
"""

needs_flock = pytest.mark.skipif(not shutil.which("flock"), reason="there is no flock program")
needs_proc = pytest.mark.skipif(
    not process_table.HAS_PROC, reason="only /proc says for sure who holds a lock"
)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


def test_app_without_jobs_is_idle_and_nothing_is_made_to_find_out(state: Path) -> None:
    assert probe(state).is_idle
    assert not is_job_running(state)
    assert list(state.iterdir()) == []


def test_job_makes_the_app_busy_until_it_ends(state: Path) -> None:
    """lessons.md L26"""
    with open_shared(state) as job:
        assert try_shared(job)
        assert not probe(state).is_idle
        assert is_job_running(state)
    assert probe(state).is_idle
    assert not is_job_running(state)


def test_app_is_busy_until_the_last_of_many_jobs_has_ended(state: Path) -> None:
    """lessons.md L26"""
    with open_shared(state) as one, open_shared(state) as two:
        assert try_shared(one)
        assert try_shared(two)
        with open_shared(state) as three:
            assert try_shared(three)
        assert not probe(state).is_idle


def test_nothing_becomes_quiet_while_a_job_runs(state: Path) -> None:
    """lessons.md L26"""
    with open_shared(state) as job:
        wait_shared(job)
        with pytest.raises(AppBusy) as busy, quiet(state):
            pytest.fail("a job runs")
    assert (busy.value.exit_code, busy.value.outcome) == (4, "waiting")
    assert "busy.lock is held by" in busy.value.message


def test_no_job_begins_while_it_is_quiet(state: Path) -> None:
    """lessons.md L26: not in the middle of an installation in place."""
    with quiet(state), open_shared(state) as job:
        assert not try_shared(job)
    with open_shared(state) as job:
        assert try_shared(job)


def test_job_that_waits_begins_as_soon_as_quiet_ends(state: Path) -> None:
    begun = threading.Event()

    def job() -> None:
        with open_shared(state) as lock:
            wait_shared(lock)
            begun.set()

    with quiet(state):
        thread = threading.Thread(target=job)
        thread.start()
        assert not begun.wait(0.05)
    assert begun.wait(10)
    thread.join()


def test_quiet_ends_with_its_process(state: Path) -> None:
    """lessons.md L35"""
    with python(QUIET, str(state)) as updater:
        assert not probe(state).is_idle
        os.kill(updater.pid, signal.SIGKILL)
        updater.wait()
        with open_shared(state) as job:
            assert try_shared(job)


def test_process_that_forks_while_it_is_quiet_does_not_keep_jobs_out(state: Path) -> None:
    """lessons.md L35"""
    with python(FORKING, str(state)):
        wait_until(lambda: probe(state).is_idle, "quiet to end while the forked child lives")


def test_one_who_asks_for_a_moment_is_not_taken_for_a_job(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(busy_lock, "LOOK_SECONDS", 10.0)
    path = state / "busy.lock"
    path.touch()

    def is_quiet() -> bool:
        with quiet(state):
            return True

    def is_idle() -> bool:
        return probe(state).is_idle

    with open(path, "rb") as file:
        for look in (is_idle, is_quiet):
            fcntl.flock(file, fcntl.LOCK_EX)
            asking = threading.Timer(0.02, fcntl.flock, (file, fcntl.LOCK_UN))
            asking.start()
            assert look()
            asking.join()


def test_many_who_ask_at_once_do_not_take_each_other_for_jobs(state: Path) -> None:
    with open_shared(state):
        pass
    answers: list[bool] = []

    def ask() -> None:
        answers.extend(probe(state).is_idle for _ in range(50))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 200
    assert all(answers)


def test_one_who_asks_never_keeps_quiet_from_beginning(state: Path) -> None:
    with open_shared(state):
        pass
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            probe(state)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(100):
            with quiet(state):
                pass
    finally:
        stop.set()
        thread.join()


@needs_flock
def test_job_by_the_flock_program_makes_the_app_busy(state: Path) -> None:
    with started("flock", "--shared", str(state / "busy.lock"), "sh", "-c", "echo ready; read line") as job:
        found = probe(state)
        assert not found.is_idle
        if process_table.HAS_PROC:
            assert job.pid in {holder.pid for holder in found.holders}
    wait_until(lambda: probe(state).is_idle, "the job to have ended")


@needs_flock
def test_flock_program_waits_while_it_is_quiet(state: Path) -> None:
    attempt = ["flock", "--shared", "--nonblock", str(state / "busy.lock"), "true"]
    with quiet(state):
        assert subprocess.run(attempt, check=False).returncode == 1
    assert subprocess.run(attempt, check=False).returncode == 0


def test_job_that_is_killed_makes_no_orphaned_lock(state: Path) -> None:
    """lessons.md L35"""
    job = "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, 1); print('ready', flush=True)"
    with python(f"{job}; time.sleep(60)", str(state / "busy.lock")) as child:
        assert not probe(state).is_idle
        child.kill()
        child.wait()
        assert probe(state).is_idle


@needs_proc
def test_child_that_outlives_its_job_counts_as_the_job_and_is_named(state: Path) -> None:
    """lessons.md L6, L26"""
    with python(JOB_WITH_A_CHILD, str(state), ready=False) as job:
        child = int(read_line(job.stdout))
        job.kill()
        job.wait()
        assert probe(state) == Probe(is_idle=False, holders=(Holder(child, "sleep"),))
        assert str(probe(state)) == f"busy.lock is held by sleep (pid {child})"


def test_holder_that_cannot_be_named_is_said_to_be_so() -> None:
    assert str(Probe(is_idle=False)) == "busy.lock is held by a process that cannot be named"
    assert str(Probe(is_idle=True)) == "no job runs"


@pytest.mark.parametrize(
    "use", [probe, lambda state: quiet(state).__enter__(), lambda s: open_shared(s).__enter__()]
)
def test_symlink_in_its_place_is_refused_and_the_other_file_untouched(
    state: Path, tmp_path: Path, use: object
) -> None:
    """threats.md T20"""
    other = tmp_path / "precious"
    other.write_text("precious")
    (state / "busy.lock").symlink_to(other)
    with pytest.raises(StateDirectoryUnsafe):
        use(state)  # type: ignore[operator]
    with open_lock(other) as descriptor:
        assert try_lock(descriptor, fcntl.LOCK_EX)
    assert other.read_text() == "precious"
