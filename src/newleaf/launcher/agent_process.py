"""The agent beside the daemon: started when the daemon serves, again when it ends, and never missed by it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from newleaf.core.launch.companion import Companion
from newleaf.launcher.processes import NotStarted, Processes, signal_group, signal_one
from newleaf.launcher.programs import AGENT, Programs

END_SECONDS = 3.0
POLL_SECONDS = 0.02


class AgentProcess:
    """`say` is given a line for the launcher's own output."""

    def __init__(
        self, companion: Companion, programs: Programs, processes: Processes, say: Callable[[str], None]
    ) -> None:
        self.companion = companion
        self._programs = programs
        self._processes = processes
        self._say = say

    @property
    def pid(self) -> int | None:
        return self._processes.find(AGENT)

    def seconds_to_start(self, now: float) -> float | None:
        """In how long it is to be started; None when it runs, or is not wanted."""
        companion = self.companion
        return companion.start_at - now if companion.wanted and not companion.runs else None

    def start_if_due(self, now: float) -> None:
        """Starts it, when it is time for that."""
        if not self.companion.is_due(now):
            return
        try:
            self._programs.call(AGENT, "agent")
            self.companion.started(now)
        except NotStarted as error:
            self._say(f"the agent could not be started: {error}")
            self.companion.ended(now)

    def leave_to_daemon(self) -> None:
        """The daemon has one inside."""
        if self.companion.wanted:
            self._say("the daemon has an agent of its own")
            self.end()

    def await_end(self) -> None:
        """Waits a moment for one that was told to end, so that it leaves all in order; then kills it."""
        deadline = time.monotonic() + END_SECONDS
        while self.pid and time.monotonic() < deadline:
            self._processes.ended()
            time.sleep(POLL_SECONDS)
        if self.pid:
            signal_group(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """Ends it, for good."""
        self.companion.wanted = False
        if self.pid:
            signal_one(self.pid, signal.SIGTERM)
