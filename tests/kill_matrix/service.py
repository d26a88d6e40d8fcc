"""A service manager for one daemon: starts it, and starts it anew whenever it ends."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support.deployment import wait_until

PAUSE_SECONDS = 0.01


class Service:
    """Keeps `daemon.py` of a folder running until told to stop; in `serves` it says that it serves."""

    def __init__(self, folder: Callable[[], Path], environment: Mapping[str, str], serves: Path) -> None:
        self._folder = folder
        self._environment = environment
        self._serves = serves
        self._stopping = threading.Event()
        self._process = self._start()
        self.starts = [self._process.pid]
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    @property
    def pid(self) -> int:
        """The process that runs now."""
        return self.starts[-1]

    def await_start(self, number: int) -> None:
        """Waits until the daemon has been started so often, and serves."""
        wait_until(lambda: len(self.starts) >= number)
        self.await_serving()

    def await_serving(self) -> None:
        """Waits until the process that runs now has reported itself."""
        wait_until(lambda: self._process.poll() is None and self._served_by() == self.pid)

    def _served_by(self) -> int:
        return int(self._serves.read_text() or 0) if self._serves.exists() else 0

    def stop(self) -> None:
        """Ends the daemon for good."""
        self._stopping.set()
        self._process.kill()
        self._keeper.join(10)

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "daemon.py"], cwd=self._folder(), env=self._environment, stdin=subprocess.DEVNULL
        )

    def _keep(self) -> None:
        while True:
            self._process.wait()
            if self._stopping.wait(PAUSE_SECONDS):
                return
            self._process = self._start()
            self.starts.append(self._process.pid)
