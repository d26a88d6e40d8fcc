"""docs/how-to/restart-between-jobs.md: its programs as they stand, through a restart and a kill."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.deployment import Deployment, wait_until
from tests.support.small_keeper import SmallKeeper

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/restart-between-jobs.md"
PROGRAMS = dict(re.findall(r"^```python (\S+)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
JOBS = 40
"""More than can be done before the restart, while each takes its time."""
WORK = """\
import os, time
def work(job):
    with open(os.path.expanduser("~/work.log"), "a") as log:
        print("begins", job["name"], os.getpid(), file=log, flush=True)
        time.sleep(0.4 if os.path.exists(os.path.expanduser("~/slow")) else 0)
        print("ends", job["name"], os.getpid(), file=log, flush=True)
"""


def put_files(home: Path) -> None:
    (home / "jobs").mkdir()
    for number in range(JOBS):
        (home / "jobs" / f"{number:02}.json").write_text(json.dumps({"name": f"job-{number:02}"}))


def put_rows(home: Path) -> None:
    with sqlite3.connect(home / "jobs.db") as database:
        database.execute(re.findall(r'^TABLE = "(.*)"', PROGRAMS["sqlite_jobs.py"], re.MULTILINE)[0])
        rows = [(json.dumps({"name": f"job-{number:02}"}),) for number in range(JOBS)]
        database.executemany("INSERT INTO jobs (job) VALUES (?)", rows)
    database.close()


PUT: dict[str, Callable[[Path], None]] = {"asyncio_queue.py": put_files, "sqlite_jobs.py": put_rows}


def test_every_program_of_the_page_is_run() -> None:
    assert PROGRAMS.keys() == PUT.keys()


@pytest.mark.parametrize("program", PUT)
def test_running_jobs_finish_waiting_ones_survive_and_one_cut_off_is_done_again(
    program: str, tmp_path: Path
) -> None:
    """Promise 2, lessons.md L26"""
    files = {"daemon.py": PROGRAMS[program], "jobs.py": WORK}
    deployment = Deployment.make(tmp_path, files, restart={"mode": "exit"})
    deployment.host_settings("[watch]\npoll_seconds = 0.2\n")
    PUT[program](deployment.home)
    (deployment.home / "slow").touch()

    def log(word: str) -> list[str]:
        path = deployment.home / "work.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.split()[1] for line in lines if line.startswith(word)]

    keeper = SmallKeeper(deployment)
    with keeper.kept(says=""):
        wait_until(lambda: log("begins"))
        keeper.signal(signal.SIGKILL)
        wait_until(lambda: len(log("ends")) == 1)
        deployment.release("1.1.0")
        wait_until(lambda: 42 in keeper.ends)
        assert len(log("ends")) < JOBS, "the restart came between two jobs"
        (deployment.home / "slow").unlink()
        wait_until(lambda: len(log("ends")) == JOBS)
        wait_until(lambda: keeper.running and keeper.running.poll() is None)
    assert keeper.ends == [-signal.SIGKILL, 42, 0]
    names = [f"job-{number:02}" for number in range(JOBS)]
    assert sorted(log("ends")) == names, "each is done once"
    assert sorted(log("begins")) == ["job-00", *names], "the one that was cut off began twice"
