"""The service manager's notify protocol, from below: what a process tells the one that started it.

Rules: the socket is the one that NOTIFY_SOCKET names, a path or `@abstract`, looked up at each message. A
manager that is gone, deaf or of another kind is a manager that was not told: False, never an exception, and
never a wait that an event loop would feel. In a mapping a value cannot bring a second assignment with it.
Standard library only, for the launcher's sake, which talks upward by it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

NOTIFY_SOCKET = "NOTIFY_SOCKET"
SEND_SECONDS = 0.04
"""How long a manager whose queue is full is waited for: less than what blocks an event loop."""


def send(message: Mapping[str, str] | str, environ: Mapping[str, str]) -> bool:
    """Sends one message, `READY=1` or several lines of the kind; whether somebody took it."""
    address = _address(environ.get(NOTIFY_SOCKET, ""))
    if address is None:
        return False
    text = message if isinstance(message, str) else "\n".join(map(_assignment, message.items()))
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(SEND_SECONDS)
            sender.connect(address)
            sender.send(text.encode("utf-8", "replace"))
    except (OSError, ValueError):  # nobody there, a path that is too long or no path, a queue that stays full
        return False
    return True


def notify(message: Mapping[str, str] | str) -> bool:
    """Tells this process's own service manager, or launcher; whether there was one to take it.

    `"STATUS=…"`, `"WATCHDOG=1"`, `"STOPPING=1"`, `"EXTEND_TIMEOUT_USEC=30000000"`; for READY=1 there is
    `newleaf.ready()`.
    """
    return send(message, os.environ)


def _address(named: str) -> bytes | None:
    """As the kernel takes it: an abstract name begins with a zero byte. None for what is no unix socket."""
    if named.startswith("@") and len(named) > 1:
        return b"\0" + named[1:].encode("utf-8", "surrogateescape")
    return named.encode("utf-8", "surrogateescape") if named.startswith("/") else None


def _assignment(pair: tuple[str, str]) -> str:
    return f"{pair[0]}={' '.join(pair[1].splitlines())}"
