"""Reading a log that somebody else writes and rotates."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

LOOK_SECONDS = 0.2
_TAIL_BYTES = 1024 * 1024


class LogReader:
    """One reader of a log: first its end, then, for who wants it, what is added."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("rb")

    def last_lines(self, count: int) -> list[str]:
        """The last lines, as far as they are in the last megabyte."""
        self._file.seek(max(0, self._file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        lines = self._file.read().decode(errors="replace").split("\n")
        lines = lines if lines[-1] else lines[:-1]
        return lines[-count:] if count else []

    def follow(self) -> Iterator[str]:
        """Each line that is added after what was read, across rotations; it never ends by itself."""
        unended = b""
        while True:
            is_replaced = self._is_replaced()
            # After the look, so that nothing is missed that came before the file got another name.
            chunk = self._file.read()
            if chunk:
                *lines, unended = (unended + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
            if is_replaced:
                self._file.close()
                self._file = self._path.open("rb")
            elif not chunk:
                time.sleep(LOOK_SECONDS)

    def close(self) -> None:
        """Ends it."""
        self._file.close()

    def _is_replaced(self) -> bool:
        """Whether the name means another file by now, or the file was emptied."""
        try:
            now, then = self._path.stat(), os.fstat(self._file.fileno())
        except FileNotFoundError:
            return False
        is_another = (now.st_dev, now.st_ino) != (then.st_dev, then.st_ino)
        return is_another or now.st_size < self._file.tell()
