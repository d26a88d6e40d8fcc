"""The control socket: verbs of newleaf, and its attempts, speak to the launcher.

Rules: one JSON object a line, in both directions; the socket is this user's alone, and the kernel is asked
who speaks; what is no order is answered and dropped, what is too long ends its line, and so does an end that
does not read: nobody is waited for. A line stays open as long as its other end has something to wait for.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from pathlib import Path
from typing import Any

from newleaf.launcher.sockets import private_socket

CONTROL = "control.sock"
MAX_LINE_BYTES = 65536
MOST_LINES = 64
_CREDENTIALS = struct.Struct("3i")


class Line:
    """One connection; `number` is what the launcher calls it."""

    def __init__(self, number: int, one: socket.socket) -> None:
        self.number = number
        self.socket = one
        self.unread = b""

    def read(self) -> list[dict[str, Any]] | None:
        """The orders that have come; None when the other end has gone."""
        try:
            data = self.socket.recv(MAX_LINE_BYTES)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:
            return None
        *lines, self.unread = (self.unread + data).split(b"\n")
        if not data or len(self.unread) > MAX_LINE_BYTES:
            return None
        return [_parse(line) for line in lines if line.strip()]

    def say(self, record: dict[str, Any]) -> bool:
        """Says something; False when nobody hears it: who has let so much come unread does not read."""
        text = json.dumps(record).encode() + b"\n"
        try:
            return self.socket.send(text) == len(text)
        except OSError:
            return False


class Control:
    """The listening end and the lines that are open."""

    def __init__(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        self.listener = listener
        self.lines: dict[int, Line] = {}
        self._last = 0

    @classmethod
    def open(cls, path: Path) -> Control:
        """Raises: AddressUnusable, AddressTaken."""
        return cls(private_socket(path))

    def accept(self) -> Line | None:
        """A new line; None when who calls has gone, is somebody else, or is one too many."""
        try:
            one, _ = self.listener.accept()
        except OSError:
            return None
        if _owner_of(one) != os.geteuid() or len(self.lines) >= MOST_LINES:
            one.close()
            return None
        return self.add(self._last + 1, one)

    def add(self, number: int, one: socket.socket) -> Line:
        """A line under its number."""
        one.setblocking(False)
        self._last = max(self._last, number)
        self.lines[number] = Line(number, one)
        return self.lines[number]

    def end(self, path: Path) -> None:
        """Hears nobody any more."""
        self.listener.close()
        path.unlink(missing_ok=True)

    def close(self, number: int) -> None:
        """Ends a line."""
        line = self.lines.pop(number, None)
        if line:
            line.socket.close()


def _owner_of(one: socket.socket) -> int | None:
    """The user at the other end, as the kernel knows it."""
    try:
        if sys.platform == "linux":
            found = one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            return int(_CREDENTIALS.unpack(found)[1])
        # struct xucred: its version, then the user.
        found = one.getsockopt(0, getattr(socket, "LOCAL_PEERCRED", 1), 76)
        return int.from_bytes(found[4:8], sys.byteorder)
    except OSError:
        return None


def _parse(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}
