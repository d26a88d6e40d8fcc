"""The signal file, `update_available.json`: written, read with suspicion, removed.

Rules: it is replaced whole, and only when it changes; a symlink in its place is never followed and never
written through (threats.md T20); what is no plain file, or too large, is ignored.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from newleaf.core.release import Release
from newleaf.core.releases.signals import Ignored, Signal, read_signal
from newleaf.system import files
from newleaf.update.journal import JOURNAL_FILE

SIGNAL = "update_available.json"
MAX_BYTES = 64 * 1024


Trace = tuple[int, int, int]


class SignalFile:
    """The signal of one state directory."""

    def __init__(self, state: Path) -> None:
        self._path = state / SIGNAL
        self._journal = state / JOURNAL_FILE

    def write(self, signal: Signal) -> None:
        """Says that a target is available.

        Raises: DiskFull, StateDirectoryUnwritable.
        """
        if self.read() != signal:
            files.write_whole(self._path, signal.as_text().encode())

    def read(self) -> Signal | Ignored | None:
        """What the file says; None when there is none."""
        try:
            # A pipe in its place must not stop the reader either.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with open(os.open(self._path, flags), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    return Ignored("it is no plain file")
                text = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            return Ignored("it is a symlink" if self._path.is_symlink() else error.strerror or "unreadable")
        return (
            read_signal(text) if len(text) <= MAX_BYTES else Ignored(f"it is larger than {MAX_BYTES} bytes")
        )

    def remove(self) -> None:
        """Takes the signal away, or whatever lies in its place; a folder is left."""
        if self.trace() is not None and not self._is_folder():
            files.remove(self._path)

    def remove_of(self, release: Release) -> None:
        """Takes the signal away if this release is what it says is available."""
        found = self.read()
        names = {release.commit, release.version} - {None}
        if isinstance(found, Signal) and names & {found.available, found.commit}:
            self.remove()

    def trace(self) -> Trace | None:
        """What changes when somebody writes the file; None when there is none. It is one cheap look."""
        try:
            found = self._path.lstat()
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns, found.st_size)

    def is_unanswered(self) -> bool:
        """Whether it lies there, and no attempt has gone on since it was written."""
        trace = self.trace()
        try:
            return trace is not None and self._journal.stat().st_mtime_ns < trace[1]
        except OSError:
            return True

    def _is_folder(self) -> bool:
        return self._path.is_dir() and not self._path.is_symlink()
