"""`newleaf.Updater` in a daemon that systemd, or a keeper by launchd's rules, runs without a launcher."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from newleaf.core.services.plan import make_plan
from newleaf.core.services.subject import Wish
from newleaf.core.settings.sections import Restart
from tests.support.deployment import Deployment
from tests.support.kills import wait_until
from tests.support.launchd_keeper import LaunchdKeeper
from tests.support.real_systemd import RealSystemd, real_systemd, why_not
from tests.support.services import subject, write_newleaf

DAEMON = """\
import asyncio, os, signal
import newleaf

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with newleaf.Updater():
        with open(os.path.join(os.environ["NEWLEAF_STATE_DIR"], "starts"), "a") as starts:
            starts.write(f"{os.getpid()}\\n")
        newleaf.ready()
        await stop.wait()

asyncio.run(main())
"""
OFTEN = "[watch]\npoll_seconds = 0.2\n"


def make(folder: Path) -> Deployment:
    """An app whose daemon leaves by itself, with 42."""
    command = [sys.executable, "daemon.py"]
    tables: dict[str, Any] = {"app": {"command": command, "stop_seconds": 5}, "restart": {"mode": "exit"}}
    made = Deployment.make(folder, {"daemon.py": DAEMON}, **tables)
    made.host_settings(OFTEN)
    return made


def starts(deployment: Deployment) -> list[str]:
    path = deployment.state / "starts"
    return path.read_text().splitlines() if path.exists() else []


def update_by_push(deployment: Deployment) -> None:
    """Publishes a release, and waits until the daemon runs it: started twice in all."""
    wait_until((deployment.state / "status.json").exists, "the daemon to report")
    commit = deployment.release("1.1.0")

    def runs() -> bool:
        status = deployment.record("status.json")
        return status["status"] == "deployed" and (status["running"] or {}).get("commit") == commit

    wait_until(runs, "the new process to report")
    assert len(starts(deployment)) == 2
    outcomes = [(line["outcome"], line["confirmed"]) for line in deployment.lines("history.jsonl")]
    assert outcomes[-1] == ("updated", True)


@pytest.fixture(scope="module")
def systemd() -> Iterator[RealSystemd]:
    if reason := why_not():
        pytest.skip(reason)
    with real_systemd() as running:
        yield running


def test_under_systemd_a_push_is_enough_and_one_daemon_follows_the_other(systemd: RealSystemd) -> None:
    """lessons.md L28: 42 is a restart for the unit, and no failure."""
    deployment = make(systemd.folder / "updater")
    unit = "newleaf-sessions.service"

    def service(verb: str) -> None:
        call = ["--state-dir", str(deployment.state), "service", verb, "--user", "--systemd", "--yes"]
        done = systemd.run("env", "-C", str(deployment.app), sys.executable, "-m", "newleaf", *call)
        assert done.returncode == 0, done.stdout + done.stderr

    service("install")
    update_by_push(deployment)
    assert systemd.show(unit, "ActiveState") == "active"
    assert systemd.show(unit, "MainPID") == starts(deployment)[-1]
    service("uninstall")


@pytest.mark.skipif(sys.platform == "darwin", reason="there the real launchd is the one to ask")
def test_under_launchds_rules_a_push_is_enough_and_one_daemon_follows_the_other(tmp_path: Path) -> None:
    """lessons.md L28: 42 is no success, so launchd starts it again."""
    deployment = make(tmp_path)
    made = subject(
        deployment.state,
        restart=Restart(mode="exit"),
        command=(sys.executable, "daemon.py"),
        newleaf=write_newleaf(tmp_path / "newleaf"),
        folder=deployment.app,
        search=os.environ["PATH"],
        stop_seconds=5.0,
    )
    (deployment.state / "logs").mkdir()
    [file] = make_plan(made, Wish("launchd"))
    with LaunchdKeeper(file.content, scale=0.02).kept() as keeper:
        update_by_push(deployment)
        assert keeper.ends == [42]
