"""Reading a log that somebody else writes and rotates."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

LOOK_SECONDS = 0.2
_TAIL_BYTES = 1024 * 1024


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines, as far as they are in the last megabyte."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return lines[-count:] if count else []


def follow_log(path: Path) -> Iterator[str]:
    """Each line that is added from now on, across rotations; it never ends by itself."""
    file = path.open("rb")
    file.seek(0, os.SEEK_END)
    unended = b""
    while True:
        chunk = file.read()
        if chunk:
            *lines, unended = (unended + chunk).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)
            continue
        if _is_replaced(path, file.fileno()):
            file.close()
            file = path.open("rb")
            continue
        time.sleep(LOOK_SECONDS)


def _is_replaced(path: Path, descriptor: int) -> bool:
    """Whether the name means another file by now."""
    try:
        now, then = path.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (now.st_dev, now.st_ino) != (then.st_dev, then.st_ino)
