"""A small keeper: starts a daemon, and again whenever it has left with 42; any other end is the end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.deployment import Deployment, wait_until
from tests.support.kills import PATIENCE_SECONDS

QUICK = (sys.executable, str(Path(__file__).with_name("quick_updater.py")))
SLOW = (sys.executable,)
LOOK_SECONDS = 0.01


class SmallKeeper:
    """Keeps `daemon.py` of one deployment. `ends` are its exit codes so far, `output` what it printed."""

    def __init__(self, deployment: Deployment, program: Sequence[str] = QUICK, **env: str) -> None:
        self.deployment = deployment
        self.program = program
        self.env: Mapping[str, str] = {"NEWLEAF_KEEPER": "1", **env}
        self.ends: list[int] = []
        self.running: subprocess.Popen[bytes] | None = None
        self.log = deployment.folder / "daemon.log"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep)

    @contextlib.contextmanager
    def kept(self, says: str = "serves") -> Iterator[SmallKeeper]:
        """From when the daemon has said so; afterwards it is ended."""
        self._thread.start()
        try:
            self.says(says)
            yield self
        finally:
            self._stop.set()
            self._thread.join(PATIENCE_SECONDS)

    @property
    def output(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def says(self, text: str, times: int = 1) -> None:
        """Waits until it has said this so many times."""
        try:
            wait_until(lambda: self.running and self.output.count(text) >= times, PATIENCE_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{text!r} is not {times} times in {self.output}") from error

    def signal(self, number: signal.Signals) -> None:
        """Signals the daemon that runs now."""
        assert self.running
        self.running.send_signal(number)

    def _keep(self) -> None:
        while not self._stop.is_set():
            with self.log.open("ab") as output:
                env = {**self.deployment.variables, **self.env, "PYTHONUNBUFFERED": "1"}
                self.running = subprocess.Popen(
                    [*self.program, "daemon.py"],
                    cwd=self.deployment.app,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            while self.running.poll() is None and not self._stop.wait(LOOK_SECONDS):
                pass
            if self.running.poll() is None:
                self._end(self.running)
            self.ends.append(self.running.wait())
            if self.ends[-1] not in (42, -signal.SIGKILL):
                return

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
