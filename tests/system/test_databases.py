"""SQLite databases in use: copied whole, put back under the eyes of who has them open."""

from __future__ import annotations

import resource
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from newleaf.system import databases
from tests.support.kills import run_in_child

JOURNALS = ["delete", "wal"]


@contextmanager
def opened(path: Path, journal: str = "", page_bytes: int = 0) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=1)) as connection:
        if page_bytes:
            connection.execute(f"PRAGMA page_size = {page_bytes}")
        if journal:
            connection.execute(f"PRAGMA journal_mode = {journal}")
        yield connection


def fill(path: Path, journal: str = "delete", rows: int = 500, page_bytes: int = 0) -> None:
    with opened(path, journal, page_bytes) as connection:
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [("row" * 20,)] * rows)
        connection.execute("COMMIT")


def ask(path: Path, question: str = "SELECT count(*) FROM t") -> Any:
    with opened(path) as connection:
        return connection.execute(question).fetchone()[0]


def spoil(path: Path) -> None:
    with opened(path) as connection:
        connection.execute("DELETE FROM t WHERE rowid > 10")
        connection.execute("ALTER TABLE t ADD COLUMN y")


@pytest.mark.parametrize("journal", JOURNALS)
def test_a_copy_holds_what_is_committed_and_only_in_the_log(tmp_path: Path, journal: str) -> None:
    live, copy = tmp_path / "live.db", tmp_path / "copy"
    fill(live, journal)
    with opened(live) as daemon:
        daemon.execute("INSERT INTO t VALUES ('newest')")
        daemon.execute("BEGIN")
        daemon.execute("INSERT INTO t VALUES ('not committed')") if journal == "wal" else None
        databases.copy_out(live, copy)
        daemon.execute("ROLLBACK")
    assert ask(copy) == 501
    assert ask(copy, "PRAGMA integrity_check") == "ok"


def test_a_copy_is_one_file_with_the_mode_of_the_database(tmp_path: Path) -> None:
    fill(tmp_path / "live.db", "wal")
    (tmp_path / "live.db").chmod(0o640)
    with opened(tmp_path / "live.db") as daemon:
        daemon.execute("SELECT * FROM t").fetchone()
        databases.copy_out(tmp_path / "live.db", tmp_path / "copy")
        assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith("copy")) == ["copy"]
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("journal", JOURNALS)
def test_a_daemon_that_has_it_open_sees_the_old_content_come_back(tmp_path: Path, journal: str) -> None:
    live, copy = tmp_path / "live.db", tmp_path / "copy"
    fill(live, journal)
    with opened(live) as daemon:
        databases.copy_out(live, copy)
        spoil(live)
        assert daemon.execute("SELECT count(*) FROM t").fetchone() == (10,)
        databases.put_back(copy, live)
        assert daemon.execute("SELECT count(*) FROM t").fetchone() == (500,)
        assert len(daemon.execute("PRAGMA table_info(t)").fetchall()) == 1
        daemon.execute("INSERT INTO t VALUES ('goes on')")
        assert daemon.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert ask(live) == 501
    assert ask(live, "PRAGMA journal_mode") == journal


@pytest.mark.parametrize("journal", JOURNALS)
def test_killed_while_putting_back_the_old_or_the_new_is_there(tmp_path: Path, journal: str) -> None:
    live, copy = tmp_path / "live.db", tmp_path / "copy"
    fill(live, journal)
    databases.copy_out(live, copy)
    spoil(live)
    with opened(live) as connection:
        connection.execute("VACUUM")

    def put_back_on_a_disk_that_ends(at_bytes: int) -> None:
        # The kernel kills the process in the middle of SQLite's own writing.
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (at_bytes, at_bytes))
        databases.put_back(copy, live)

    killed = []
    for at_bytes in range(2048, 2 * copy.stat().st_size, 4096):
        status = run_in_child(partial(put_back_on_a_disk_that_ends, at_bytes))
        killed.append(status == -signal.SIGXFSZ)
        assert ask(live, "PRAGMA integrity_check") == "ok"
        assert ask(live) == (10 if killed[-1] else 500)
        if not killed[-1]:
            break
    assert len(killed) > 5
    assert not killed[-1]


@pytest.mark.parametrize(("before", "since"), [("delete", "wal"), ("wal", "delete")])
def test_the_journal_mode_comes_back_when_nobody_is_in_the_way(
    tmp_path: Path, before: str, since: str
) -> None:
    live, copy = tmp_path / "live.db", tmp_path / "copy"
    fill(live, before)
    databases.copy_out(live, copy)
    with opened(live, since) as changed:
        changed.execute("DELETE FROM t")
    databases.put_back(copy, live)
    assert ask(live, "PRAGMA journal_mode") == before
    assert ask(live) == 500


@pytest.mark.parametrize("journal", JOURNALS)
def test_another_page_size_comes_back_too(tmp_path: Path, journal: str) -> None:
    live, copy = tmp_path / "live.db", tmp_path / "copy"
    fill(live)
    databases.copy_out(live, copy)
    live.unlink()
    fill(live, journal, rows=3, page_bytes=1024)
    databases.put_back(copy, live)
    assert (ask(live), ask(live, "PRAGMA page_size")) == (500, 4096)


def test_a_database_that_stays_locked_is_an_error_in_bounded_time(tmp_path: Path) -> None:
    live, copy = tmp_path / "live.db", tmp_path / "copy"
    fill(live)
    databases.copy_out(live, copy)
    with ExitStack() as stack:
        daemon = stack.enter_context(opened(live))
        daemon.execute("BEGIN EXCLUSIVE")
        with pytest.raises(databases.DatabaseBusy, match="locked"):
            databases.copy_out(live, tmp_path / "second", patience_seconds=0.1)
        with pytest.raises(databases.DatabaseBusy, match="locked"):
            databases.put_back(copy, live, patience_seconds=0.1)
        daemon.execute("ROLLBACK")
    assert ask(live) == 500


def test_a_page_size_that_cannot_change_under_a_daemon_is_an_error(tmp_path: Path) -> None:
    live, copy = tmp_path / "live.db", tmp_path / "copy"
    fill(live)
    databases.copy_out(live, copy)
    live.unlink()
    fill(live, "wal", rows=3, page_bytes=1024)
    with opened(live) as daemon:
        daemon.execute("SELECT * FROM t").fetchone()
        with pytest.raises(databases.DatabaseBusy, match="in use"):
            databases.put_back(copy, live, patience_seconds=0.1)
    assert ask(live) == 3


@pytest.mark.parametrize("journal", JOURNALS)
def test_a_database_nobody_wrote_to_gives_the_same_copy_again(tmp_path: Path, journal: str) -> None:
    live = tmp_path / "live.db"
    fill(live, journal)
    databases.copy_out(live, tmp_path / "first")
    with opened(live) as daemon:
        daemon.execute("BEGIN IMMEDIATE")
        daemon.execute("COMMIT")
        databases.copy_out(live, tmp_path / "second")
        assert databases.have_same_content(tmp_path / "first", tmp_path / "second")
        daemon.execute("UPDATE t SET x = 'other' WHERE rowid = 400")
    databases.copy_out(live, tmp_path / "third")
    assert not databases.have_same_content(tmp_path / "first", tmp_path / "third")
    spoil(live)
    databases.copy_out(live, tmp_path / "fourth")
    assert not databases.have_same_content(tmp_path / "third", tmp_path / "fourth")


def test_a_copy_put_back_is_the_same_again(tmp_path: Path) -> None:
    live = tmp_path / "live.db"
    fill(live)
    databases.copy_out(live, tmp_path / "first")
    spoil(live)
    databases.put_back(tmp_path / "first", live)
    databases.copy_out(live, tmp_path / "second")
    assert databases.have_same_content(tmp_path / "first", tmp_path / "second")


def test_databases_are_told_by_their_first_bytes(tmp_path: Path) -> None:
    fill(tmp_path / "no-suffix")
    (tmp_path / "not.db").write_text("SQLite, they said")
    (tmp_path / "empty.db").touch()
    (tmp_path / "link.db").symlink_to("no-suffix")
    found = [path.name for path in tmp_path.iterdir() if databases.is_database(path)]
    assert found == ["no-suffix"]
    assert not databases.is_database(tmp_path / "missing")


def test_a_log_belongs_to_the_database_beside_it(tmp_path: Path) -> None:
    fill(tmp_path / "a.db")
    for name in ("a.db-wal", "a.db-journal", "b.db-wal", "a.db-notes"):
        (tmp_path / name).touch()
    found = sorted(path.name for path in tmp_path.iterdir() if databases.is_side_file(path))
    assert found == ["a.db-journal", "a.db-wal"]


def test_the_log_counts_in_the_size(tmp_path: Path) -> None:
    fill(tmp_path / "a.db")
    alone = databases.size_bytes(tmp_path / "a.db")
    (tmp_path / "a.db-wal").write_bytes(bytes(1000))
    assert databases.size_bytes(tmp_path / "a.db") == alone + 1000


def test_a_file_that_only_looks_like_one_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(databases.MAGIC + bytes(4096))
    with pytest.raises(sqlite3.DatabaseError):
        databases.copy_out(tmp_path / "a.db", tmp_path / "copy")
