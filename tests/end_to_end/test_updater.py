"""`newleaf.Updater` in a real daemon: real git, a small keeper, and no command typed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.support.deployment import Deployment, wait_until
from tests.support.small_keeper import SmallKeeper

DAEMON = """\
import asyncio, json, os, signal, sys, time
import newleaf

HOME = os.path.expanduser("~")

async def beat(path):
    worst = 0.0
    while True:
        before = time.monotonic()
        await asyncio.sleep(0.005)
        worst = max(worst, time.monotonic() - before - 0.005)
        with open(path + ".new", "w") as file:
            json.dump(worst, file)
        os.replace(path + ".new", path)

async def job(updater, number, seconds):
    async with updater.busy(f"job {number}"):
        print("job", number, "begins", flush=True)
        await asyncio.sleep(seconds)
        print("job", number, "ends", flush=True)

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    updater = newleaf.Updater(name="sessions")
    for stage in ("flush", "acknowledge", "record", "drain"):
        updater.on_restart(lambda stage=stage: print("hook", stage, flush=True), stage=stage)
    async with updater:
        newleaf.ready()
        print("serves", os.getpid(), flush=True)
        beating = asyncio.create_task(beat(f"{HOME}/beat-{os.getpid()}"))
        number = 0
        while not stop.is_set():
            if os.path.exists(f"{HOME}/jobs") and not updater.restart_wanted:
                number += 1
                await job(updater, number, float(open(f"{HOME}/jobs").read()))
            await asyncio.sleep(0.01)

asyncio.run(main())
"""
OFTEN = "[watch]\npoll_seconds = 0.2\n"


def deployment_of(folder: Path, settings: str = OFTEN, **tables: Any) -> Deployment:
    made = Deployment.make(folder, {"daemon.py": DAEMON}, **{"restart": {"mode": "exit"}, **tables})
    made.host_settings(settings)
    return made


def await_next_second() -> None:
    """A flag is to the second: one from the second in which a daemon began counts as older."""
    began = int(time.time())
    wait_until(lambda: int(time.time()) > began, 2)


def test_a_commit_is_pushed_then_the_daemon_drains_leaves_with_42_and_runs_it(tmp_path: Path) -> None:
    deployment = deployment_of(tmp_path)
    with SmallKeeper(deployment).kept() as keeper:
        await_next_second()
        commit = deployment.release("1.1.0")
        keeper.says("serves", 2)
        wait_until(lambda: deployment.record("status.json")["status"] == "deployed")
        print(keeper.output)
        assert keeper.ends == [42]
        assert deployment.record("daemon.pid")["commit"] == commit
