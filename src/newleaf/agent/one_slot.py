"""The one update that is wanted next: a slot in which the newest request wins, and its callers.

Rules (lessons.md L36): whoever has asked is answered, with the record of the attempt that was made in the
end, and is told when that was somebody else's; what the agent wants by itself never takes the place of what
somebody has asked for, because an attempt for the channel's target finds the newest anyway; two who want the
same by other gates get the more urgent of both.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from concurrent.futures import Future, InvalidStateError
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from newleaf.core.errors import NewleafError
from newleaf.core.records import Result
from newleaf.core.requests import Request
from newleaf.core.retries import Ended

Record = Mapping[str, Any]
Answer = Future[Record]

MOVED = ("updated", "ok")


class Asked(Struct, frozen=True):
    """A caller. `joins` is the request that an attempt was being made for when this one came."""

    request: Request
    answer: Answer
    joins: Request | None = None


class Wanted(Struct, frozen=True):
    """A try that is wanted: what for, for which commit where that is known, and who waits for it."""

    request: Request
    commit: str | None = None
    asked: tuple[Asked, ...] = ()

    @property
    def origin(self) -> str:
        return self.request.origin


class OneSlot(Struct):
    """Holds what is wanted next."""

    wanted: Wanted | None = None

    def put(self, wanted: Wanted) -> None:
        """The agent itself wants a try; whoever waited for the one before waits for this one."""
        if self.wanted is None or not self.wanted.asked:
            self.wanted = wanted

    def ask(self, asked: Asked) -> None:
        """Somebody asks for a try."""
        before, request = self.wanted, asked.request
        others = before.asked if before else ()
        if before and others and _are_for_the_same(before.request, request):
            request = replace(request, now=request.now or before.request.now)
        self.wanted = Wanted(request, None, (*others, asked))

    def take(self) -> Wanted | None:
        """What is wanted now; the slot is empty afterwards."""
        wanted, self.wanted = self.wanted, None
        return wanted


def answer(wanted: Wanted, ended: Ended, before: Ended | None = None) -> None:
    """Tells everybody who waits for this try how it ended; `before` is how the one before it did."""
    for asked in wanted.asked:
        notes, record = [], ended.record
        if before and _is_answered_by(asked, ended, before):
            record = before.record
            notes.append("an update ran already when this one was asked for; this is what came of it")
        elif len(wanted.asked) > 1:
            notes.append(f"one update was made for {len(wanted.asked)} requests")
        if not _are_for_the_same(asked.request, wanted.request):
            notes.append("a newer request took the place of this one")
        settle(asked.answer, {**record, "notes": [*record.get("notes", ()), *notes]})


def settle(waiting: Answer, record: Record) -> None:
    """Hands the record over, unless the caller waits no more."""
    with contextlib.suppress(InvalidStateError):
        waiting.set_result(record)


def refusal(error: NewleafError) -> Record:
    """The record of an update that was not begun."""
    return {"schema": 1, **Result(error.outcome, errors=(error.as_record(),)).as_record()}


def _is_answered_by(asked: Asked, ended: Ended, before: Ended) -> bool:
    """Whether the attempt that ran when this was asked has done it, and there was nothing newer."""
    joins = asked.joins is not None and _are_for_the_same(asked.joins, asked.request)
    return joins and ended.outcome == "up_to_date" and before.outcome in MOVED


def _are_for_the_same(one: Request, other: Request) -> bool:
    return (one.to, one.branch) == (other.to, other.branch)
