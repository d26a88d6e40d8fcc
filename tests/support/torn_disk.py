"""A disk that keeps only what was fsynced: what may lie in a folder after the power was cut.

It is told by `system/files.py` of every moment at which a write, an fsync or a rename is about to happen,
and looks then at what the folder holds; it stands in for fsync itself, so that one that is left out is seen.
Legal after a power cut: of a file whose content was not fsynced, any beginning, with or without zeros up to
its length; of a name whose folder was not fsynced, any file that it has named since, or none.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from newleaf.system import files
from tests.support.simulated_host import Killed


class TornDisk:
    """One flat folder of files. Without `watching` nothing is noted.

    `kill_in` more moments, and the process dies; it writes nothing afterwards, whatever its handlers try.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kill_in: int | None = None
        self.is_dead = False
        self._descriptors: dict[int, int] = {}
        self._synced: dict[int, bytes] = {}
        self._names: dict[str, set[int | None]] = {}
        self._at_death: dict[int, bytes] = {}
        self._look()
        self._settle()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Sees what `system/files.py` does meanwhile."""
        before = files.observe, files._sync
        files.observe, files._sync = self._observe, self._sync
        try:
            yield
        finally:
            files.observe, files._sync = before

    @contextlib.contextmanager
    def killed_in(self, moments: int | None) -> Iterator[None]:
        """Watches; the process dies before the n-th moment from now, or not at all, and that is swallowed."""
        self.kill_in = moments
        with self.watching(), contextlib.suppress(Killed):
            yield
        self.kill_in = None

    def moment(self) -> None:
        """Something is about to happen: here the process may die."""
        if self.is_dead:
            raise Killed
        if self.kill_in is None:
            return
        self.kill_in -= 1
        if self.kill_in <= 0:
            self.die()

    def die(self) -> None:
        """From now on nothing is written."""
        self._look()
        self._at_death = {inode: self._content(inode) for inode in self._descriptors}
        self.is_dead, self.kill_in = True, None
        raise Killed

    def start_anew(self) -> None:
        """Another process: what the last one wrote is there, fsynced or not."""
        self.is_dead, self._at_death = False, {}

    def cut_power(self, random: Random) -> None:
        """Leaves one of the legal states of the disk, then starts anew."""
        self._look()
        left = {}
        for name in sorted(self._names):
            inode = random.choice(sorted(self._names[name], key=lambda each: each or 0))
            if inode is not None:
                left[name] = self._torn(inode, random)
        for entry in self.folder.iterdir():
            if entry.is_file():
                entry.unlink()
        for name, content in left.items():
            (self.folder / name).write_bytes(content)
        self.close()
        self.start_anew()
        self._look()
        self._settle()

    def close(self) -> None:
        """Forgets all files."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors, self._synced, self._names = {}, {}, {}

    # --- what happens -------------------------------------------------------------------

    def _observe(self, _event: str, path: Path) -> None:
        if self.folder in (path.parent, path):
            self._look()
        self.moment()

    def _sync(self, descriptor: int) -> None:
        found = os.fstat(descriptor)
        self._look()
        if stat.S_ISDIR(found.st_mode):
            if found.st_ino == self.folder.stat().st_ino:
                self._settle_names()
        elif found.st_ino in self._descriptors:
            self._synced[found.st_ino] = self._content(found.st_ino)
        self.moment()

    # --- what is known ------------------------------------------------------------------

    def _look(self) -> None:
        """Notes what each name stands for now. A file stays open, so that its number is not used again."""
        if self.is_dead:
            return
        now: dict[str, int] = {}
        for entry in os.scandir(self.folder):
            if entry.is_file(follow_symlinks=False):
                inode = entry.inode()
                now[entry.name] = inode
                if inode not in self._descriptors:
                    self._descriptors[inode] = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC)
        for name in self._names.keys() | now.keys():
            self._names.setdefault(name, {None}).add(now.get(name))
        self._now = now

    def _settle(self) -> None:
        """All that lies there is on the disk."""
        self._settle_names()
        self._synced = {inode: self._content(inode) for inode in self._descriptors}

    def _settle_names(self) -> None:
        self._names = {name: {inode} for name, inode in self._now.items()}
        for inode in self._descriptors.keys() - set(self._now.values()):
            os.close(self._descriptors.pop(inode))
            self._synced.pop(inode, None)

    def _content(self, inode: int) -> bytes:
        descriptor = self._descriptors[inode]
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)

    def _torn(self, inode: int, random: Random) -> bytes:
        content = self._at_death[inode] if self.is_dead else self._content(inode)
        synced = self._synced.get(inode)
        if content == synced:
            return content
        sure = _common_length(content, synced or b"")
        cut = random.choice([sure, len(content), random.randint(sure, len(content))])
        beginning = content[:cut]
        choices: list[Callable[[], bytes]] = [
            lambda: beginning,
            lambda: beginning + bytes(random.randint(0, len(content) - cut)),
            lambda: synced or b"",
        ]
        return random.choice(choices)()


def _common_length(one: bytes, other: bytes) -> int:
    """How many whole lines' bytes both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    length = next((place for place, (mine, its) in pairs if mine != its), min(len(one), len(other)))
    return one.rfind(b"\n", 0, length) + 1
