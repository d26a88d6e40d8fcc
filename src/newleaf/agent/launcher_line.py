"""An attempt's line to the launcher of its app: the daemon stopped, handed over, judged.

Rules: the line is open from the first thing that is asked until the verdict has been dealt with, because the
launcher takes its end for the attempt's; whatever is left undone then, it has done by a program of newleaf's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from newleaf.core.launch.launcher_errors import LauncherLost, LauncherRefused
from newleaf.core.records import AttemptRecord
from newleaf.system.control_socket import Line, connect


class LauncherLine(Struct):
    """Implements `core.ports.Launcher`.

    `stop_seconds` is how long the daemon may take to end, `ready_seconds` how long to be ready; in an overlap
    (`overlaps`) nothing has to end before the new process starts. `prepare` is called before a handover, so
    that the launcher finds what it is to run.
    """

    state: Path
    stop_seconds: float
    ready_seconds: float
    overlaps: bool
    prepare: Callable[[], object]
    _line: Line | None = None
    _is_held: bool = False

    def hold(self, attempt: AttemptRecord) -> None:
        """Has the daemon stopped, until it is handed over or freed.

        Raises: NoLauncher, LauncherLost, LauncherRefused.
        """
        if self._is_held:
            return
        try:
            self._connected().say("hold", attempt=attempt.id)
            self._await("stopped", self.stop_seconds + self.ready_seconds)
        except (LauncherLost, LauncherRefused):
            # Nothing is held for this attempt, so there is nothing to free: that would end another's.
            self._hang_up()
            raise
        self._is_held = True

    def hand_over(self, attempt: AttemptRecord, on_stopped: Callable[[], None]) -> str | None:
        """Has the attempt's release run and judged; returns why it is not kept, None when it is confirmed.

        Raises: NoLauncher, LauncherLost, LauncherRefused.
        """
        self.prepare()
        was_held, self._is_held = self._is_held, False
        try:
            return self._judged(self._connected(), attempt, on_stopped)
        except LauncherRefused:
            if not was_held:
                self._hang_up()
            raise

    def _judged(self, line: Line, attempt: AttemptRecord, on_stopped: Callable[[], None]) -> str | None:
        line.say("handover", attempt=attempt.id, commit=attempt.target.commit)
        while True:
            # No limit of its own: the launcher has them, a daemon that migrates may extend them, and a
            # launcher that dies hangs up.
            said = line.hear(None)
            match said["event"]:
                case "accepted" if self.overlaps:
                    on_stopped()
                case "stopped" | "started":
                    on_stopped()
                case "confirmed":
                    self._hang_up()
                    return None
                case "failed":
                    return str(said.get("reason"))

    def free(self) -> None:
        """All is dealt with: what lies there now is to run. Waits until it does, as long as that may take."""
        if self._line is None:
            return
        with contextlib.suppress(LauncherLost, LauncherRefused):
            self._line.say("settled")
            self._await("running", self.stop_seconds + self.ready_seconds)
        self._hang_up()

    def _connected(self) -> Line:
        if self._line is None:
            self._line = connect(self.state)
        return self._line

    def _await(self, event: str, seconds: float) -> None:
        assert self._line is not None
        while self._line.hear(seconds)["event"] != event:
            pass

    def _hang_up(self) -> None:
        self._is_held = False
        if self._line is not None:
            self._line.close()
            self._line = None
