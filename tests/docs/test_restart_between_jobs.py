"""docs/how-to/restart-between-jobs.md: its programs as they stand, through a restart and a kill."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from arq.connections import RedisSettings, create_pool
from redis import Redis

from tests.support.deployment import Deployment, wait_until
from tests.support.redis_server import ENGINES, serve_redis
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


NAMES = [f"job-{number:02}" for number in range(JOBS)]


def put_files(home: Path, _: str) -> None:
    (home / "jobs").mkdir()
    for name in NAMES:
        (home / "jobs" / f"{name}.json").write_text(json.dumps({"name": name}))


def put_rows(home: Path, _: str) -> None:
    with sqlite3.connect(home / "jobs.db") as database:
        database.execute(re.findall(r'^TABLE = "(.*)"', PROGRAMS["sqlite_jobs.py"], re.MULTILINE)[0])
        rows = [(json.dumps({"name": name}),) for name in NAMES]
        database.executemany("INSERT INTO jobs (job) VALUES (?)", rows)
    database.close()


def put_in_list(_: Path, url: str) -> None:
    with Redis.from_url(url) as redis:
        redis.rpush("jobs", *(json.dumps({"name": name}) for name in NAMES))


def put_in_arq(_: Path, url: str) -> None:
    async def put() -> None:
        queue = await create_pool(RedisSettings.from_dsn(url))
        for name in NAMES:
            await queue.enqueue_job("run", {"name": name}, _job_id=name)
        await queue.aclose()

    asyncio.run(put())


PUT: dict[str, Callable[[Path, str], None]] = {
    "asyncio_queue.py": put_files,
    "sqlite_jobs.py": put_rows,
    "redis_jobs.py": put_in_list,
    "arq_jobs.py": put_in_arq,
}
CASES: list[tuple[str, str | None]] = [("asyncio_queue.py", None), ("sqlite_jobs.py", None)]
CASES += [(program, engine) for program in ("redis_jobs.py", "arq_jobs.py") for engine in ENGINES]


def test_every_program_of_the_page_is_run() -> None:
    assert PROGRAMS.keys() == PUT.keys() == {program for program, _ in CASES}


@pytest.mark.parametrize(("program", "engine"), CASES)
def test_running_jobs_finish_waiting_ones_survive_and_one_cut_off_is_done_again(
    program: str, engine: str | None, tmp_path: Path
) -> None:
    """Promise 2, lessons.md L26"""
    files = {"daemon.py": PROGRAMS[program], "jobs.py": WORK}
    deployment = Deployment.make(tmp_path, files, restart={"mode": "exit"})
    deployment.host_settings("[watch]\npoll_seconds = 0.2\n")
    (deployment.home / "slow").touch()

    def log(word: str) -> list[tuple[str, str]]:
        """Who began or ended, and in which process."""
        path = deployment.home / "work.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(line.split()[1], line.split()[2]) for line in lines if line.startswith(word)]

    with contextlib.ExitStack() as stack:
        url = stack.enter_context(serve_redis(engine)).url if engine else ""
        PUT[program](deployment.home, url)
        keeper = stack.enter_context(SmallKeeper(deployment, REDIS_URL=url).kept(says=""))
        wait_until(lambda: log("begins"))
        keeper.signal(signal.SIGKILL)
        wait_until(lambda: keeper.ends)
        ended_before = len(log("ends"))
        cut_off = [name for name, process in log("begins") if (name, process) not in log("ends")]
        wait_until(lambda: len(log("ends")) > ended_before)
        deployment.release("1.1.0")
        wait_until(lambda: 42 in keeper.ends)
        assert len(log("ends")) < JOBS, "the restart came between two jobs"
        (deployment.home / "slow").unlink()
        wait_until(lambda: len(log("ends")) == JOBS)
        wait_until(lambda: keeper.running and keeper.running.poll() is None)
    assert keeper.ends == [-signal.SIGKILL, 42, 0]
    assert sorted(name for name, _ in log("ends")) == NAMES, "each is done once"
    assert sorted(name for name, _ in log("begins")) == sorted([*NAMES, *cut_off]), (
        "those that were cut off began twice, and no other"
    )
