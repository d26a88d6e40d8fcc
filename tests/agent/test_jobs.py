"""`newleaf.busy()`: jobs in threads, tasks and processes, and what they mean for an update."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from newleaf.agent.jobs import busy
from newleaf.core.errors import StateDirectoryUnsafe
from newleaf.core.job_errors import UpdateInstalling
from newleaf.system.busy_lock import probe, quiet, running_jobs
from tests.support.children import python

QUIET = """
import sys
from pathlib import Path
from newleaf.system.busy_lock import quiet
with quiet(Path(sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.readline()
"""
JOB = """
import sys, newleaf.agent.jobs
with newleaf.agent.jobs.busy():
    print("ready", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    monkeypatch.setenv("NEWLEAF_STATE_DIR", str(folder))
    return folder


def test_job_holds_the_lock_of_the_app_that_the_environment_names(state: Path) -> None:
    with busy():
        assert not probe(state).is_idle
    assert probe(state).is_idle


def test_job_of_a_named_state_directory_needs_no_environment(tmp_path: Path) -> None:
    with busy(state_dir=tmp_path / "other"):
        assert not probe(tmp_path / "other").is_idle


def test_job_makes_a_private_state_directory(state: Path) -> None:
    with busy():
        assert state.stat().st_mode & 0o777 == 0o700


def test_job_in_a_state_directory_that_others_can_write_is_refused(state: Path) -> None:
    """threats.md T21"""
    state.mkdir()
    state.chmod(0o777)
    with pytest.raises(StateDirectoryUnsafe) as refused, busy():
        pytest.fail("the job began")
    assert refused.value.advice == f"chmod 700 {state}"


def test_failing_job_ends_like_any_other(state: Path) -> None:
    with pytest.raises(ZeroDivisionError), busy("job 17"):
        raise ZeroDivisionError
    assert probe(state).is_idle
    assert running_jobs() == ()


def test_named_jobs_are_known_while_they_run(state: Path) -> None:
    with busy("job 17"), busy(), busy("job 18"):
        assert running_jobs() == ("job 17", "job 18")
    assert running_jobs() == ()


def test_job_inside_a_job_keeps_the_app_busy_to_the_end_of_the_outer(state: Path) -> None:
    job = busy()
    with job:
        with job:
            pass
        assert not probe(state).is_idle
    assert probe(state).is_idle


def test_many_jobs_in_threads_keep_the_app_busy_to_the_last(state: Path) -> None:
    """lessons.md L26"""
    all_in, out = threading.Barrier(9), threading.Event()

    def job(_: int) -> None:
        with busy():
            all_in.wait(10)
            out.wait(10)

    with ThreadPoolExecutor(8) as pool:
        done = pool.map(job, range(8))
        all_in.wait(10)
        assert not probe(state).is_idle
        out.set()
        list(done)
    assert probe(state).is_idle


def test_job_in_a_thread_waits_while_the_live_tree_is_changed(state: Path) -> None:
    """lessons.md L26"""
    order: list[str] = []

    def job() -> None:
        with busy():
            order.append("job")

    with python(QUIET, str(prepared(state))) as updater:
        thread = threading.Thread(target=job)
        thread.start()
        time.sleep(0.05)
        order.append("update ends")
        assert updater.stdin
        updater.stdin.write("\n")
        updater.stdin.flush()
        thread.join(10)
    assert order == ["update ends", "job"]


async def _begin_during_update(state: Path) -> tuple[float, bool]:
    """How long the loop stood still at most while a job waited for an update, and whether the job ran."""
    worst, ran = 0.0, False

    async def heartbeat() -> None:
        nonlocal worst
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            worst = max(worst, time.monotonic() - before)

    beating = asyncio.create_task(heartbeat())
    held = quiet(state)
    held.__enter__()
    asyncio.get_running_loop().call_later(0.2, held.__exit__, None, None, None)
    async with busy("job 17"):
        ran = True
        assert not probe(state).is_idle
    beating.cancel()
    return worst, ran


def test_job_in_a_coroutine_waits_and_the_loop_goes_on(state: Path) -> None:
    """lessons.md L30: the update is in the same process, on the same loop."""
    worst, ran = asyncio.run(_begin_during_update(prepared(state)))
    assert ran
    # Generous for a loaded machine; waiting in the kernel would have stopped the loop for good.
    assert worst < 1.0
    assert probe(state).is_idle


def test_plain_with_in_a_coroutine_fails_rather_than_stop_the_loop(state: Path) -> None:
    """lessons.md L30"""

    async def begin() -> None:
        with quiet(prepared(state)), pytest.raises(UpdateInstalling) as refused, busy():
            pytest.fail("the job began")
        assert "async with" in refused.value.advice
        with busy():
            assert not probe(state).is_idle

    asyncio.run(begin())
    assert probe(state).is_idle


def test_job_that_is_cancelled_while_it_waits_leaves_nothing_behind(state: Path) -> None:
    async def give_up() -> None:
        with quiet(prepared(state)):
            task = asyncio.create_task(busy("job 17").__aenter__())
            await asyncio.sleep(0.03)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert probe(state).is_idle

    asyncio.run(give_up())
    assert running_jobs() == ()


def test_many_jobs_in_tasks_keep_the_app_busy_to_the_last(state: Path) -> None:
    """lessons.md L26"""

    async def job(out: asyncio.Event) -> None:
        async with busy():
            await out.wait()

    async def together() -> None:
        out = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(job(out))
            await asyncio.sleep(0.01)
            assert not probe(state).is_idle
            out.set()

    asyncio.run(together())
    assert probe(state).is_idle


def test_job_of_a_killed_process_is_over(state: Path) -> None:
    """lessons.md L35"""
    with python(JOB) as child:
        assert not probe(state).is_idle
        child.kill()
        child.wait()
        assert probe(state).is_idle


def prepared(state: Path) -> Path:
    with busy(state_dir=state):
        return state


APP = """
import newleaf
with newleaf.busy(), newleaf.busy():
    print("ready", flush=True)
"""


def app_at(folder: Path, name: str) -> Path:
    (folder / ".git").mkdir(parents=True)
    (folder / "newleaf.toml").write_text(f'[app]\nname = "{name}"\n')
    (folder / "daemon.py").write_text(APP)
    return folder


def run_job(app: Path, stands_in: Path, home: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(app / "daemon.py")],
        cwd=stands_in,
        env={"HOME": str(home), "PATH": ""},
        timeout=30,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"ready\n"), done.stderr


@pytest.mark.parametrize("stands_in", [".", "other"])
def test_l26_program_that_stands_elsewhere_then_the_lock_is_that_of_its_own_app(
    tmp_path: Path, stands_in: str
) -> None:
    """lessons.md L26: another app's lock would leave its jobs to be cut off."""
    app = app_at(tmp_path / "app", "mine")
    app_at(tmp_path / "other", "another")
    for name in (".mine", ".another"):
        (tmp_path / name).mkdir(mode=0o700)
    run_job(app, tmp_path / stands_in, tmp_path)
    assert [(tmp_path / name / "busy.lock").exists() for name in (".mine", ".another")] == [True, False]


def test_developed_and_not_deployed_here_then_a_job_makes_no_state_directory(tmp_path: Path) -> None:
    """One that is there would have the next `Updater` move a developer's checkout."""
    app = app_at(tmp_path / "app", "mine")
    run_job(app, app, tmp_path)
    assert not (tmp_path / ".mine").exists()
