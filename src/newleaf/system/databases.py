"""SQLite databases while their owners use them: told by their first bytes, copied and put back.

Rules: a database in use is never copied as a file (its newest pages may be in the write-ahead log), and
never replaced by one (who has it open would go on with the old file and the new one's log). `copy_out` and
`put_back` both go through SQLite's backup interface: other connections see the old content or the new,
never a mixture, and a kill in between leaves the old. One that stays locked is an error, never a wait
without end.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from newleaf.system import copies, files

MAGIC = b"SQLite format 3\0"
SIDE_FILES = ("-wal", "-shm", "-journal")
PATIENCE_SECONDS = 30.0

_MASKED = (slice(18, 20), slice(24, 28), slice(92, 100))
"""Of the header: journal mode, and the counters that every writing of the file raises."""
_CHUNK_BYTES = 1024 * 1024


class DatabaseBusy(Exception):
    """Another process kept the database locked."""


def is_database(path: Path) -> bool:
    """Whether the file begins as an SQLite database does; False for what cannot be read."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def side_files(path: Path) -> list[Path]:
    """The log and journal files that belong to the database at `path`, where they would be."""
    return [path.with_name(path.name + suffix) for suffix in SIDE_FILES]


def is_side_file(path: Path) -> bool:
    """Whether the file is the log or the journal of a database beside it."""
    return any(
        path.name.endswith(suffix) and is_database(path.with_name(path.name.removesuffix(suffix)))
        for suffix in SIDE_FILES
    )


def size_bytes(path: Path) -> int:
    """What a copy may take: the database and its log."""
    return sum(file.stat().st_size for file in [path, *side_files(path)] if file.exists())


def copy_out(path: Path, copy: Path, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Makes `copy`, a new file, from the committed content of the database at `path`; durable.

    Raises: DatabaseBusy, sqlite3.Error, OSError.
    """
    files.observe("copy", copy)
    os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, files.PRIVATE_FILE))
    with _connected(path, patience_seconds) as live, _connected(copy, patience_seconds) as kept:
        # Nobody reads the copy before it is whole, and it is synced as a whole.
        kept.execute("PRAGMA journal_mode = OFF")
        kept.execute("PRAGMA synchronous = OFF")
        live.backup(kept, progress=_limit(path, patience_seconds))
    copies.keep_metadata(path, copy)
    with open(copy, "rb") as file:
        os.fsync(file.fileno())


def put_back(copy: Path, path: Path, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Makes the content of the live database at `path` that of `copy`, in one transaction.

    Raises: DatabaseBusy, sqlite3.Error, OSError.
    """
    files.observe("write", path)
    with _connected(copy, 0, "ro&immutable=1") as kept, _connected(path, patience_seconds) as live:
        if _ask(live, "page_size") != _ask(kept, "page_size") and _ask(live, "journal_mode") == "wal":
            # A database with a write-ahead log keeps its page size.
            _set_journal_mode(live, path, "delete")
        kept.backup(live, progress=_limit(path, patience_seconds))
        mode = "wal" if _logs_ahead(copy) else "delete"
        if _ask(live, "journal_mode") != mode:
            with contextlib.suppress(DatabaseBusy):
                _set_journal_mode(live, path, mode)


def have_same_content(first: Path, second: Path) -> bool:
    """Whether two copies, used by nobody, hold the same pages."""
    if first.stat().st_size != second.stat().st_size:
        return False
    with open(first, "rb") as one, open(second, "rb") as other:
        begun = True
        while chunk := bytearray(one.read(_CHUNK_BYTES)):
            compared = bytearray(other.read(len(chunk)))
            for masked in _MASKED if begun else ():
                chunk[masked] = compared[masked] = bytes(masked.stop - masked.start)
            if chunk != compared:
                return False
            begun = False
    return True


@contextlib.contextmanager
def _connected(path: Path, patience_seconds: float, mode: str = "rw") -> Iterator[sqlite3.Connection]:
    """A connection that never creates a database, and is closed at the end."""
    address = f"file:{quote(str(path))}?mode={mode}"
    connection = sqlite3.connect(address, uri=True, timeout=patience_seconds, isolation_level=None)
    with contextlib.closing(connection):
        try:
            yield connection
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                raise DatabaseBusy(str(error)) from error
            raise


def _limit(path: Path, patience_seconds: float) -> Callable[[int, int, int], None]:
    """What ends a backup that another process keeps from beginning."""
    end = time.monotonic() + patience_seconds

    def look(status: int, _remaining: int, _total: int) -> None:
        if status != sqlite3.SQLITE_DONE and time.monotonic() > end:
            raise DatabaseBusy(f"{path} stayed locked for {patience_seconds:g} s")

    return look


def _ask(connection: sqlite3.Connection, pragma: str) -> object:
    return connection.execute(f"PRAGMA {pragma}").fetchone()[0]


def _set_journal_mode(connection: sqlite3.Connection, path: Path, mode: str) -> None:
    try:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    except sqlite3.OperationalError as error:
        raise DatabaseBusy(f"{path} is in use, and cannot change its journal mode: {error}") from error


def _logs_ahead(copy: Path) -> bool:
    with open(copy, "rb") as file:
        return file.read(20)[18:20] == b"\2\2"
