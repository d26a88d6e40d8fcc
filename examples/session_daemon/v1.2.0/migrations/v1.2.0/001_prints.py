"""Every step has a print, by which one that was altered is known. Killed, this goes on where it was."""

import hashlib
import sqlite3
import time
from contextlib import closing

EACH_SECONDS = 0.03


def connect():
    return closing(sqlite3.connect("data/sessions.db", timeout=10, isolation_level=None))


def check():
    with connect() as database:
        return has_table(database) and not missing(database)


def migrate():
    with connect() as database:
        database.execute(
            "CREATE TABLE IF NOT EXISTS print (session TEXT, number INTEGER, print TEXT,"
            " PRIMARY KEY (session, number))"
        )
        for session, number, version in missing(database):
            found = hashlib.sha256(f"{session} {number} {version}".encode()).hexdigest()
            database.execute("INSERT INTO print VALUES (?, ?, ?)", (session, number, found))
            time.sleep(EACH_SECONDS)  # more data than this example has
    return True


def has_table(database):
    return bool(database.execute("SELECT 1 FROM sqlite_master WHERE name = 'print'").fetchall())


def missing(database):
    return database.execute(
        "SELECT session, number, version FROM step EXCEPT"
        " SELECT session, number, version FROM step NATURAL JOIN print ORDER BY session, number"
    ).fetchall()
