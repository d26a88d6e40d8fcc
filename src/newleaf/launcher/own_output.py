"""What the launcher itself says, on its standard error.

Rules: it waits for nobody, for whoever reads there may have stopped reading; what nobody takes is lost.
"""

from __future__ import annotations

import os
import select

STANDARD_ERROR = 2
MAX_LINE_BYTES = 4000
"""So much fits into a pipe that says it has room."""


def say_on_stderr(text: str) -> None:
    """A line of the launcher's own, whatever becomes of it."""
    line = f"newleaf: {text}".encode(errors="backslashreplace")[:MAX_LINE_BYTES] + b"\n"
    try:
        room = select.poll()
        room.register(STANDARD_ERROR, select.POLLOUT)
        if room.poll(0):
            os.write(STANDARD_ERROR, line)
    except OSError:
        return
