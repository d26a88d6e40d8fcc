"""Snapshots of an app's data: taken before migrating, kept by rule.

Rules: what `update.state_paths` names and `migration_state.json` are copied to
`snapshots/<attempt>/`, databases through SQLite while they are in use, other files by shared blocks or as
bytes; room is looked for first (lessons.md L24), for the copies and for the way back; the manifest is
written last, so that a snapshot is whole or is none. A path that is missing is remembered as missing. Links
are kept as links, except that a declared path that is a link counts with what it leads to. Sockets, pipes
and devices are left out and named.

A path that holds the app itself or newleaf's own state is refused: restoring it would undo more than data.
`restoration` puts back; this module never writes to the app's data.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import sqlite3
import stat
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from newleaf.core.data.data_errors import SnapshotDamaged, SnapshotFailed, StatePathRefused
from newleaf.core.data.snapshot import Entry, Found, Kind, Manifest, Root, is_below, outermost, superfluous
from newleaf.core.errors import DiskFull
from newleaf.core.records import stamp
from newleaf.system import copies, databases, files
from newleaf.update.data.migrations import STATE_FILE

FOLDER = "snapshots"
MANIFEST = "manifest.json"
ASIDE = "aside"
TRIES = 3
SPARE_BYTES = 16 * 1024 * 1024

_ATTEMPT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,100}\Z")


class Snapshot(Struct, frozen=True):
    """A snapshot that is whole."""

    folder: Path
    manifest: Manifest

    def copy_of(self, entry: Entry) -> Path:
        return self.folder / entry.copy

    @property
    def asides(self) -> tuple[Path, ...]:
        """Where restoring has kept what was written after the snapshot."""
        return tuple(sorted(self.folder.glob(f"{ASIDE}*")))


class Snapshots(Struct, frozen=True):
    """The snapshots of one host."""

    state_directory: Path

    @property
    def folder(self) -> Path:
        return self.state_directory / FOLDER

    def take(self, attempt: str, app_folder: Path, state_paths: Sequence[str], now: datetime) -> Snapshot:
        """Copies the declared paths as they are now; a snapshot of this attempt that is there is taken anew.

        Raises: StatePathRefused, SnapshotFailed, DiskFull.
        """
        roots = [self.state_directory / STATE_FILE, *self.resolve(app_folder, state_paths)]
        folder = self._folder_of(attempt)
        self._remove(folder)
        try:
            with _explained(folder):
                for made in (self.folder, folder):
                    made.mkdir(mode=files.PRIVATE_FOLDER, exist_ok=made == self.folder)
                files.sync_folder(self.folder)
                taking = _Taking(folder)
                files.require_free(folder, 2 * sum(map(taking.weigh, roots)) + SPARE_BYTES)
                taken = tuple(taking.copy_root(number, root) for number, root in enumerate(roots))
            manifest = Manifest(attempt, stamp(now), taken, tuple(taking.notes))
            text = json.dumps({"schema": files.SCHEMA, **manifest.as_record()}, indent=1)
            files.write_whole(folder / MANIFEST, text.encode())
        except BaseException:
            # Half a snapshot is of no use, and the disk may be full of it.
            with contextlib.suppress(OSError):
                self._remove(folder)
            raise
        return Snapshot(folder, manifest)

    def find(self, attempt: str) -> Snapshot | None:
        """The snapshot of an attempt, when it is whole.

        Raises: SnapshotDamaged, CorruptFile, NewerSchema.
        """
        folder = self._folder_of(attempt)
        record = files.read_record(folder / MANIFEST)
        if record is None:
            return None
        try:
            manifest = Manifest.read(record)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise SnapshotDamaged(
                folder=folder, reason=f"its {MANIFEST} holds no manifest: {error}"
            ) from error
        return Snapshot(folder, manifest)

    def prune(self, completed: Collection[str], open_attempt: str | None, keep: int) -> list[str]:
        """Removes what the rule of `core.data.snapshot` does not keep; returns whose snapshots are gone."""
        gone = superfluous(self._found(), completed, open_attempt, keep)
        for attempt in gone:
            self._remove(self.folder / attempt)
        return gone

    def resolve(self, app_folder: Path, state_paths: Sequence[str]) -> list[Path]:
        """The declared paths as they lie on the disk, none inside another.

        Raises: StatePathRefused.
        """
        app, state = os.path.realpath(app_folder), os.path.realpath(self.state_directory)
        found: set[str] = set()
        for text in state_paths:
            declared = Path(os.path.abspath(os.path.join(app_folder, os.path.expanduser(text))))
            path = os.path.join(os.path.realpath(declared.parent), declared.name)
            # A declared link counts with what it leads to: that is where the data is.
            for each in {path, os.path.realpath(path)}:
                if is_below(app, each):
                    raise StatePathRefused(path=text, reason="holds the app itself")
                if is_below(state, each):
                    raise StatePathRefused(path=text, reason="holds newleaf's own state")
                if is_below(each, os.path.join(state, FOLDER)):
                    raise StatePathRefused(path=text, reason="lies among the snapshots")
                found.add(each)
        return [Path(path) for path in outermost(found)]

    def _folder_of(self, attempt: str) -> Path:
        if not _ATTEMPT.match(attempt):
            raise SnapshotDamaged(folder=self.folder, reason=f"{attempt!r} is no attempt's name")
        return self.folder / attempt

    def _found(self) -> Iterator[Found]:
        for folder in sorted(self.folder.glob("*")) if self.folder.is_dir() else ():
            if folder.is_dir() and not folder.is_symlink():
                taken_at = ""
                with contextlib.suppress(Exception):
                    # One that cannot be read counts as one that is not whole.
                    taken_at = str((files.read_record(folder / MANIFEST) or {}).get("taken_at", ""))
                yield Found(folder.name, taken_at, any(folder.glob(f"{ASIDE}*")))

    def _remove(self, folder: Path) -> None:
        """Removes a snapshot, the manifest first: half of one is none."""
        if folder.is_dir():
            files.remove(folder / MANIFEST)
            shutil.rmtree(folder)
            files.sync_folder(self.folder)


class _Taking(Struct):
    """One snapshot while it is taken."""

    folder: Path
    notes: list[str] = field(default_factory=list)
    _shares: dict[int, bool] = field(default_factory=dict)

    def weigh(self, path: Path) -> int:
        """The room that copies of the path and all below it will need."""
        total = 0
        for each, kind, found in walk(path):
            if kind == "database":
                total += databases.size_bytes(each)
            elif kind == "file":
                if found.st_dev not in self._shares and found.st_size:
                    self._shares[found.st_dev] = copies.can_share_blocks(each, self.folder)
                total += 0 if self._shares.get(found.st_dev) else found.st_size
        return total

    def copy_root(self, number: int, root: Path) -> Root:
        """Copies a declared path and all below it."""
        entries = []
        target = Path(str(number))
        for path, kind, found in walk(root):
            copy = target / path.relative_to(root)
            if kind is None:
                self.notes.append(f"{path} is a socket, a pipe or a device, and is left out")
                continue
            with contextlib.suppress(FileNotFoundError):
                # What vanishes meanwhile was temporary.
                entries.append(self._copy(path, kind, found, copy))
        for entry in reversed(entries):
            if entry.kind == "folder":
                files.sync_folder(self.folder / entry.copy)
        files.sync_folder(self.folder)
        return Root(tuple(entries) or (Entry(str(root), "missing"),))

    def _copy(self, path: Path, kind: Kind, found: os.stat_result, copy: Path) -> Entry:
        target = self.folder / copy
        entry = Entry(str(path), kind, mode=stat.S_IMODE(found.st_mode), uid=found.st_uid, gid=found.st_gid)
        if kind == "link":
            return replace(entry, link=os.readlink(path))
        if kind == "folder":
            target.mkdir(mode=files.PRIVATE_FOLDER)
            return replace(entry, copy=str(copy))
        if kind == "database":
            with _explained(path):
                databases.copy_out(path, target)
        else:
            self._copy_steady(path, target)
        return replace(entry, copy=str(copy), size=target.stat().st_size)

    def _copy_steady(self, path: Path, target: Path) -> None:
        """Copies a file until nobody wrote to it meanwhile, a few times at most."""
        for _ in range(TRIES):
            target.unlink(missing_ok=True)
            before = path.stat()
            copies.copy_file(path, target)
            after = path.stat()
            if (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size):
                return
        self.notes.append(f"{path} was written to while it was copied")


def walk(root: Path) -> Iterator[tuple[Path, Kind | None, os.stat_result]]:
    """A path and all below it, each with its kind, a folder before what is in it; nothing when missing.

    The log and journal files of databases are not mentioned: they are parts of these.
    """
    try:
        found = root.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    kind = kind_of(root, found)
    if kind == "file" and databases.is_side_file(root):
        return
    yield root, kind, found
    if kind == "folder":
        for name in sorted(names_in(root)):
            yield from walk(root / name)


def names_in(folder: Path) -> list[str]:
    """What the folder holds; nothing when it has just vanished."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def kind_of(path: Path, found: os.stat_result) -> Kind | None:
    """What the path is; None for sockets, pipes and devices, of which no copy can be made."""
    if stat.S_ISDIR(found.st_mode):
        return "folder"
    if stat.S_ISLNK(found.st_mode):
        return "link"
    if not stat.S_ISREG(found.st_mode):
        return None
    return "database" if databases.is_database(path) else "file"


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns what the disk and SQLite say into errors that name the path."""
    try:
        yield
    except (sqlite3.Error, databases.DatabaseBusy) as error:
        raise SnapshotFailed(path=path, reason=error) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = files.size(shutil.disk_usage(path.parent).free)
            raise DiskFull(path=path.parent, free=free, needed="more") from error
        raise SnapshotFailed(path=error.filename or path, reason=error.strerror or error) from error
