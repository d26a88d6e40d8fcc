"""Updates for those who ask, where no agent lives in this process: each is a process of its own.

Rules (lessons.md L36): one update runs at a time; who asks while it runs gets the next one, together with all
others who do, and is told what came of the one before when there was nothing newer. Where another process
updates, its end is waited for first. The event loop never stands still (L30).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from newleaf.agent.attempt_process import words_of
from newleaf.agent.background import run_in_background
from newleaf.core.errors import NewleafError
from newleaf.core.orders import BY_ANOTHER, MOVED, NOTHING_NEW, find_end, with_note
from newleaf.core.ports import Updates
from newleaf.core.records import EXIT_CODES, Result
from newleaf.core.requests import Request
from newleaf.system import locks
from newleaf.system.commands import Command, Runner

LOOK_SECONDS = 0.2
KEPT_LINES = 20

Record = Mapping[str, Any]


class Submits(Protocol):
    """Who makes updates in this very process: `newleaf.Updater`."""

    def submit(self, request: Request) -> Future[Record]:
        """Asks for an update, from any thread."""
        ...


class Verbs(Protocol):
    """The command line of newleaf."""

    async def ask(self, *words: str) -> Record:
        """The record that a verb prints; every failure is a record."""
        ...


class VerbProcess(Struct, frozen=True):
    """Implements `Verbs`, each verb as a process. `argv` is `newleaf` with the app that is meant."""

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    timeout_seconds: float
    runner: Runner

    async def ask(self, *words: str) -> Record:
        """The record that it prints; every failure is a record."""
        what = f"newleaf {words[0]}"
        command = Command([*self.argv, *words, "--json"], what, self.cwd, self.env, self.timeout_seconds)
        try:
            finished = await run_in_background(lambda: self.runner.run(command), "newleaf-asked")
        except NewleafError as error:
            return failure(error.as_record())
        try:
            record = json.loads(finished.stdout)
            if isinstance(record, dict) and ("status" in record or record.get("outcome") in EXIT_CODES):
                return record
        except (ValueError, RecursionError):
            pass
        message = f"{what} gave no answer (exit {finished.status})"
        return failure({"code": "no_answer", "message": message, "lines": finished.tail[-KEPT_LINES:]})


class _Turn(Struct, eq=False):
    """One update that is made, or will be."""

    request: Request
    task: asyncio.Task[Record]
    has_begun: bool = False


class ByProcess:
    """Implements `core.ports.Updates`. `lines` reads the history, `read_status` the status."""

    def __init__(
        self,
        state: Path,
        verbs: Verbs,
        lines: Callable[[], Iterable[Record]],
        read_status: Callable[[], Record],
        now: Callable[[], datetime],
    ) -> None:
        self._state = state
        self._verbs = verbs
        self._lines = lines
        self._read_status = read_status
        self._now = now
        self._last: _Turn | None = None
        self._look: asyncio.Task[Record] | None = None
        self._back: asyncio.Task[Record] | None = None

    async def request(self, request: Request) -> Record:
        turn = self._last
        if turn is None or turn.has_begun or not _are_alike(turn.request, request):
            before = None if turn is None or turn.task.done() else turn
            turn = _Turn(request, asyncio.ensure_future(self._take_turn(request, before)))
            self._last = turn
        # Who waits no longer leaves the update alone, which others may wait for.
        return await asyncio.shield(turn.task)

    async def status(self) -> Record:
        # Many who ask at once share a look: anybody may ask.
        if self._look is None or self._look.done():
            self._look = asyncio.ensure_future(self._look_at_status())
        return await asyncio.shield(self._look)

    async def _look_at_status(self) -> Record:
        try:
            return await run_in_background(self._read_status, "newleaf-status")
        except NewleafError as error:
            return failure(error.as_record(), error.outcome)

    async def why(self) -> Record:
        return await self._verbs.ask("why")

    async def rollback(self) -> Record:
        # Two who ask at once mean one way back, not two of them.
        if self._back is None or self._back.done():
            self._back = asyncio.ensure_future(self._go_back())
        return await asyncio.shield(self._back)

    async def _go_back(self) -> Record:
        while (record := await self._verbs.ask("rollback")).get("outcome") == "locked":
            try:
                await self._until_unlocked()
            except NewleafError as error:
                return failure(error.as_record(), error.outcome)
        return record

    async def _take_turn(self, request: Request, before: _Turn | None) -> Record:
        if before:
            await asyncio.wait({before.task})
        if self._last and self._last.task is asyncio.current_task():
            self._last.has_begun = True
        try:
            record = await self._update(request)
        except NewleafError as error:
            return failure(error.as_record(), error.outcome)
        if before and _are_alike(before.request, request) and record.get("outcome") in NOTHING_NEW:
            earlier = before.task.result()
            if earlier.get("outcome") in MOVED:
                return with_note(earlier, BY_ANOTHER)
        return record

    async def _update(self, request: Request) -> Record:
        """An attempt, once nobody else makes one; what came of theirs, when nothing was to do after it."""
        began, theirs = self._now(), None
        while True:
            record = await self._verbs.ask("update", *words_of(request))
            if record.get("outcome") != "locked":
                is_theirs = theirs is not None and record.get("outcome") in NOTHING_NEW
                return with_note(theirs, BY_ANOTHER) if is_theirs and theirs else record
            await self._until_unlocked()
            theirs = await run_in_background(lambda: find_end(self._lines(), began), "newleaf-history")
            if theirs and theirs["outcome"] not in MOVED and not request.to and not request.branch:
                return with_note(theirs, BY_ANOTHER)

    async def _until_unlocked(self) -> None:
        await asyncio.sleep(LOOK_SECONDS)
        # Whoever holds it is another process: no event of this loop could tell.
        while await run_in_background(lambda: locks.is_update_running(self._state), "newleaf-lock"):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)


class ByUpdater(Struct, frozen=True):
    """Implements `core.ports.Updates` with an agent in this process; `looks` answers everything else."""

    updater: Submits
    looks: Updates

    async def request(self, request: Request) -> Record:
        return await asyncio.shield(asyncio.wrap_future(self.updater.submit(request)))

    async def rollback(self) -> Record:
        return await self.looks.rollback()

    async def status(self) -> Record:
        return await self.looks.status()

    async def why(self) -> Record:
        return await self.looks.why()


def failure(error: Mapping[str, Any], outcome: str = "failed") -> Record:
    """The record of an update that gave none."""
    return {"schema": 1, **Result(outcome, errors=(dict(error),)).as_record()}


def _are_alike(one: Request, other: Request) -> bool:
    """Whether one attempt answers both."""
    return _wish(one) == _wish(other)


def _wish(request: Request) -> tuple[object, ...]:
    return (request.to, request.branch, request.now, request.force_busy, request.wait_seconds)
