"""The host of the demo: how newleaf is called there, and what is looked at from outside."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from newleaf.cli.demo.demo_host import Host, query
from newleaf.cli.demo.sandbox import Sandbox
from newleaf.cli.demo.screen import Screen
from newleaf.system.busy_lock import probe

GOES_THROUGH = """
import json, sys, time
for state in {states!r}:
    with open("../.notes/journal.jsonl", "a") as journal:
        journal.write(json.dumps({{"state": state}}) + "\\n")
    time.sleep({seconds})
"""
"""Stands for an update: its journal goes through these states."""


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def host(tmp_path: Path, lines: list[str]) -> Host:
    made = Host(Sandbox(tmp_path, os.environ["PATH"]), Screen(lines.append, str(tmp_path)))
    made.database.parent.mkdir(parents=True)
    made.state.mkdir(mode=0o700)
    fill(made.database, "buy milk #errand")
    return made


def fill(path: Path, *texts: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
        database.executemany("INSERT INTO note (text) VALUES (?)", [(text,) for text in texts])
        database.execute("PRAGMA user_version = 2")
        database.commit()


def updating(host: Host, states: list[str], seconds: float) -> Host:
    """The host, with a program in newleaf's place that only writes a journal."""
    code = GOES_THROUGH.format(states=states, seconds=seconds)
    return Host(host.sandbox, host.screen, [sys.executable, "-c", code])


def test_newleaf_is_called_as_a_program_and_what_it_says_is_shown(host: Host, lines: list[str]) -> None:
    finished = host.newleaf("version")
    assert finished.status == 0
    assert lines[0] == "  $ newleaf version"
    assert lines[1].startswith("    newleaf ")


def test_what_newleaf_complains_of_is_shown_too(host: Host, lines: list[str]) -> None:
    assert host.newleaf("no-such-verb").status == 2
    assert "there is no verb" in lines[1]


def test_newleaf_is_asked_without_showing_it(host: Host, lines: list[str]) -> None:
    assert host.ask("version")["outcome"] == "ok"
    assert lines == []


def test_app_is_busy_while_the_job_runs(host: Host) -> None:
    (host.checkout / ".git").mkdir()
    (host.checkout / "newleaf.toml").write_text('[app]\nname = "notes"\n')
    with host.job():
        assert not probe(host.state).is_idle
    assert probe(host.state).is_idle


def test_update_is_killed_at_the_state_that_is_asked_for(host: Host) -> None:
    slow = updating(host, ["fetch", "verify", "install", "migrate"], 0.3)
    assert slow.kill_update("install") == "install"


def test_update_that_was_too_quick_is_killed_where_it_is(host: Host) -> None:
    quick = updating(host, ["fetch", "migrate", "migrate"], 0.3)
    assert quick.kill_update("install") == "migrate"


def test_update_that_had_ended_is_seen_to_have(host: Host) -> None:
    over = updating(host, ["fetch", "done"], 0)
    assert over.kill_update("install") == "done"


@pytest.mark.parametrize("text", [None, "", '{"state": "ins', "{}\n"])
def test_state_of_an_attempt_that_cannot_be_told_is_empty(text: str | None, host: Host) -> None:
    if text is not None:
        (host.state / "journal.jsonl").write_text(text)
    assert host.attempt_state() == ""


def test_nobody_else_can_write_while_somebody_does(host: Host) -> None:
    with host.writing(), closing(sqlite3.connect(host.database, timeout=0)) as other:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("UPDATE note SET text = ''")
        assert query(host.database, "SELECT text FROM note") == [("buy milk #errand",)]
    assert any("buy milk #errand" in line for line in host.dump())


def test_what_was_kept_aside_is_found_and_read(host: Host) -> None:
    aside = host.state / "snapshots/a1/aside"
    fill(aside / host.database.relative_to("/"), "buy milk")
    assert host.asides() == [aside]
    assert host.texts_in(aside) == ["buy milk"]


def test_migrations_are_counted_by_what_is_recorded_and_by_what_they_did(host: Host) -> None:
    assert host.applied() == []
    (host.state / "migration_state.json").write_text('{"schema": 1, "applied": ["1.1.0/001_a.py"]}')
    assert host.applied() == ["1.1.0/001_a.py"]
    assert host.runs_of_migrations() == 2


def test_looking_does_not_write(host: Host) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        query(host.database, "DELETE FROM note")
