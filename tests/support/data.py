"""An app's data on the disk: files, links, databases; as one can compare it."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from newleaf.system import databases
from newleaf.update.data.snapshots import Snapshot, Snapshots

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Look = dict[str, tuple[str, object]]


class DataApp:
    """A folder `app` with `data` in it, and a folder `state`, below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "app"
        self.state = folder / "state"
        self.data = self.folder / "data"
        self.snapshots = Snapshots(self.state)
        self.data.mkdir(parents=True)
        self.state.mkdir(mode=0o700)

    def take(self, *state_paths: str, attempt: str = "one") -> Snapshot:
        return self.snapshots.take(attempt, self.folder, state_paths or ("data",), NOW)

    def look(self) -> Look:
        """All that the data holds."""
        return look(self.data)


def look(folder: Path) -> Look:
    """What is below a folder: files as bytes, links by where they lead, databases by what they say."""
    found: Look = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = ("folder", mode)
        elif databases.is_database(path):
            found[name] = ("database", tuple(dump(path)))
        elif path.is_file() and not databases.is_side_file(path):
            found[name] = ("file", (mode, path.read_bytes()))
    return found


def dump(path: Path) -> list[str]:
    """A database as SQL."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def run_sql(path: Path, *statements: str) -> None:
    """Runs statements on a database, and commits."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def fill(data: Path) -> None:
    """One of each kind."""
    (data / "config.toml").write_text("port = 1\n")
    (data / "secret").write_text("s")
    (data / "secret").chmod(0o400)
    (data / "inner" / "deep").mkdir(parents=True)
    (data / "inner" / "deep" / "file").write_bytes(bytes(range(256)))
    (data / "inner" / "empty").mkdir(mode=0o750)
    (data / "link").symlink_to("config.toml")
    (data / "dangling").symlink_to("/nowhere/at/all")
    run_sql(
        data / "app.db", "PRAGMA journal_mode = wal", "CREATE TABLE t (x)", "INSERT INTO t VALUES ('old')"
    )
    run_sql(data / "plain.db", "CREATE TABLE t (x)", "INSERT INTO t VALUES ('old')")


def spoil(data: Path) -> None:
    """Changes one of each, takes away one of each, and adds one of each."""
    (data / "config.toml").write_text("port = 2\n")
    (data / "secret").chmod(0o644)
    (data / "inner" / "deep" / "file").unlink()
    (data / "inner" / "deep").rmdir()
    (data / "inner" / "empty").rmdir()
    (data / "inner" / "empty").write_text("a file now")
    (data / "link").unlink()
    (data / "link").symlink_to("secret")
    (data / "dangling").unlink()
    run_sql(data / "app.db", "ALTER TABLE t RENAME COLUMN x TO y", "INSERT INTO t VALUES ('new')")
    (data / "plain.db").unlink()
    run_sql(data / "added.db", "CREATE TABLE u (x)")
    (data / "added").mkdir()
    (data / "added" / "file").write_text("new")
    (data / "added.link").symlink_to("added")
