"""What is written down: journal lines, status, results of steps and attempts.

Plain data with its JSON form, as contracts.md has it. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, NamedTuple

from newleaf.core.release import Release
from newleaf.core.states import ENDS, WAITING, State


def stamp(moment: datetime) -> str:
    """A time as records carry it: UTC, to the millisecond, so that files sort as they happened."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def short_stamp(moment: datetime) -> str:
    """A time as people read it: UTC, to the second."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """The time that `stamp` or `short_stamp` wrote. Raises: ValueError."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    try:
        return found.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text!r} is no time in UTC") from error


class JournalRecord(NamedTuple):
    """One move of one attempt. `mark` is `at` as no change of the clock moves it, where that is known."""

    attempt: str
    at: datetime
    state: State
    start: Release
    target: Release
    detail: Mapping[str, Any] = {}
    mark: str | None = None

    def as_record(self) -> dict[str, Any]:
        return {
            "attempt": self.attempt,
            "at": stamp(self.at),
            **({"mark": self.mark} if self.mark else {}),
            "state": self.state.value,
            "from": self.start.as_record(),
            "to": self.target.as_record(),
            "detail": dict(self.detail),
        }

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> JournalRecord:
        """Raises: ValueError, KeyError or TypeError for what no newleaf wrote."""
        start, target = Release.read(record["from"]), Release.read(record["to"])
        if start is None or target is None:
            raise ValueError("from or to is no release")
        attempt, detail, mark = record["attempt"], record.get("detail") or {}, record.get("mark")
        texts = isinstance(attempt, str) and isinstance(mark, str | None)
        if not texts or not isinstance(detail, Mapping):
            raise TypeError("attempt, detail or mark is of another kind")
        return cls(attempt, moment(record["at"]), State(record["state"]), start, target, dict(detail), mark)


class AttemptRecord(NamedTuple):
    """An attempt as its journal records tell it."""

    records: tuple[JournalRecord, ...]

    @property
    def id(self) -> str:
        return self.records[-1].attempt

    @property
    def state(self) -> State:
        return self.records[-1].state

    @property
    def is_open(self) -> bool:
        return self.state not in ENDS

    @property
    def start(self) -> Release:
        return self.records[0].start

    @property
    def target(self) -> Release:
        """Where the attempt goes, with what was learnt of it on the way."""
        return self.records[-1].target

    @property
    def detail(self) -> dict[str, Any]:
        """All details, later ones over earlier ones."""
        merged: dict[str, Any] = {}
        for record in self.records:
            merged.update(record.detail)
        return merged

    def at(self, state: State) -> datetime | None:
        """When the attempt last entered `state`."""
        return next((record.at for record in reversed(self.records) if record.state is state), None)

    def durations(self) -> dict[str, float]:
        """Seconds from each state to the next one, whichever process was in it; not of those that wait."""
        return {
            str(record.state): max(0.0, (after.at - record.at).total_seconds())
            for record, after in pairwise(self.records)
            if record.state not in WAITING
        }


class StepReport(NamedTuple):
    """What one step of an attempt did. `detail` is one line for people."""

    name: str
    seconds: float = 0.0
    skipped: bool = False
    detail: str = ""

    def as_record(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "seconds": round(self.seconds, 3),
            "skipped": self.skipped,
            "detail": self.detail,
        }


class Waiting(NamedTuple):
    """A gate that does not hold: which, why, and since when."""

    gate: str
    reason: str
    since: datetime

    def as_record(self) -> dict[str, Any]:
        return {"gate": self.gate, "reason": self.reason, "since": short_stamp(self.since)}


EXIT_CODES = {
    "up_to_date": 0,
    "updated": 0,
    "held": 0,
    "available": 0,
    "ok": 0,
    "failed": 1,
    "usage": 2,
    "locked": 3,
    "waiting": 4,
    "refused": 5,
    "rolled_back": 6,
    "inconsistent": 7,
}
"""Outcome word to exit code; `check --exit-code` alone turns `available` into 10."""


class Result(NamedTuple):
    """What an update, or a rollback, came to."""

    outcome: str
    start: Release | None = None
    target: Release | None = None
    commits: tuple[tuple[str, str], ...] = ()
    commit_count: int = 0
    steps: tuple[StepReport, ...] = ()
    errors: tuple[dict[str, Any], ...] = ()
    waiting_for: tuple[Waiting, ...] = ()
    confirmed: bool | None = None
    attempt: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.outcome]

    def as_record(self) -> dict[str, Any]:
        return {
            "outcome": self.outcome,
            "from": self.start.as_record() if self.start else None,
            "to": self.target.as_record() if self.target else None,
            "commits": {
                "count": self.commit_count,
                "list": [{"id": commit, "subject": subject} for commit, subject in self.commits],
            },
            "steps": [step.as_record() for step in self.steps],
            "errors": list(self.errors),
            "waiting_for": [waiting.as_record() for waiting in self.waiting_for],
            "confirmed": self.confirmed,
            "attempt": self.attempt,
            "notes": list(self.notes),
        }


class Identity(NamedTuple):
    """What every status says of its host."""

    app: str
    computer: str
    channel: str


class Status(NamedTuple):
    """The last published word of a host."""

    status: str
    timestamp: datetime
    computer: str
    app: str
    channel: str
    running: Release | None = None
    target: Release | None = None
    attempt: str | None = None
    error: str | None = None
    waiting_for: tuple[Waiting, ...] = ()

    def as_record(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "status": self.status,
            "timestamp": short_stamp(self.timestamp),
            "computer": self.computer,
            "app": self.app,
            "channel": self.channel,
            "running": self.running.as_record() if self.running else None,
            "target": self.target.as_record() if self.target else None,
            "attempt": self.attempt,
            "error": self.error,
            "waiting_for": [waiting.as_record() for waiting in self.waiting_for],
        }
