"""The way back of an app's data: a snapshot put back, and what was written since kept aside.

Rules: what is as it was is not touched. What differs is first kept below `aside` in the snapshot's
folder, under its own full path, and only then replaced; what has come since is moved there. A file is
replaced by rename, a database in place through SQLite, because a daemon may have it open
(`system.databases`); one that is gone or is no database any more is put there as a file, its stale log
moved aside before. Sockets, pipes and devices are left alone. newleaf's own record of applied migrations goes
back first: killed halfway, `check()` is asked about too much rather than too little.

It may be killed anywhere and done again; what a later run has to keep aside gets a folder of its own.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from msgspec import Struct, field

from newleaf.core.data.data_errors import RestoreFailed, SnapshotDamaged, SnapshotMissing
from newleaf.core.data.snapshot import Entry, Root
from newleaf.system import copies, databases, files
from newleaf.update.data.snapshots import ASIDE, Snapshot, Snapshots, kind_of, names_in, walk

COMPARED = "compared.tmp"
NAMED = 5


class Restored(Struct, frozen=True):
    """What putting back came to: paths that changed, paths kept aside, and where these lie."""

    changed: tuple[str, ...]
    kept: tuple[str, ...]
    asides: tuple[Path, ...]

    @property
    def summary(self) -> str:
        """One line for people."""
        done = f"data put back ({len(self.changed)} changed)" if self.changed else "data was as it had been"
        if not self.kept:
            return done
        more = f" and {len(self.kept) - NAMED} more" if len(self.kept) > NAMED else ""
        where = ", ".join(map(str, self.asides))
        return f"{done}; what was written meanwhile lies in {where}: {', '.join(self.kept[:NAMED])}{more}"


def restore(snapshots: Snapshots, attempt: str) -> str:
    """Puts back the snapshot of an attempt; returns a line for people.

    Raises: SnapshotMissing, SnapshotDamaged, RestoreFailed.
    """
    snapshot = snapshots.find(attempt)
    if snapshot is None:
        raise SnapshotMissing(attempt=attempt, folder=snapshots.folder)
    return put_back(snapshot).summary


def put_back(snapshot: Snapshot) -> Restored:
    """Makes the declared paths what they were.

    Raises: SnapshotDamaged, RestoreFailed.
    """
    _check_whole(snapshot)
    own, *declared = snapshot.manifest.roots
    _Replacing(snapshot).put_back_unkept(own.entries[0])
    replacing = _Replacing(snapshot)
    for root in declared:
        replacing.put_back(root)
    return Restored(tuple(replacing.changed), tuple(dict.fromkeys(_kept(snapshot))), snapshot.asides)


def _check_whole(snapshot: Snapshot) -> None:
    for root in snapshot.manifest.roots:
        for entry in root.entries:
            copy = snapshot.copy_of(entry)
            if entry.copy and not (copy.is_dir() if entry.kind == "folder" else copy.is_file()):
                raise SnapshotDamaged(folder=snapshot.folder, reason=f"{entry.copy} is gone")
            if entry.copy and entry.kind != "folder" and copy.stat().st_size != entry.size:
                raise SnapshotDamaged(folder=snapshot.folder, reason=f"{entry.copy} has another size")


def _kept(snapshot: Snapshot) -> Iterator[str]:
    for aside in snapshot.asides:
        yield from (f"/{path.relative_to(aside)}" for path, kind, _ in walk(aside) if kind != "folder")


class _Replacing(Struct, dict=True):
    """One run over a snapshot."""

    snapshot: Snapshot
    changed: list[str] = field(default_factory=list)

    @cached_property
    def aside(self) -> Path:
        """The folder of this run, made when something has to be kept."""
        number = 1 + len(self.snapshot.asides)
        folder = self.snapshot.folder / (ASIDE if number == 1 else f"{ASIDE}-{number}")
        folder.mkdir(mode=files.PRIVATE_FOLDER)
        files.sync_folder(self.snapshot.folder)
        return folder

    def put_back_unkept(self, entry: Entry) -> None:
        """Puts back a file of newleaf's own."""
        path = Path(entry.path)
        with _explained(path, self.snapshot):
            if entry.kind == "missing":
                files.remove(path)
            else:
                copies.replace_by_copy(path, self.snapshot.copy_of(entry))

    def put_back(self, root: Root) -> None:
        """Puts back a declared path with all below it."""
        wanted = {entry.path for entry in root.entries}
        for entry in root.entries:
            path = Path(entry.path)
            with _explained(path, self.snapshot):
                if self._put_back_one(entry, path):
                    self.changed.append(entry.path)
                if entry.kind == "folder":
                    self._move_newcomers_aside(path, root, wanted)

    def _put_back_one(self, entry: Entry, path: Path) -> bool:
        """Whether the path had to change."""
        found = _lstat(path)
        kind = kind_of(path, found) if found else "missing"
        if kind is None or kind == entry.kind == "missing":
            return False
        if entry.kind == "database":
            return self._put_back_database(entry, path, kind)
        same_kind = kind == entry.kind
        if found and not same_kind:
            self._move_aside(path)
        if entry.kind == "file":
            return self._put_back_file(entry, path, found if same_kind else None)
        if entry.kind == "link":
            return self._put_back_link(entry, path, found if same_kind else None)
        if entry.kind == "folder":
            return self._put_back_folder(entry, path, found if same_kind else None)
        return True

    def _put_back_file(self, entry: Entry, path: Path, found: os.stat_result | None) -> bool:
        copy = self.snapshot.copy_of(entry)
        if found and copies.have_same_content(path, copy):
            return _set_mode(entry, path, found)
        if found and not any(copies.have_same_content(path, kept) for kept in self._kept_before(path)):
            copies.keep_file(path, self._place_aside(path))
        _make_folder_of(path)
        copies.replace_by_copy(path, copy)
        return True

    def _put_back_link(self, entry: Entry, path: Path, found: os.stat_result | None) -> bool:
        if found:
            led_to = os.readlink(path)
            if led_to == entry.link:
                return False
            place = self._place_aside(path)
            os.symlink(led_to, place)
            files.sync_folder(place.parent)
        _make_folder_of(path)
        copies.replace_by_link(path, entry.link)
        return True

    def _put_back_folder(self, entry: Entry, path: Path, found: os.stat_result | None) -> bool:
        if found:
            return _set_mode(entry, path, found)
        _make_folder_of(path)
        path.mkdir()
        copies.give_to(path, entry.uid, entry.gid)
        path.chmod(entry.mode)
        files.sync_folder(path.parent)
        return True

    def _put_back_database(self, entry: Entry, path: Path, kind: str) -> bool:
        copy = self.snapshot.copy_of(entry)
        compared = self.snapshot.folder / COMPARED
        if kind == "database" and _copied_out(path, compared):
            if databases.have_same_content(compared, copy):
                compared.unlink()
                return _set_mode(entry, path, path.lstat())
            if not any(databases.have_same_content(compared, kept) for kept in self._kept_before(path)):
                place = self._place_aside(path)
                os.replace(compared, place)
                files.sync_folder(place.parent)
            compared.unlink(missing_ok=True)
            databases.put_back(copy, path)
            return True
        # Nobody's database is here: a log that stayed would be applied to the one that is put back.
        if kind == "missing":
            self._move_logs_aside(path)
        else:
            self._move_aside(path)
        _make_folder_of(path)
        copies.replace_by_copy(path, copy)
        return True

    def _move_newcomers_aside(self, folder: Path, root: Root, wanted: set[str]) -> None:
        """Moves what has come into the folder since."""
        logs = {
            str(log)
            for entry in root.entries
            if entry.kind == "database"
            for log in databases.side_files(Path(entry.path))
        }
        for name in sorted(names_in(folder)):
            path = folder / name
            if str(path) in wanted or str(path) in logs:
                continue
            if name == copies.PROVISIONAL:
                path.unlink()
            elif (found := _lstat(path)) and kind_of(path, found):
                self._move_aside(path)
                self.changed.append(str(path))

    def _move_aside(self, path: Path) -> None:
        copies.move(path, self._place_aside(path))
        self._move_logs_aside(path)

    def _move_logs_aside(self, path: Path) -> None:
        for log in databases.side_files(path):
            if _lstat(log):
                copies.move(log, self._place_aside(log))

    def _kept_before(self, path: Path) -> Iterator[Path]:
        """What runs before, killed since, have kept of the path."""
        for aside in self.snapshot.asides:
            place = aside / path.relative_to("/")
            if place.is_file() and not place.is_symlink():
                yield place

    def _place_aside(self, path: Path) -> Path:
        place = self.aside
        for part in path.parent.parts[1:]:
            place /= part
            if not place.is_dir():
                place.mkdir(mode=files.PRIVATE_FOLDER)
                files.sync_folder(place.parent)
        return place / path.name


def _copied_out(path: Path, copy: Path) -> bool:
    """Whether the database could be read; False for one that is broken."""
    copy.unlink(missing_ok=True)
    try:
        databases.copy_out(path, copy)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        copy.unlink(missing_ok=True)
        return False
    return True


def _set_mode(entry: Entry, path: Path, found: os.stat_result) -> bool:
    """Whether the mode had to change."""
    if stat.S_IMODE(found.st_mode) == entry.mode:
        return False
    path.chmod(entry.mode)
    return True


def _make_folder_of(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)


def _lstat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


@contextlib.contextmanager
def _explained(path: Path, snapshot: Snapshot) -> Iterator[None]:
    """Turns what the disk and SQLite say into an error that says where the copies are."""
    try:
        yield
    except (OSError, sqlite3.Error, databases.DatabaseBusy) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise RestoreFailed(path=path, reason=reason, folder=snapshot.folder) from error
