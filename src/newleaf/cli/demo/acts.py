"""The demo's story, act by act: what is done to a host, and what is then looked at.

What is claimed is not taken from what newleaf says alone, but looked at from outside: over HTTP, in the
database, in the files, in what the service manager has seen.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import newleaf
from newleaf.cli.demo.demo_host import SECRET, Host
from newleaf.cli.demo.maintainer import Maintainer
from newleaf.cli.demo.proofs import Check
from newleaf.cli.demo.sandbox import Sandbox
from newleaf.cli.demo.screen import Screen
from newleaf.cli.demo.service import Service, Witness, kept_running
from newleaf.cli.demo.under_load import perform
from newleaf.cli.demo.wheels import fill_index, write_library
from newleaf.core.errors import DemoStuck
from newleaf.core.states import ENDS

NOTES = ["buy milk #errand", "call Ada #phone #today", "water the plants"]
WORDS = [3, 4, 3]
PLAIN_NOTES = ["buy milk", "call Ada", "water the plants"]
TAGS = [["errand"], ["phone", "today"], []]
MIGRATIONS = ["1.1.0/001_count_words.py", "1.2.0/001_tags_apart.py"]
RESTART = 42
WAIT = ("--wait", "20")

LIBRARY = {
    "1.0.0": "def letters(text):\n    return sum(map(str.isalpha, text))\n",
    "2.0.0": "def words(text):\n    return len(text.split())\n",
    "2.0.1": "def words(text):\n    return len(str(text).split())\n",
}
"""What the app depends on: 2.0.0 lacks what 1.0.0 has, and the other way round."""


def hire(sandbox: Sandbox) -> Maintainer:
    """A maintainer, with a package index that holds all that the app needs."""
    index = sandbox.folder / "index"
    version, missing = fill_index(index, Path(newleaf.__file__).parent)
    for number, source in LIBRARY.items():
        write_library(index, "wordtally", number, source)
    return Maintainer(sandbox, {"newleaf": version, "no_index": json.dumps(not missing)})


@dataclass
class Demonstration:
    """Performs the story in a sandbox, and gathers checks for the claims."""

    sandbox: Sandbox
    screen: Screen
    checks: dict[str, list[Check]] = field(default_factory=lambda: defaultdict(list))

    def perform(self) -> None:
        """All acts.

        Raises: DemoStuck, CommandFailed, CommandTimedOut, ProgramMissing.
        """
        try:
            self._perform()
        except (LookupError, ImportError, TypeError, ValueError, OSError, sqlite3.Error) as error:
            # What was looked at, newleaf's own installation too, has another shape than it should have.
            raise DemoStuck(reason=f"{type(error).__name__}: {error}") from error

    def _perform(self) -> None:
        host, maintainer = Host(self.sandbox, self.screen), hire(self.sandbox)
        self._deploy(host, maintainer)
        with kept_running(self.sandbox, host.checkout) as service:
            witness = Witness(service, host.state / "status.json")
            stage = Stage(self.screen, self.checks, host, maintainer, service, witness)
            for act in (use, move_on, refuse_damage, survive_kills):
                act(stage)
            perform(self.sandbox, self.screen, self.checks)
            look_around(stage)

    def _deploy(self, host: Host, maintainer: Maintainer) -> None:
        self.screen.title("1. An app is deployed from git")
        self.screen.note("notes is a small daemon: HTTP, SQLite, its own pyproject.toml and uv.lock")
        maintainer.set_up()
        maintainer.publish("1.0.0", "1.0.0", "Notes, over HTTP")
        host.clone(maintainer.remote)
        host.newleaf("init", "--channel", "beta", "--yes")
        status = host.newleaf("update").status
        if status:
            raise DemoStuck(reason=f"the first `newleaf update` ended with exit code {status}")


@dataclass(frozen=True)
class Stage:
    """Everybody who plays a part."""

    screen: Screen
    checks: dict[str, list[Check]]
    host: Host
    maintainer: Maintainer
    service: Service
    witness: Witness

    def check(self, claim: str, what: str, expected: Any, seen: Any) -> None:
        """Puts down something that was looked at, for or against a claim."""
        self.checks[claim].append(Check(what, expected, seen))

    def shows(self, answer: dict[str, Any]) -> None:
        """Says what the daemon answers."""
        who = f"version {answer['version']}, pid {answer['pid']}, wordtally {answer['wordtally']}"
        self.screen.note(f"GET / answers: {who}; {', '.join(map(_spell, answer['notes'])) or 'no notes'}")


def use(stage: Stage) -> None:
    """The daemon works; somebody edits a file of the checkout."""
    host, service = stage.host, stage.service
    stage.screen.note("a service manager starts the daemon, and starts it again when it leaves with 42")
    stage.shows(service.await_version("1.0.0"))
    for note in NOTES:
        service.add(note)
    stage.screen.note("three notes are added; somebody edits the title in settings.ini, in the checkout")
    settings = host.checkout / "settings.ini"
    settings.write_text(settings.read_text().replace("title = Notes", "title = Notes of this host"))
    host.newleaf("status")


def move_on(stage: Stage) -> None:
    """v1.1.0 arrives while a job runs."""
    stage.screen.title("2. v1.1.0: new code, a new dependency, a migration; and a job is running")
    commit = stage.maintainer.publish("1.1.0", "2.0.0", "Count the words of each note")
    before = stage.host.commit()
    with stage.host.job():
        finished = stage.host.newleaf("update")
        _check_waiting(stage, finished.status, before)
    stage.screen.note("the job has ended")
    with stage.witness.watching() as seen:
        finished = stage.host.newleaf("update", *WAIT)
        stage.check("confirmed", "exit", 0, finished.status)
        answer = stage.service.await_version("1.1.0")
    stage.shows(answer)
    stage.host.newleaf("status")
    _check_update(stage, commit, answer)
    ahead = sum(sample.is_ahead for sample in seen)
    stage.check("truth", f"of {len(seen)} looks, ahead", 0, ahead)
    stage.check("truth", "seen to answer", ["1.0.0", "1.1.0"], _versions(seen))


def _check_waiting(stage: Stage, exit_code: int, before: str) -> None:
    status = stage.host.ask("status")
    stage.check("waits", "exit", 4, exit_code)
    stage.check("waits", "it waits for", ["idle"], [each["gate"] for each in status["waiting_for"]])
    stage.check("waits", "checkout unchanged", True, stage.host.commit() == before)
    stage.check("truth", "meanwhile status says", "1.0.0", (status["running"] or {}).get("version"))


def _check_update(stage: Stage, commit: str, answer: dict[str, Any]) -> None:
    host, service, check = stage.host, stage.service, stage.check
    status, last = host.ask("status"), host.ask("history")["attempts"][-1]
    check("confirmed", "answers", "1.1.0", answer["version"])
    reported = (status["running"] or {}).get("commit")
    check("confirmed", "commit reported is the tag's", True, reported == commit)
    check("confirmed", "history says confirmed", True, last["confirmed"])
    check("dependency", "wordtally in the process", "2.0.0", answer["wordtally"])
    check("migrated", "notes", NOTES, [note["text"] for note in answer["notes"]])
    check("migrated", "their words", WORDS, [note.get("words") for note in answer["notes"]])
    check("restart", "v1.0.0 left with", [RESTART], [end["status"] for end in service.events("ended")])
    check("restart", "now running", [answer["pid"]], service.running())
    check("edits", "edit and change in one file", True, _merged(host))


def refuse_damage(stage: Stage) -> None:
    """v1.2.0's migration fails after it has changed data."""
    host, screen = stage.host, stage.screen
    screen.title("3. v1.2.0: its migration takes the tags out of the notes, saves that, and fails")
    commit = stage.maintainer.publish("1.2.0", "2.0.0", "Tags in a table of their own")
    before, dump = host.commit(), host.dump()
    with stage.witness.watching() as seen:
        finished = host.newleaf("update", *WAIT)
    stage.check("rolled_back", "exit", 6, finished.status)
    answer = stage.service.await_version("1.1.0")
    stage.shows(answer)
    for aside in host.asides():
        screen.note(f"what the migration had made of the notes lies in {aside}: {host.texts_in(aside)}")
    for verb in ("status", "why", "history"):
        host.newleaf(verb)
    _check_reversal(stage, commit)
    stage.check("rolled_back", "commit as before", True, host.commit() == before)
    stage.check("restored", "database equals the one before", True, host.dump() == dump)
    stage.check("restored", "notes", NOTES, [note["text"] for note in answer["notes"]])
    stage.check("served", "answered", ["1.1.0"], _versions(seen))
    unanswered = sum(sample.answer is None for sample in seen)
    stage.check("served", f"of {len(seen)} requests, unanswered", 0, unanswered)
    stage.check("served", "processes", 1, len({each.answer["pid"] for each in seen if each.answer}))
    screen.note("and again:")
    held = host.newleaf("update")
    stage.check("held", "exit", 0, held.status)
    stage.check("held", "outcome", "held", host.ask("update")["outcome"])
    stage.check("held", "commit as before", True, host.commit() == before)


def _check_reversal(stage: Stage, commit: str) -> None:
    host, check = stage.host, stage.check
    why, status, last = host.ask("why"), host.ask("status"), host.ask("history")["attempts"][-1]
    asides = host.asides()
    check("rolled_back", "history says", "rolled_back", last["outcome"])
    check("aside", "copies", 1, len(asides))
    check("aside", "its notes", PLAIN_NOTES, host.texts_in(asides[0]) if asides else None)
    named = all(any(str(aside) in note for note in last["notes"]) for aside in asides)
    check("aside", "history says where", True, named)
    check("explained", "status", "rolled_back", status["status"])
    check("explained", "running", "1.1.0", (status["running"] or {}).get("version"))
    check("explained", "the commit is denied", True, commit in why["denied"])
    failure = json.dumps(why["last_failure"])
    check("explained", "why names the script", True, MIGRATIONS[1].partition("/")[2] in failure)


def survive_kills(stage: Stage) -> None:
    """v1.2.1 mends it, and its update is killed twice."""
    host, screen = stage.host, stage.screen
    screen.title("4. v1.2.1 mends the migration; its update is killed with SIGKILL, twice")
    commit = stage.maintainer.publish("1.2.1", "2.0.1", "Mend the migration of the tags")
    # Somebody writes to the database meanwhile: the migration cannot be over before the kill.
    with host.writing():
        killed = []
        for state in ("install", "migrate"):
            killed.append(host.kill_update(state))
            screen.note(f"killed at {killed[-1]}")
        stage.check("killed", f"killed at {' and '.join(killed)}", True, not ENDS.intersection(killed))
        stage.check("killed", "meanwhile answered", "1.1.0", (stage.service.ask() or {}).get("version"))
    finished = host.newleaf("update", *WAIT)
    stage.check("killed", "then exit", 0, finished.status)
    answer = stage.service.await_version("1.2.1")
    stage.shows(answer)
    host.newleaf("history")
    stage.check("killed", "commit is the tag's", True, host.commit() == commit)
    stage.check("killed", "answers", "1.2.1", answer["version"])
    stage.check("killed", "with wordtally", "2.0.1", answer["wordtally"])
    stage.check("once", "recorded", MIGRATIONS, host.applied())
    stage.check("once", "have run", len(MIGRATIONS), host.runs_of_migrations())
    stage.check("once", "notes", PLAIN_NOTES, [note["text"] for note in answer["notes"]])
    stage.check("once", "tags", TAGS, [note.get("tags") for note in answer["notes"]])
    ends = [end["status"] for end in stage.service.events("ended")]
    stage.check("restart", "later v1.1.0 with", [RESTART], ends[1:])


def look_around(stage: Stage) -> None:
    """What must not have changed has not."""
    host, maintainer = stage.host, stage.maintainer
    stage.screen.title("6. What was nobody's business to change")
    stage.check("edits", ".env as it was", True, (host.checkout / ".env").read_bytes() == SECRET)
    stage.check("edits", "still so in the end", True, _merged(host))
    stage.check("edits", "left in the stash", [], host.stashes())
    stage.check("edits", "title in use", "Notes of this host", (stage.service.ask() or {}).get("title"))
    same = maintainer.refs(maintainer.remote) == maintainer.refs(maintainer.clone)
    stage.check("remote", "branches and tags are those that were pushed", True, same)
    stage.screen.note("git diff, in the checkout:")
    stage.screen.output(host.diff())


def _merged(host: Host) -> bool:
    """Whether settings.ini has the local edit and what v1.1.0 has changed in it."""
    text = (host.checkout / "settings.ini").read_text()
    return "title = Notes of this host\n" in text and "characters = 500\n" in text


def _spell(note: dict[str, Any]) -> str:
    """A note for people, with as much as its release knows of it."""
    known = [f"{note[key]} {key}" for key in ("letters", "words") if key in note] + note.get("tags", [])
    return f"{note['text']} ({', '.join(known)})"


def _versions(seen: list[Any]) -> list[str]:
    return sorted({sample.answer["version"] for sample in seen if sample.answer})
