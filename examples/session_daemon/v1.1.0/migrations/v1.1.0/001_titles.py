"""Every session has a title."""

import sqlite3
from contextlib import closing


def connect():
    return closing(sqlite3.connect("data/sessions.db", timeout=10, isolation_level=None))


def check():
    with connect() as database:
        return any(column[1] == "title" for column in database.execute("PRAGMA table_info(session)"))


def migrate():
    with connect() as database:
        database.execute("BEGIN IMMEDIATE")
        database.execute("ALTER TABLE session ADD COLUMN title TEXT")
        database.execute("UPDATE session SET title = upper(substr(name, 1, 1)) || substr(name, 2)")
        database.execute("COMMIT")
    return True
