"""Speaking with the launcher of an app: one JSON object a line, in both directions."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from newleaf.core.launch.launcher_errors import LauncherLost, LauncherRefused, LauncherSilent, NoLauncher

CONTROL = "control.sock"
ANSWER_SECONDS = 10.0
MAX_LINE_BYTES = 1024 * 1024
_CHUNK_BYTES = 65536


class Line:
    """A line to the launcher; it stays open as long as there is something to wait for."""

    def __init__(self, one: socket.socket) -> None:
        self._socket = one
        self._unread = b""

    def say(self, order: str, **facts: object) -> None:
        """Gives an order. Raises: LauncherLost."""
        try:
            self._socket.sendall(json.dumps({"do": order, **facts}).encode() + b"\n")
        except OSError as error:
            raise LauncherLost from error

    def hear(self, seconds: float | None = ANSWER_SECONDS) -> dict[str, Any]:
        """The next thing that the launcher says.

        Raises: LauncherLost when it goes away, or says what no launcher would; LauncherSilent when it says
        nothing for so long; LauncherRefused.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while b"\n" not in self._unread:
            left = None if deadline is None else max(0.001, deadline - time.monotonic())
            try:
                self._socket.settimeout(left)
                chunk = self._socket.recv(_CHUNK_BYTES)
            except TimeoutError as error:
                raise LauncherSilent(seconds=seconds) from error
            except OSError as error:
                raise LauncherLost from error
            if not chunk:
                raise LauncherLost
            self._unread += chunk
            if len(self._unread) > MAX_LINE_BYTES:
                raise LauncherLost
        line, _, self._unread = self._unread.partition(b"\n")
        said = _parse(line)
        if said["event"] == "refused":
            raise LauncherRefused(reason=said.get("reason") or "it did not say why")
        return said

    def await_end(self, seconds: float) -> bool:
        """Waits until the launcher has ended; False when it has not."""
        try:
            while True:
                self.hear(seconds)
        except LauncherSilent:
            return False
        except LauncherLost:
            return True

    def close(self) -> None:
        """Hangs up."""
        self._socket.close()


def _parse(line: bytes) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise LauncherLost from error
    if not isinstance(said, dict) or not isinstance(said.get("event"), str):
        raise LauncherLost
    return said


def connect(state: Path) -> Line:
    """A line to the launcher whose state directory this is. Raises: NoLauncher."""
    path = state / CONTROL
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        one.settimeout(ANSWER_SECONDS)
        one.connect(str(path))
    except OSError as error:
        one.close()
        raise NoLauncher(path=path) from error
    return Line(one)


@contextmanager
def line_to(state: Path) -> Iterator[Line]:
    """A line for the length of a block. Raises: NoLauncher."""
    line = connect(state)
    try:
        yield line
    finally:
        line.close()


def is_answered(state: Path) -> bool:
    """Whether a launcher runs. Where there is no socket nothing is tried."""
    if not (state / CONTROL).is_socket():
        return False
    try:
        connect(state).close()
    except NoLauncher:
        return False
    return True


def ask_launcher(state: Path) -> dict[str, Any] | None:
    """What the launcher knows of every process; None where none runs."""
    if not is_answered(state):
        return None
    try:
        with line_to(state) as line:
            line.say("status")
            said = line.hear()
    except (NoLauncher, LauncherLost, LauncherRefused):
        return None
    return {name: value for name, value in said.items() if name != "event"}
