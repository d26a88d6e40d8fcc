"""What the daemon says of itself, on a socket of its own (sd_notify(3)).

Rules: the sender must be the very process that was started, which the kernel vouches for where it can;
elsewhere the socket's name is a secret of the two (threats.md T30). Whatever else comes is dropped unread,
and never more than a bounded number at a time.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from pathlib import Path

MAX_MESSAGE_BYTES = 4096
MOST_AT_ONCE = 64
_CREDENTIALS = struct.Struct("3i")
_HAS_CREDENTIALS = sys.platform == "linux"


class NotifySocket:
    """The notify socket of one child."""

    def __init__(self, path: Path, one: socket.socket) -> None:
        self.path = path
        self.socket = one

    @classmethod
    def open(cls, folder: Path) -> NotifySocket:
        """A new one in `folder`. Raises: OSError."""
        path = folder / f".notify-{os.urandom(6).hex()}"
        one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            one.bind(str(path))
            path.chmod(0o600)
            return cls(path, cls._prepared(one))
        except OSError:
            one.close()
            raise

    @classmethod
    def resume(cls, path: Path, descriptor: int) -> NotifySocket:
        """The one that this process had before it was loaded anew."""
        return cls(path, cls._prepared(socket.socket(fileno=descriptor)))

    @staticmethod
    def _prepared(one: socket.socket) -> socket.socket:
        one.setblocking(False)
        if _HAS_CREDENTIALS:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        return one

    def read(self, pid: int) -> list[dict[str, str]]:
        """What the process with this number has said since."""
        messages = []
        for _ in range(MOST_AT_ONCE):
            try:
                # Room for credentials alone: descriptors that are sent along are closed by the kernel.
                data, ancillary, flags, _sender = self.socket.recvmsg(
                    MAX_MESSAGE_BYTES, socket.CMSG_SPACE(_CREDENTIALS.size)
                )
            except (BlockingIOError, ConnectionError):
                break
            if not flags & socket.MSG_TRUNC and _is_from(pid, ancillary):
                messages.append(_fields(data))
        return messages

    def close(self) -> None:
        """Ends it, and takes its name away."""
        self.socket.close()
        self.path.unlink(missing_ok=True)


def _is_from(pid: int, ancillary: list[tuple[int, int, bytes]]) -> bool:
    if not _HAS_CREDENTIALS:
        return True
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS) and len(data) == _CREDENTIALS.size:
            return bool(_CREDENTIALS.unpack(data)[0] == pid)
    return False


def _fields(data: bytes) -> dict[str, str]:
    lines = (line.partition("=") for line in data.decode(errors="replace").split("\n"))
    return {name: value for name, equals, value in lines if equals}
