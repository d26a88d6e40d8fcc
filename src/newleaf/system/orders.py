"""`orders.sqlite`: accepted orders and their results, and what has to be known of those that are forgotten.

Rules: an order is on the disk before `accept` returns, and is accepted once, however often it is read again
(lessons.md L29); an open one belongs to the process that accepted it, until that has ended and another claims
it; the file is never opened through a symlink (threats.md T20). Every call may take as long as a disk does.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from newleaf.core.errors import (
    CorruptFile,
    DiskFull,
    NewerSchema,
    NewleafError,
    StateDirectoryUnsafe,
    StateDirectoryUnwritable,
)
from newleaf.core.orders import OVER, Order
from newleaf.core.records import moment, stamp
from newleaf.system import files, process_table
from newleaf.system.databases import side_files

FILE = "orders.sqlite"
PATIENCE_SECONDS = 10.0
POLL_SECONDS = 0.005
KEPT = timedelta(days=30)
"""How long an order that is over is known."""

_TABLE = """
    CREATE TABLE IF NOT EXISTS orders (
        key TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, door TEXT NOT NULL, origin TEXT NOT NULL,
        accepted_at TEXT NOT NULL, told TEXT, stage TEXT NOT NULL, receipt TEXT, interim INTEGER NOT NULL,
        record TEXT, pid INTEGER NOT NULL, started TEXT NOT NULL
    )
"""
_FACTS = "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
_ADDED = {"mission": "ALTER TABLE orders ADD COLUMN mission TEXT"}
"""Columns that files of before do not have. Who does not know them leaves them alone."""
_NOTED = ("stage", "interim", "record", "mission")
_COLUMNS = "key, id, door, origin, accepted_at, told, stage, receipt, interim, record, mission"


class Orders:
    """The orders of one state directory; for use by several threads and processes."""

    def __init__(self, state: Path) -> None:
        self._path = state / FILE
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._owner = (os.getpid(), process_table.start_time(os.getpid()) or "")

    def accept(self, order: Order, facts: Mapping[str, str] | None = None) -> bool:
        """Keeps the order as this process's, and the facts with it; False when its key or id is known.

        Then nothing is changed.

        Raises: CorruptFile, NewerSchema, DiskFull, StateDirectoryUnsafe, StateDirectoryUnwritable.
        """
        files.observe("accept", self._path)
        marks = ", ".join("?" * 13)
        with self._transaction() as connection:
            done = connection.execute(
                f"INSERT OR IGNORE INTO orders ({_COLUMNS}, pid, started) VALUES ({marks})",  # noqa: S608
                (*_values(order), *self._owner),
            )
            if done.rowcount == 1:
                _keep_facts(connection, facts or {})
            return done.rowcount == 1

    def note(self, order: Order) -> None:
        """Keeps what has become of the order. Raises: as `accept`."""
        files.observe("note", self._path)
        assignments = ", ".join(f"{name} = ?" for name in _NOTED)
        with self._transaction() as connection:
            connection.execute(
                f"UPDATE orders SET {assignments} WHERE key = ?",  # noqa: S608
                (order.stage, int(order.interim), _encoded(order.record), _encoded(order.mission), order.key),
            )

    def note_receipt(self, key: str, receipt: str) -> None:
        """Keeps which message is the order's receipt; `note` leaves it as it is.

        Raises: as `accept`.
        """
        files.observe("note receipt", self._path)
        with self._transaction() as connection:
            connection.execute("UPDATE orders SET receipt = ? WHERE key = ?", (receipt, key))

    def find(self, identity: str, key: str | None = None) -> Order | None:
        """The order with this id, or with this key. Raises: as `accept`."""
        with self._transaction() as connection:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM orders WHERE id = ? OR key = ?",  # noqa: S608
                (identity, key),
            ).fetchone()
        return self._read(row) if row else None

    def fact(self, name: str) -> str | None:
        """What was kept under a name. Raises: as `accept`."""
        with self._transaction() as connection:
            row = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def keep(self, facts: Mapping[str, str]) -> None:
        """Keeps facts; an empty one is forgotten. Raises: as `accept`."""
        files.observe("keep", self._path)
        with self._transaction() as connection:
            _keep_facts(connection, facts)

    def claim(self, door: str, now: datetime) -> list[Order]:
        """The open orders of one door whose process has ended, oldest first: they are this process's now.

        What has been over for long is forgotten. Raises: as `accept`.
        """
        if not self._path.parent.exists():  # a developer's machine, say: nothing is made by looking
            return []
        claimed = []
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM orders WHERE stage = ? AND accepted_at < ?", (OVER, stamp(now - KEPT))
            )
            rows = connection.execute(
                f"SELECT {_COLUMNS}, pid, started FROM orders WHERE door = ? AND stage != ? "  # noqa: S608
                "ORDER BY accepted_at, rowid",
                (door, OVER),
            ).fetchall()
            for *row, pid, started in rows:
                if not process_table.is_alive(pid, started):
                    order = self._read(row)
                    claimed.append(order)
                    connection.execute(
                        "UPDATE orders SET pid = ?, started = ? WHERE key = ?", (*self._owner, order.key)
                    )
        return claimed

    def close(self) -> None:
        """Lets go of the file."""
        with self._lock:
            if self._connection:
                self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._explained():
            connection = self._connection or self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def _open(self) -> sqlite3.Connection:
        for path in (self._path, *side_files(self._path)):
            if path.is_symlink():
                reason = f"is not safe: {path.name} is a symlink"
                raise StateDirectoryUnsafe(path=path.parent, reason=reason, mend=f"rm {path}")
        files.prepare_state_directory(self._path.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with files.explained(self._path):
            os.close(os.open(self._path, flags, files.PRIVATE_FILE))
        connection = sqlite3.connect(
            self._path, timeout=PATIENCE_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            # A write-ahead log costs one fsync an order; FULL makes sure that it is one.
            _write_ahead(connection)
            connection.execute("PRAGMA synchronous = FULL")
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            self._require_known(found)
            connection.execute(_TABLE)
            connection.execute(_FACTS)
            self._add_columns(connection)
            connection.execute(f"PRAGMA user_version = {files.SCHEMA}")
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    @staticmethod
    def _add_columns(connection: sqlite3.Connection) -> None:
        # Another process may add it between the look and this.
        known = {row[1] for row in connection.execute("PRAGMA table_info(orders)")}
        for name, statement in _ADDED.items():
            if name not in known:
                with contextlib.suppress(sqlite3.OperationalError):
                    connection.execute(statement)

    def _require_known(self, schema: int) -> None:
        if schema > files.SCHEMA:
            raise NewerSchema(path=self._path, found=schema, known=files.SCHEMA)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def _explain(self, error: sqlite3.Error) -> NewleafError:
        if error.sqlite_errorname == "SQLITE_FULL":
            return DiskFull(path=self._path.parent, free="too little", needed="more")
        if isinstance(error, sqlite3.OperationalError):
            return StateDirectoryUnwritable(path=self._path.parent, reason=f"{FILE}: {error}")
        return CorruptFile(path=self._path, reason=error)

    def _read(self, row: list[Any]) -> Order:
        key, identity, door, origin, accepted_at, told, stage, receipt, interim, record, mission = row
        try:
            return Order(
                key,
                identity,
                door,
                origin,
                moment(accepted_at),
                told,
                stage,
                receipt,
                bool(interim),
                json.loads(record) if record else None,
                json.loads(mission) if mission else None,
            )
        except (ValueError, TypeError) as error:
            raise CorruptFile(path=self._path, reason=f"an order is not newleaf's: {error}") from error


def _write_ahead(connection: sqlite3.Connection) -> None:
    # SQLite waits for no lock here, whatever the connection's timeout: of several who open a new file at the
    # same moment, all but one are refused (sqlite.org/wal.html, "Sometimes Queries Return SQLITE_BUSY").
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > until:
                raise
            time.sleep(POLL_SECONDS)
        else:
            return


def _values(order: Order) -> tuple[object, ...]:
    return (
        order.key,
        order.id,
        order.door,
        order.origin,
        stamp(order.accepted_at),
        order.to,
        order.stage,
        order.receipt,
        int(order.interim),
        _encoded(order.record),
        _encoded(order.mission),
    )


def _encoded(record: Mapping[str, Any] | None) -> str | None:
    return json.dumps(record) if record is not None else None


def _keep_facts(connection: sqlite3.Connection, facts: Mapping[str, str]) -> None:
    for name, value in facts.items():
        if value:
            connection.execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (name, value))
        else:
            connection.execute("DELETE FROM facts WHERE name = ?", (name,))
