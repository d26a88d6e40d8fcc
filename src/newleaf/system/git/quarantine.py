"""Where fetched objects wait until they are known to be wanted, sound, and not too many.

Rules: git writes into a folder of its own, with the real object store only read through it; what is taken
over moves pack by pack, each index last, so that a reader sees a whole pack or none; what is not, and
what a killed fetch left, is removed (threats.md T5). Nothing of another process's fetch into the same
store is touched (lessons.md L9). One fetch at a time uses a folder, by a kernel lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from newleaf.core.errors import CommandTimedOut
from newleaf.system import files

POLL_SECONDS = 0.02


class Quarantine(Struct, frozen=True):
    """An object store at `folder` that reads `objects` too."""

    folder: Path
    objects: Path

    @contextlib.contextmanager
    def opened(self, timeout_seconds: float) -> Iterator[None]:
        """Empty when it begins, gone when it ends.

        Raises: CommandTimedOut when another fetch does not end.
        """
        lock = self.folder.with_name(f"{self.folder.name}.lock")
        with open(os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)) as held:
            _lock(held.fileno(), timeout_seconds)
            self._remove()
            with files.explained(self.folder):
                (self.folder / "info").mkdir(parents=True)
                (self.folder / "info" / "alternates").write_text(f"{self.objects}\n")
            try:
                yield
            finally:
                self._remove()

    def adopt(self) -> None:
        """Moves the fetched packs into the real store."""
        store = self.objects / "pack"
        store.mkdir(exist_ok=True)
        fetched = sorted((self.folder / "pack").glob("pack-*"), key=_index_last)
        for file in fetched:
            _move(file, store / file.name)
        if fetched:
            files.sync_folder(store)

    def largest(self) -> int:
        """The size in bytes of the largest file that has come."""
        found = [file for file in (self.folder / "pack").glob("*") if file.is_file()]
        return max((file.stat().st_size for file in found), default=0)

    def _remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _index_last(file: Path) -> tuple[bool, str]:
    return file.suffix == ".idx", file.name


def _move(file: Path, to: Path) -> None:
    """By link or rename; across filesystems by a copy that appears under its name when it is whole."""
    try:
        file.replace(to)
    except OSError:
        partial = to.with_name(f"tmp_{to.name}.{os.getpid()}")
        shutil.copyfile(file, partial)
        partial.chmod(0o444)
        with partial.open("rb") as copied:
            os.fsync(copied.fileno())
        partial.replace(to)


def _lock(descriptor: int, timeout_seconds: float) -> None:
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise CommandTimedOut(what="another fetch of this host", seconds=timeout_seconds) from error
            time.sleep(POLL_SECONDS)
        else:
            return
