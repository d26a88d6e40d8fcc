"""The host of the demo, as its operator and anybody who looks at it from outside see it.

newleaf is called as a program, in the checkout, and what it says is shown as it is.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from newleaf.cli.demo.sandbox import Sandbox, newleaf_program, wait_until
from newleaf.cli.demo.screen import Screen
from newleaf.system.commands import Finished

SECRET = b"OWNER=Ada\n"
JOB_BEGUN = "job-begun"
_BEFORE_CHANGES = ("fetch", "verify", "stage", "wait", "snapshot")


@dataclass(frozen=True)
class Host:
    """Where the app is deployed, and how newleaf is called there."""

    sandbox: Sandbox
    screen: Screen
    program: list[str] = field(default_factory=newleaf_program)
    app: str = "notes"

    @property
    def checkout(self) -> Path:
        return self.sandbox.folder / self.app

    @property
    def state(self) -> Path:
        return self.sandbox.folder / f".{self.app}"

    @property
    def database(self) -> Path:
        return self.checkout / "data/notes.db"

    # --- what its operator does ---------------------------------------------------------

    def clone(self, remote: Path) -> None:
        """Clones the app, and gives it what is the host's own."""
        self.screen.command(["git", "clone", str(remote), str(self.checkout)])
        self.sandbox.run("git", "clone", "--quiet", remote, self.checkout, cwd=self.sandbox.folder)
        (self.checkout / ".env").write_bytes(SECRET)

    def newleaf(self, *arguments: str, lines: int | None = None) -> Finished:
        """Calls newleaf, and shows what it says, or so many lines of it."""
        self.screen.command(["newleaf", *arguments])
        finished = self.sandbox.run(*self.program, *arguments, cwd=self.checkout, check=False)
        self.screen.output((finished.text.splitlines() or finished.tail)[:lines])
        return finished

    def ask(self, verb: str) -> dict[str, Any]:
        """What newleaf says to programs, without showing it."""
        finished = self.sandbox.run(*self.program, verb, "--json", cwd=self.checkout, check=False)
        answer: dict[str, Any] = json.loads(finished.stdout)
        return answer

    @contextmanager
    def job(self) -> Iterator[None]:
        """A job that runs meanwhile, and keeps the app busy."""
        begun = self.sandbox.folder / JOB_BEGUN
        job = ["sh", "-c", f"touch {begun}; read line"]
        self.screen.command(["newleaf", "busy", "--", "a-long-job", "&"])
        with self.sandbox.started([*self.program, "busy", "--", *job], self.checkout) as child:
            wait_until(begun.exists, "the job to begin")
            yield
            assert child.stdin
            child.stdin.close()
            wait_until(lambda: child.poll() is not None, "the job to end")

    def kill_update(self, state: str) -> str:
        """Starts an update and kills it at `state`, or as soon after as it is seen; returns where."""
        self.screen.command(["newleaf", "update"])
        before = self.attempt_state()
        with self.sandbox.started([*self.program, "update"], self.checkout) as child:

            def is_there() -> bool:
                now = self.attempt_state()
                return child.poll() is not None or now == state or now not in {before, *_BEFORE_CHANGES}

            wait_until(is_there, f"the update to be at {state}")
            child.kill()
            child.wait()
        return self.attempt_state()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Somebody is about to write to the database, and whoever else wants to has to wait."""
        with closing(sqlite3.connect(self.database, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    # --- what can be looked at ----------------------------------------------------------

    def commit(self) -> str:
        """The commit that the checkout is at."""
        return self.sandbox.run("git", "rev-parse", "HEAD", cwd=self.checkout).text.strip()

    def stashes(self) -> list[str]:
        return self.sandbox.run("git", "stash", "list", cwd=self.checkout).text.splitlines()

    def diff(self) -> list[str]:
        """The local changes."""
        return self.sandbox.run("git", "diff", "-U0", cwd=self.checkout).text.splitlines()

    def dump(self) -> list[str]:
        """The whole database, as SQL."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return list(connection.iterdump())

    def applied(self) -> list[str]:
        """The migrations that newleaf has recorded."""
        path = self.state / "migration_state.json"
        recorded: list[str] = json.loads(path.read_text())["applied"] if path.exists() else []
        return recorded

    def asides(self) -> list[Path]:
        """The folders with what was kept aside when data was put back."""
        return sorted(self.state.glob("snapshots/*/aside*"))

    def attempt_state(self) -> str:
        """Where the newest attempt is, by its journal; empty when that cannot be told."""
        try:
            lines = (self.state / "journal.jsonl").read_text().splitlines()
            return str(json.loads(lines[-1])["state"])
        except (FileNotFoundError, LookupError, ValueError):
            return ""

    def runs_of_migrations(self) -> int:
        """How many migrations have run: each counts itself, in its own transaction."""
        ((count,),) = query(self.database, "PRAGMA user_version")
        return int(count)

    def texts_in(self, aside: Path) -> list[str]:
        """The texts of the notes in a database that was kept aside."""
        kept = aside / self.database.relative_to("/")
        return [text for (text,) in query(kept, "SELECT text FROM note ORDER BY id")]


def query(database: Path, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query, without writing anything."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()
