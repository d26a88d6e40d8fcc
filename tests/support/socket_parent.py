"""What a launcher does for its child, as little as a test needs: sockets, a notify socket, "go".

A child begins as a line of Python that puts the descriptors in their places and sets LISTEN_PID to its own
number, which no parent knows before; then it becomes the program.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests.support.children import started
from tests.support.kills import PATIENCE_SECONDS

BECOME = """
import os, sys
for place, descriptor in enumerate(map(int, filter(None, sys.argv[1].split(",")))):
    os.dup2(descriptor, 3 + place)
    os.close(descriptor)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execvp(sys.argv[2], sys.argv[2:])
"""
OUT_OF_THE_WAY = 100
"""Descriptors are handed over from here on, so that none lies where another one goes."""

WAITS = "X_NEWLEAF_WAITS=1"
"""What a process says that waits for go; the launcher alone wants to know."""


@dataclass
class Child:
    """A process that was started with sockets, and the end by which it is told to go."""

    process: subprocess.Popen[str]
    go_descriptor: int

    def say_go(self) -> None:
        os.write(self.go_descriptor, b"1")

    def give_up(self) -> None:
        """As a launcher does, or the kernel when the launcher has ended."""
        if self.go_descriptor >= 0:
            os.close(self.go_descriptor)
            self.go_descriptor = -1


class SocketParent:
    """Listens on a port and on a path, hands both to its children, and hears what they say."""

    def __init__(self, folder: Path) -> None:
        self.tcp = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.unix = _listener(folder / "app.sock")
        self.health = _listener(folder / "health.sock")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(folder / "notify"))
        self.notify.settimeout(PATIENCE_SECONDS)

    def heard(self) -> str:
        """The next message of a child."""
        message = WAITS
        while message == WAITS:
            message = self.notify.recv(4096).decode()
        return message

    def close(self) -> None:
        for each in (self.tcp, self.unix, self.health, self.notify):
            each.close()

    @contextlib.contextmanager
    def child(
        self,
        *argv: str,
        overlap: bool = False,
        env: Mapping[str, str] = MappingProxyType({}),
        **options: object,
    ) -> Iterator[Child]:
        """A process of `argv`; in an overlap it gets `health` too, and is to wait for "go"."""
        sockets = {"listen0": self.tcp, "listen1": self.unix, **({"health": self.health} if overlap else {})}
        read_end, write_end = os.pipe()
        numbers = [*(found.fileno() for found in sockets.values()), read_end]
        handed = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, OUT_OF_THE_WAY) for number in numbers]
        environ: dict[str, str] = {
            **os.environ,
            **env,
            "LISTEN_FDS": str(len(sockets)),
            "LISTEN_FDNAMES": ":".join(sockets),
            "NOTIFY_SOCKET": self.notify.getsockname(),
            "NEWLEAF_LAUNCHER": str(os.getpid()),
            **({"NEWLEAF_GO_FD": str(handed[-1])} if overlap else {}),
        }
        places = ",".join(map(str, handed[:-1]))
        begin = (sys.executable, "-S", "-E", "-c", BECOME, places, *argv)
        with started(*begin, ready=False, pass_fds=handed, env=environ, **options) as process:
            for descriptor in (read_end, *handed):
                os.close(descriptor)
            child = Child(process, write_end)
            try:
                yield child
            finally:
                child.give_up()


def _listener(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(2048)
    return listener
