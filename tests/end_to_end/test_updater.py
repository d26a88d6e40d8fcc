"""`newleaf.Updater` in a real daemon: real git, a small keeper or `newleaf run`, and no command typed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import Deployment, wait_until
from tests.support.kills import PATIENCE_SECONDS
from tests.support.small_keeper import QUICK, SLOW, SmallKeeper

DAEMON = """\
import asyncio, contextlib, glob, json, os, signal, time
import newleaf

HOME = os.path.expanduser("~")

def delays():
    # How long each thread was kept from running because other processes had the processors.
    found = {}
    for path in glob.glob("/proc/self/task/*/schedstat"):
        with contextlib.suppress(OSError), open(path) as file:
            found[path] = int(file.read().split()[1]) / 1e9
    return found

async def beat(path):
    # The longest time that the loop stood still, other than for want of a processor.
    worst, kept = 0.0, delays()
    while True:
        before = time.monotonic()
        await asyncio.sleep(0.005)
        late = time.monotonic() - before - 0.005
        if late > worst:
            kept, had = delays(), kept
            late -= sum(kept[path] - had.get(path, 0.0) for path in kept)
        else:
            kept = delays()
        if late > worst:
            worst = late
            with open(path, "w") as file:
                file.write(str(worst))

async def work(updater):
    number = 0
    while not updater.restart_wanted:
        number += 1
        async with updater.busy(f"job {number}"):
            print("job", number, "begins")
            await asyncio.sleep(float(open(f"{HOME}/jobs").read()))
            print("job", number, "ends")

async def serve(updater, stop):
    while not stop.is_set():
        if os.path.exists(f"{HOME}/jobs"):
            await work(updater)
        if os.path.exists(f"{HOME}/asked"):
            os.rename(f"{HOME}/asked", f"{HOME}/asking")
            answers = await asyncio.gather(updater.request("chat"), updater.request("http"))
            with open(f"{HOME}/answers.new", "w") as file:
                json.dump(answers, file)
            os.rename(f"{HOME}/answers.new", f"{HOME}/answers")
        await asyncio.sleep(0.01)

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = newleaf.Settings(**json.loads(os.environ.get("GIVEN", "{}")))
    updater = newleaf.Updater(settings=settings)
    for stage in ("flush", "acknowledge", "record", "drain"):
        updater.on_restart(lambda stage=stage: print("hook", stage), stage=stage)
    beating = asyncio.create_task(beat(f"{HOME}/beat-{os.getpid()}"))
    async with updater:
        newleaf.ready(settings)
        print("serves", os.getpid())
        await serve(updater, stop)
    print("told to end")

asyncio.run(main())
"""
THREADED = """\
import os, signal, time
import newleaf

stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
updater = newleaf.Updater()
with updater:
    newleaf.ready()
    print("serves", os.getpid())
    while not stop:
        with updater.busy("a look"):
            time.sleep(0.05)
        while updater.restart_wanted and not stop:
            time.sleep(0.01)
print("told to end")
"""
OFTEN = "[watch]\npoll_seconds = 0.2\n"
SELDOM = "[watch]\npoll_seconds = 3600\n"
SLOW_INSTALL = 'touch "$HOME/begun"; while [ ! -e "$HOME/may-end" ]; do sleep 0.02; done'


def make(
    folder: Path, host: str = OFTEN, daemon: str = DAEMON, mode: str = "exit", **tables: Any
) -> Deployment:
    made = Deployment.make(folder, {"daemon.py": daemon}, restart={"mode": mode}, **tables)
    made.host_settings(host)
    return made


def runs(deployment: Deployment, commit: str) -> bool:
    """Whether a live process has reported the commit, and all is told."""
    status = deployment.record("status.json")
    return status["status"] == "deployed" and (status["running"] or {}).get("commit") == commit


def outcomes(deployment: Deployment) -> list[tuple[str, str, Any]]:
    lines = deployment.lines("history.jsonl")
    return [
        (line["outcome"], line["to"]["version"], line["confirmed"])
        for line in lines
        if line["outcome"] != "started"
    ]


def worst_beat(deployment: Deployment) -> float:
    """The longest time that the event loop of any process stood still."""
    return max(float(path.read_text() or 0) for path in deployment.home.glob("beat-*"))


# --- a restart of its own -----------------------------------------------------------------


def test_a_commit_is_pushed_then_the_job_ends_and_the_daemon_leaves_with_42_and_runs_it(
    tmp_path: Path,
) -> None:
    """Job after job, and still it is updated, between two (lessons.md L1, L26, L27, L29, L31)."""
    deployment = make(tmp_path)
    (deployment.home / "jobs").write_text("0.7")
    with SmallKeeper(deployment).kept() as keeper:
        keeper.says("job 1 begins")
        commit = deployment.release("1.1.0")
        keeper.says("serves", 2)
        first = keeper.output.partition("leaves for a restart, with exit code 42")[0]
        assert first.count("begins") == first.count("ends") > 0
        after = keeper.output[len(first) :].split("serves")[0]
        assert "job" not in after
        found = [line for line in keeper.output.splitlines() if line.startswith("hook")]
        assert found == ["hook drain", "hook record", "hook acknowledge", "hook flush"]
        wait_until(lambda: runs(deployment, commit))
        wait_until(lambda: ("updated", "1.1.0", True) in outcomes(deployment))
        assert keeper.ends == [42]
        assert not (deployment.state / "restart-requested").exists()
        assert not (deployment.state / "planned-restart").exists()
        (deployment.home / "jobs").unlink()


def test_mode_sigterm_then_it_drains_and_signals_itself(tmp_path: Path) -> None:
    deployment = make(tmp_path, mode="sigterm")
    with SmallKeeper(deployment).kept() as keeper:
        deployment.release("1.1.0")
        keeper.says("told to end")
        wait_until(lambda: keeper.ends == [0])
        assert keeper.output.index("hook flush") < keeper.output.index("told to end")
        status = deployment.record("status.json")
        assert (status["status"], status["running"], status["waiting_for"]) == ("restarting", None, [])


def test_threaded_daemon_then_the_same(tmp_path: Path) -> None:
    deployment = make(tmp_path, daemon=THREADED)
    with SmallKeeper(deployment).kept() as keeper:
        commit = deployment.release("1.1.0")
        keeper.says("serves", 2)
        wait_until(lambda: runs(deployment, commit))
        assert keeper.ends == [42]
    assert keeper.ends == [42, 0]
    assert "told to end" in keeper.output


def test_no_keeper_then_it_stays_and_says_so_once_and_why_tells(tmp_path: Path) -> None:
    """lessons.md L6"""
    deployment = make(tmp_path)
    with SmallKeeper(deployment, NEWLEAF_KEEPER="0").kept() as keeper:
        deployment.release("1.1.0")
        keeper.says("no keeper: a restart is wanted")
        (deployment.home / "jobs").write_text("0.1")
        keeper.says("ends", 5)
        summary = deployment.run("why").record["summary"]
        assert "restart is owed" in summary
        assert "no keeper is seen that would start it again" in summary
        assert keeper.output.count("no keeper: ") == 1
        assert keeper.ends == []
        (deployment.home / "jobs").unlink()


def test_killed_in_the_middle_of_an_attempt_then_the_next_process_ends_up_at_the_target(
    tmp_path: Path,
) -> None:
    """Promise 5, lessons.md L13, L27"""
    deployment = make(tmp_path, update={"install": ["sh", "-c", SLOW_INSTALL]})
    with SmallKeeper(deployment).kept() as keeper:
        commit = deployment.release("1.1.0")
        wait_until((deployment.home / "begun").exists)
        keeper.signal(signal.SIGKILL)
        keeper.says("serves", 2)
        (deployment.home / "may-end").touch()
        wait_until(lambda: ("updated", "1.1.0", True) in outcomes(deployment))
        wait_until(lambda: runs(deployment, commit))
        assert {to for _, to, _ in outcomes(deployment)} == {"1.1.0"}
        assert len({line["attempt"] for line in deployment.lines("journal.jsonl")}) == 1
    assert set(keeper.ends[1:-1]) <= {42}


# --- what it is like from inside ------------------------------------------------------------


def test_a_whole_update_then_the_event_loop_never_stood_still_for_fifty_milliseconds(
    tmp_path: Path,
) -> None:
    """lessons.md L30; a machine that is busy elsewhere delays a loop too: one quiet update of five counts,
    and where processes stand in line for the processors, the line is allowed for."""
    deployment = make(tmp_path)
    stalls: list[float] = []
    with SmallKeeper(deployment).kept() as keeper:
        for number in range(1, 6):
            commit = deployment.release(f"1.{number}.0")
            keeper.says("serves", number + 1)
            wait_until(lambda commit=commit: runs(deployment, commit))  # type: ignore[misc]
            stalls.append(worst_beat(deployment))
            if stalls[-1] < 0.05 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)):
                return
            for path in deployment.home.glob("beat-*"):
                path.unlink()
    raise AssertionError(f"the loop stood still: {stalls}")


def test_a_signal_is_written_then_noticed_within_two_seconds(tmp_path: Path) -> None:
    """And the attempt has begun by then; on a machine that is busy elsewhere one signal of four counts."""
    deployment = make(tmp_path, SELDOM, mode="none")
    took: list[float] = []
    with SmallKeeper(deployment, SLOW).kept():
        for number in range(1, 5):
            commit = deployment.release(f"1.{number}.0")
            text = {"current": deployment.head(), "available": commit, "channel": "alpha"}
            (deployment.state / "update_available.json").write_text(json.dumps(text))
            began = time.monotonic()
            wait_until(lambda number=number: deployment.states().count("fetch") == number)  # type: ignore[misc]
            took.append(time.monotonic() - began)
            wait_until(lambda commit=commit: deployment.head() == commit)  # type: ignore[misc]
            if took[-1] < 2:
                return
            wait_until(lambda number=number: len(outcomes(deployment)) == number)  # type: ignore[misc]
    raise AssertionError(f"noticed after {took} seconds")


def test_two_callers_and_a_timer_at_once_then_one_update_and_an_answer_for_each(tmp_path: Path) -> None:
    """lessons.md L36"""
    deployment = make(tmp_path, SELDOM, mode="none")
    with SmallKeeper(deployment).kept():
        commit = deployment.release("1.1.0")
        (deployment.home / "asked").touch()
        timer = deployment.run("update")
        answers = deployment.home / "answers"
        wait_until(answers.exists)
        chat, http = json.loads(answers.read_text())
        assert len({line["attempt"] for line in deployment.lines("journal.jsonl")}) == 1
        assert deployment.head() == commit
        told = {chat["outcome"], http["outcome"], timer.outcome}
        assert told <= {"updated", "up_to_date", "locked"}
        assert {chat["outcome"], http["outcome"]} & {"updated", "up_to_date"}
        assert chat["to"]["commit"] == http["to"]["commit"] == commit
        assert "one update was made for 2 requests" in chat["notes"] + http["notes"]


def test_settings_given_in_code_then_the_daemon_and_its_attempts_agree(tmp_path: Path) -> None:
    deployment = make(tmp_path, SELDOM)
    given = {"deployment": {"channel": "stable", "pinned_minor": "1.0"}, "watch": {"poll_seconds": 0.2}}
    with SmallKeeper(deployment, GIVEN=json.dumps(given)).kept() as keeper:
        deployment.release("1.1.0")
        patch = deployment.release("1.0.1")
        keeper.says("serves", 2)
        wait_until(lambda: runs(deployment, patch))
        assert deployment.record("status.json")["channel"] == "stable"


def test_two_daemons_with_one_state_directory_then_one_watches_and_the_other_takes_over(
    tmp_path: Path,
) -> None:
    deployment = make(tmp_path, SELDOM, mode="none")
    with SmallKeeper(deployment).kept() as first:
        assert first.running
        other = SmallKeeper(deployment)
        other.log = tmp_path / "other.log"
        with other.kept():
            other.says(f"watches and updates: python (pid {first.running.pid}")
            (deployment.home / "asked").touch()
            deployment.host_settings(OFTEN)
            commit = deployment.release("1.1.0")
            wait_until(lambda: deployment.head() == commit)
            assert len({line["attempt"] for line in deployment.lines("journal.jsonl")}) == 1
            first.signal(signal.SIGTERM)
            wait_until(lambda: first.ends == [0])
            commit = deployment.release("1.2.0")
            wait_until(lambda: deployment.head() == commit)
            assert other.output.count("watches and updates") == 1


def test_a_flag_from_before_lies_there_at_the_start_then_it_is_removed_and_nothing_restarts(
    tmp_path: Path,
) -> None:
    """lessons.md L27, L29: never a restart loop"""
    deployment = make(tmp_path, SELDOM)
    (deployment.state / "restart-requested").write_text("2020-01-01T00:00:00Z 3 commit(s)\n")
    with SmallKeeper(deployment).kept() as keeper:
        assert not (deployment.state / "restart-requested").exists()
        time.sleep(0.3)
        assert keeper.ends == []


def test_a_flag_that_is_none_is_written_while_jobs_run_then_they_go_on_and_the_next_start_removes_it(
    tmp_path: Path,
) -> None:
    """lessons.md L26, L27"""
    deployment = make(tmp_path, SELDOM)
    flag = deployment.state / "restart-requested"
    (deployment.home / "jobs").write_text("0.01")
    stale, early = (f"{year}-01-01T00:00:00Z 3 commit(s)\n" for year in (2020, 2999))
    with SmallKeeper(deployment).kept() as keeper:
        for text in (early, "now, please", stale):
            flag.write_text(text)
            done = keeper.output.count("ends")
            # So many take longer than the departure takes to look.
            keeper.says("ends", done + 15)
            assert (keeper.ends, flag.read_text()) == ([], text)
        keeper.signal(signal.SIGKILL)
        keeper.says("serves", 2)
        assert not flag.exists()
        assert keeper.ends == [-signal.SIGKILL]
        (deployment.home / "jobs").unlink()  # the daemon has no other end to its jobs


# --- under the launcher -----------------------------------------------------------------------


@contextlib.contextmanager
def launched(deployment: Deployment) -> Iterator[Path]:
    """`newleaf run`, from when the daemon serves; yields what both print."""
    log = deployment.folder / "launcher.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            deployment.words("run"),
            cwd=deployment.app,
            env={**deployment.variables, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        with contextlib.suppress(AssertionError):
            wait_until(lambda: "serves" in log.read_text(), PATIENCE_SECONDS)
        assert "serves" in log.read_text(), log.read_text()
        yield log
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_under_the_launcher_then_its_agent_goes_and_the_launcher_hands_over(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    deployment = make(
        tmp_path_factory.mktemp("run"),  # a socket's path must be short
        mode="auto",
        app={"command": [*QUICK, "daemon.py"]},
        health={"probation": 0.3, "ready": 10},
    )
    with launched(deployment) as log:
        wait_until(lambda: "the daemon has an agent of its own" in log.read_text())
        commit = deployment.release("1.1.0")
        wait_until(lambda: log.read_text().count("serves") == 2, PATIENCE_SECONDS)
        wait_until(lambda: ("updated", "1.1.0", True) in outcomes(deployment), PATIENCE_SECONDS)
        assert runs(deployment, commit)
        assert deployment.lines("history.jsonl")[-1]["origin"] == "poll"
        assert "told to end" in log.read_text()
