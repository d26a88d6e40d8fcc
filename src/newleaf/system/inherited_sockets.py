"""The listening sockets that a process was started with: systemd's protocol, which the launcher speaks too.

Rules: LISTEN_FDS sockets lie from descriptor 3 on, for the process that LISTEN_PID names and no other, so
that a child which inherits the variables alone takes nobody's descriptors for sockets. They are checked all
before the first is taken; wrong ones are an error, because a daemon that listens to nothing looks alive. The
programs that this process starts do not get them. In a handover the last is named `health`: the new process
is proven there while the old one still has the others. Standard library only, for the launcher's sake.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from collections.abc import Mapping

from newleaf.core.launch.go_errors import ListenersInvalid

FIRST = 3
HEALTH = "health"
_NUMBER = re.compile(r"[0-9]{1,9}\Z")

_taking = threading.Lock()
_taken: list[tuple[str, socket.socket]] | None = None


def listen_fds(*, health: bool | None = None) -> list[socket.socket]:
    """The inherited sockets in their order, `health` last; the same objects at every call.

    With `health=True` the one for the launcher's own questions alone, if there is one; with `health=False`
    the others, which are those of `app.listen`. Empty in a process that was given none.

    Raises: ListenersInvalid.
    """
    global _taken  # noqa: PLW0603 - a descriptor can be taken over once in a process
    if not _are_ours(os.environ):
        return []
    with _taking:
        if _taken is None:
            _taken = _take(os.environ)
        return [found for name, found in _taken if health is None or (name == HEALTH) is health]


def _are_ours(environ: Mapping[str, str]) -> bool:
    return environ.get("LISTEN_PID", "").strip() == str(os.getpid())


def _take(environ: Mapping[str, str]) -> list[tuple[str, socket.socket]]:
    count = _count(environ.get("LISTEN_FDS", "0"))
    names = _names(environ.get("LISTEN_FDNAMES"), count)
    taken: list[tuple[str, socket.socket]] = []
    with contextlib.ExitStack() as undone:
        for number in range(count):
            found = _socket(FIRST + number)
            undone.callback(found.detach)  # a wrong one leaves all of them open, as they were found
            taken.append((names[number] if names else "", found))
        undone.pop_all()
    for _, found in taken:
        found.set_inheritable(False)
    return taken


def _count(text: str) -> int:
    if not _NUMBER.match(text):
        raise ListenersInvalid(reason=f"LISTEN_FDS={text} is no number of descriptors")
    return int(text)


def _names(text: str | None, count: int) -> list[str]:
    """One name a socket; none at all where none were given."""
    names = text.split(":") if text and count else []
    if names and len(names) != count:
        raise ListenersInvalid(reason=f"LISTEN_FDS={count}, but LISTEN_FDNAMES={text} names {len(names)}")
    return names


def _socket(descriptor: int) -> socket.socket:
    """The descriptor as a socket of its own family and type, told by the kernel."""
    try:
        return socket.socket(fileno=descriptor)
    except OSError as error:
        raise ListenersInvalid(reason=f"descriptor {descriptor}: {error.strerror}") from error
