"""`newleaf guard` before each start of a real daemon, under a manager that starts it whenever it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import DAEMON, NEWLEAF, Deployment, SlotDeployment, wait_until
from tests.support.http_server import Answer, LocalServer, serving

DIES = "raise SystemExit('a broken release')\n"
PAUSE_SECONDS = 0.05
SETTINGS: dict[str, Any] = {"restart": {"mode": "sigterm"}, "health": {"max_starts": 1}}


class BareManager:
    """Guards and starts `daemon.py` of what is live, again and again, until told to stop."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self.guarded: list[int] = []
        """The exit codes of the guard, in order."""
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def await_guarded(self, codes: list[int]) -> None:
        """Waits until the guard has ended with these codes, one after the other, since the last time."""
        wait_until(lambda: len(self.guarded) >= len(codes))
        assert self.guarded[: len(codes)] == codes
        self.guarded.clear()

    def stop(self) -> None:
        """Ends the daemon for good."""
        self._stopping.set()
        while self._thread.is_alive():
            if self._process:
                self._process.kill()
            self._thread.join(0.05)

    def _keep(self) -> None:
        environment = self._deployment.variables | {"NEWLEAF_STATE_DIR": str(self._deployment.state)}
        while not self._stopping.wait(PAUSE_SECONDS):
            app = self._deployment.app.resolve()
            code = self._run([*NEWLEAF, "guard"], app, environment)
            self.guarded.append(code)
            if code == 0 and not self._stopping.is_set():
                self._run([sys.executable, "daemon.py"], app, environment)

    def _run(self, call: list[str], folder: Path, environment: dict[str, str]) -> int:
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(call, cwd=folder, env=environment, stdout=quiet, stderr=quiet)
        return self._process.wait()


@pytest.fixture
def chat() -> Iterator[LocalServer]:
    """Where notices are posted."""
    with serving(lambda _: Answer(204)) as server:
        yield server


def test_a_release_that_dies_at_start_is_stopped_told_once_and_left_by_a_person(
    tmp_path: Path, chat: LocalServer
) -> None:
    """lessons.md L3, L5, L32, L34"""
    host = SlotDeployment.make(tmp_path, {"daemon.py": DAEMON}, **SETTINGS)
    host.host_settings(f'[notify]\nurls = ["{chat.url}"]\nallow_private = ["127.0.0.1"]\n')
    good = host.head()
    manager = BareManager(host)
    try:
        wait_until(lambda: deployed(host) == good)
        manager.await_guarded([0])
        bad = host.release("1.1.0", {"daemon.py": DIES})
        assert host.run("update").outcome == "updated"
        manager.await_guarded([0, 0, 7, 7, 7])
        status = host.run("status").record
        assert (status["status"], status["running"]) == ("inconsistent", None)
        assert status["target"]["commit"] == bad
        assert "1.1.0" in status["error"]
        posts = [json.loads(post.body)["newleaf"]["status"] for post in chat.received]
        assert posts.count("inconsistent") == 1
        log = (host.state / "logs/update.log").read_text()
        assert log.count("it is not started") == 1
        assert host.head() == bad, "it never reverts"
        back = host.run("rollback")
        assert (back.code, back.outcome) == (0, "ok")
        wait_until(lambda: deployed(host) == good)
        manager.guarded.clear()
        for _ in range(2):
            pid = host.record("daemon.pid")["pid"]
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda old=pid: host.record("daemon.pid")["pid"] != old)  # type: ignore[misc]
        manager.await_guarded([0] * 2)
    finally:
        manager.stop()
    assert host.record("guard.json")["abnormal_ends"] == [], "it was confirmed"


def deployed(host: Deployment) -> str | None:
    """The commit that a process has reported, once everybody is told."""
    if not (host.state / "status.json").exists():
        return None
    status = host.record("status.json")
    return status["running"]["commit"] if status["status"] == "deployed" and status["running"] else None
