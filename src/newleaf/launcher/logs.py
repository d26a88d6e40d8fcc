"""The daemon's output in files, rotated.

Rules: the daemon is never made to wait and never ends because of its log: what cannot be written is dropped,
and counted; a file that has grown too long gets another name, and the oldest goes.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

MAX_FILE_BYTES = 10 * 1024 * 1024
KEPT_FILES = 5
NAME = "daemon.log"
_CHUNK_BYTES = 65536
_MOST_CHUNKS = 16


class Log:
    """The files in `folder`. `source` is where the daemon's output is read, `sink` what the daemon gets."""

    def __init__(self, folder: Path, source: int, sink: int) -> None:
        self.path = folder / NAME
        self.source = source
        self.sink = sink
        self.dropped_bytes = 0
        self.reason = ""
        self._file: int | None = None
        self._size = 0
        os.set_blocking(source, False)

    @classmethod
    def open(cls, folder: Path) -> Log:
        """Makes the pipe, and the file as far as that is possible."""
        log = cls(folder, *os.pipe())
        # Where that fails each write tries anew, and what is lost is counted.
        with contextlib.suppress(OSError):
            log._open()
        return log

    def read(self) -> None:
        """Takes what has come, but never so much that nothing else is done."""
        for _ in range(_MOST_CHUNKS):
            try:
                chunk = os.read(self.source, _CHUNK_BYTES)
            except BlockingIOError:
                return
            if not chunk:
                return
            self.write(chunk)

    def write(self, chunk: bytes) -> None:
        """Adds to the file."""
        try:
            if self._file is None:
                self._open()
            if self._size + len(chunk) > MAX_FILE_BYTES:
                self._rotate()
            assert self._file is not None
            written = os.write(self._file, chunk)
            self._size += written
            self.dropped_bytes += len(chunk) - written
        except OSError as error:
            self.dropped_bytes += len(chunk)
            self.reason = error.strerror or str(error)
            self._close()

    def _open(self) -> None:
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(self.path, flags, 0o600)
        self._size = os.fstat(self._file).st_size

    def _rotate(self) -> None:
        self._close()
        for number in range(KEPT_FILES - 1, 0, -1):
            older = self._numbered(number)
            newer = self._numbered(number - 1) if number > 1 else self.path
            if newer.exists():
                os.replace(newer, older)
        self._open()

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{NAME}.{number}")

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
