"""One attempt, made by a process of its own: `newleaf update`, and what it answers.

The agent stays small and awake meanwhile (lessons.md L30). Rules: each step of an attempt has a limit of its
own, which the limit of the whole must never undercut (L22); an answer that cannot be read is a failure,
whatever the exit status says (L2).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from newleaf.agent.background import run_in_background
from newleaf.core.errors import NewleafError
from newleaf.core.records import EXIT_CODES, Result
from newleaf.core.release import Release
from newleaf.core.requests import Request
from newleaf.core.retries import Ended
from newleaf.system.commands import Command, Finished, Runner

KEPT_LINES = 20
"""Of what a process said that gave no answer."""


class AttemptProcess(Struct, frozen=True):
    """Implements `agent.beside.Attempts`. `argv` is `newleaf` with the app that is meant."""

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    timeout_seconds: float
    runner: Runner

    async def run(self, request: Request) -> Ended:
        """Makes an attempt; every failure is an outcome. Cancelled, the process goes on until it is ended."""
        argv = [*self.argv, "update", "--json", *words_of(request)]
        command = Command(argv, "newleaf update", self.cwd, self.env, self.timeout_seconds)
        try:
            return await run_in_background(lambda: read_answer(self.runner.run(command)), "newleaf-attempt")
        except NewleafError as error:
            return _failed(error.message, error.as_record())


OF_THE_DAEMON = ("NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "NEWLEAF_GO_FD", "NEWLEAF_LAUNCHER")
"""Variables, by how they begin, that mean the daemon's own process and none that it starts."""


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """What a process started by a daemon gets of the daemon's own environment."""
    return {name: value for name, value in environ.items() if not name.startswith(OF_THE_DAEMON)}


def words_of(request: Request) -> list[str]:
    """A request as options of `newleaf update`; what it holds is never an option itself (lessons.md L11)."""
    # No program can be handed a zero byte; without it the verb says what is wrong with the rest.
    said = {"--to": request.to, "--branch": request.branch}
    words = [f"{option}={value.replace(chr(0), '')}" for option, value in said.items() if value is not None]
    words += ["--now"] if request.now else []
    words += ["--force-busy"] if request.force_busy else []
    words += [f"--wait={request.wait_seconds}"] if request.wait_seconds else []
    return ["--origin", request.origin, *words]


def read_answer(finished: Finished) -> Ended:
    """How the attempt ended, by what its process printed."""
    try:
        record = json.loads(finished.stdout)
        outcome = record["outcome"]
        EXIT_CODES[outcome]
        target = Release.read(record.get("to"))
        gates = frozenset(waiting["gate"] for waiting in record.get("waiting_for", ()))
        lines = tuple(_lines(record, target.name if target else "the target"))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        ended = f"newleaf update gave no answer (exit {finished.status})"
        tail = finished.tail[-KEPT_LINES:]
        return _failed(ended, {"code": "no_answer", "message": ended, "lines": list(tail)}, tail)
    return Ended(outcome, gates, target.commit if target else None, lines, record)


def _failed(message: str, error: dict[str, Any], tail: tuple[str, ...] = ()) -> Ended:
    record = {"schema": 1, **Result("failed", errors=(error,)).as_record()}
    return Ended("failed", lines=(message, *tail), record=record)


def _lines(record: Mapping[str, Any], name: str) -> Iterator[str]:
    """The outcome for people: what came of it, then all that is waited for, all errors and all notes (L5)."""
    yield f"{record['outcome']}: {name}"
    if record["outcome"] == "updated" and not record.get("confirmed"):
        yield "  installed, not yet confirmed: no process has reported this release"
    for waiting in record.get("waiting_for", ()):
        yield f"  waits for {waiting['gate']}: {waiting['reason']}"
    for error in record.get("errors", ()):
        yield f"  {error['code']}: {error['message']}"
        if error.get("cure"):
            yield f"    {error['cure']}"
    for note in record.get("notes", ()):
        yield f"  {note}"
