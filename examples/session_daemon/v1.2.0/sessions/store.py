"""The sessions, in SQLite: how far each has come, so that the next process goes on from there."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

FILE = Path("data/sessions.db")


def connect():
    FILE.parent.mkdir(exist_ok=True)
    return closing(sqlite3.connect(FILE, timeout=10, isolation_level=None))


def prepare():
    """Makes what is not there yet."""
    with connect() as database:
        database.execute(
            "CREATE TABLE IF NOT EXISTS session (name TEXT PRIMARY KEY, goal INTEGER, title TEXT)"
        )
        database.execute(
            "CREATE TABLE IF NOT EXISTS step (session TEXT, number INTEGER, version TEXT,"
            " PRIMARY KEY (session, number))"
        )
        database.execute(
            "CREATE TABLE IF NOT EXISTS print (session TEXT, number INTEGER, print TEXT,"
            " PRIMARY KEY (session, number))"
        )


def start(name, goal):
    """A new session, of so many steps."""
    with connect() as database:
        title = name.capitalize()
        database.execute("INSERT INTO session (name, goal, title) VALUES (?, ?, ?)", (name, goal, title))


def all_sessions():
    """Name, steps done and goal of each."""
    with connect() as database:
        return database.execute(
            "SELECT name, (SELECT count(*) FROM step WHERE session = name), goal FROM session ORDER BY name"
        ).fetchall()


def titles():
    """The title of each, by its name."""
    with connect() as database:
        return dict(database.execute("SELECT name, title FROM session").fetchall())


def take_step(name, number, version):
    """One step is done, for good."""
    found = hashlib.sha256(f"{name} {number} {version}".encode()).hexdigest()
    with connect() as database:
        database.execute("BEGIN IMMEDIATE")
        database.execute(
            "INSERT INTO step (session, number, version) VALUES (?, ?, ?)", (name, number, version)
        )
        database.execute("INSERT INTO print VALUES (?, ?, ?)", (name, number, found))
        database.execute("COMMIT")
