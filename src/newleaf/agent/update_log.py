"""`logs/update.log`: every attempt for people to read, rotated; silent while nothing is new."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from newleaf.core.records import short_stamp
from newleaf.core.texts import defused
from newleaf.system.files import PRIVATE_FILE, PRIVATE_FOLDER

FILE = "logs/update.log"
MAX_BYTES = 1024 * 1024
KEPT = 4
"""How many older files stay, `update.log.1` the newest of them."""


class UpdateLog(Struct, frozen=True):
    """Appends lines, each with its time. A log that cannot be written never fails an update."""

    state: Path
    now: Callable[[], datetime]

    def write(self, text: str) -> None:
        """Appends `text`, a line or several."""
        path = self.state / FILE
        told = (line for line in defused(text).splitlines() if line.strip())
        lines = "".join(f"{short_stamp(self.now())} {line}\n" for line in told)
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
            self._rotate(path)
            # Without O_NONBLOCK a pipe in its place would hold the update until somebody reads it.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with open(os.open(path, flags, PRIVATE_FILE), "ab") as file:
                file.write(lines.encode(errors="replace"))

    @staticmethod
    def _rotate(path: Path) -> None:
        if not path.is_file() or path.stat().st_size < MAX_BYTES:
            return
        names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, KEPT + 1))]
        for older, newer in zip(names[:0:-1], names[-2::-1], strict=True):
            if newer.exists():
                os.replace(newer, older)
