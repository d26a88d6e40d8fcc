"""The processes that the agent has started: none of them outlives it when it is told to end.

Rules: a group is noted with the start time of its first process, so that no other is ever signalled; all
are asked at once, then killed. What an attempt's own programs leave running, the next holder of the update
lock ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

from newleaf.system import process_table

POLL_SECONDS = 0.01


class Children:
    """Process groups, for `Runner.on_start`."""

    def __init__(self) -> None:
        self._noted: list[tuple[int, str]] = []
        self._noting = threading.Lock()

    def note(self, group: int) -> None:
        """Remembers a group that was just started; those that have ended are forgotten."""
        started = process_table.start_time(group)
        if started is not None:
            with self._noting:
                self._noted = [*self._living(), (group, started)]

    def end(self, patience_seconds: float) -> None:
        """Asks all that still run to end; kills what has not after so long."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + patience_seconds
        while self._living() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        self._signal(signal.SIGKILL)

    def _living(self) -> list[tuple[int, str]]:
        return [noted for noted in self._noted if process_table.is_alive(*noted)]

    def _signal(self, number: signal.Signals) -> None:
        for group, _ in self._living():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, number)
