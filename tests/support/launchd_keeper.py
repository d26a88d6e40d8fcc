"""A keeper that starts what a property list says, by launchd's rules, where there is no launchd.

Rules, after launchd.plist(5): `KeepAlive` true starts the job again whatever its end was; `SuccessfulExit`
false starts it again after an end that is none of success (a signal is none), true after one that is; two
starts are never nearer to each other than `ThrottleInterval`, which `scale` makes shorter for tests; a stop
is SIGTERM, and after `ExitTimeOut` SIGKILL for the whole process group. What it does not know it refuses.
"""

from __future__ import annotations

import contextlib
import os
import plistlib
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

KNOWN = set(
    """Label ProgramArguments WorkingDirectory EnvironmentVariables StandardOutPath StandardErrorPath
    RunAtLoad KeepAlive ThrottleInterval ExitTimeOut Umask""".split()
)
LOOK_SECONDS = 0.005


class LaunchdKeeper:
    """Keeps one job. `ends` are the exit statuses so far, `running` is the process, None between two."""

    def __init__(self, content: bytes, scale: float) -> None:
        self.job: dict[str, Any] = plistlib.loads(content)
        assert set(self.job) <= KNOWN, set(self.job) - KNOWN
        self.scale = scale
        self.ends: list[int] = []
        self.starts: list[float] = []
        self.running: subprocess.Popen[bytes] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep)

    @contextlib.contextmanager
    def kept(self) -> Iterator[LaunchdKeeper]:
        """The job is loaded; afterwards it is booted out."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join()

    @property
    def rests(self) -> bool:
        """Whether the job has ended and is not started again."""
        return not self._thread.is_alive()

    def _keep(self) -> None:
        while not self._stop.is_set():
            self.running = self._start()
            while self.running.poll() is None and not self._stop.wait(LOOK_SECONDS):
                pass
            if self.running.poll() is None:
                self._end(self.running)
            self.ends.append(self.running.wait())
            self.running = None
            if self._stop.is_set() or not self._is_wanted(self.ends[-1]):
                return
            pause = self.starts[-1] + self.job["ThrottleInterval"] * self.scale - time.monotonic()
            self._stop.wait(max(0.0, pause))

    def _is_wanted(self, status: int) -> bool:
        keep = self.job["KeepAlive"]
        if isinstance(keep, bool):
            return keep
        assert set(keep) == {"SuccessfulExit"}
        return bool(keep["SuccessfulExit"]) == (status == 0)

    def _start(self) -> subprocess.Popen[bytes]:
        self.starts.append(time.monotonic())
        with (
            open(self.job["StandardOutPath"], "ab") as output,
            open(self.job["StandardErrorPath"], "ab") as errors,
        ):
            return subprocess.Popen(
                self.job["ProgramArguments"],
                cwd=self.job["WorkingDirectory"],
                env={**self.job["EnvironmentVariables"], "XPC_SERVICE_NAME": self.job["Label"]},
                umask=self.job["Umask"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(self.job["ExitTimeOut"] * self.scale)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
