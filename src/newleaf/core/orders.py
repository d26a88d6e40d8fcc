"""Orders that came by a chat, HTTP, a webhook or a bus: what is kept of them, and when they are over.

Rules: an order is kept before anything is done for it, under a key by which it is known when it is read again
(lessons.md L29); it is over when its final word is known, and, in a chat, told (L4). What is not final is
told too, and the final word follows: of an update that waits, and of one that no process has reported (L1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from newleaf.core.records import moment, stamp

ACCEPTED, TELLING, OVER = "accepted", "telling", "over"
"""How far an order has come. `telling`: its final word may have been sent, and may not."""

MOVED = ("updated", "ok")
UNENDED = ("waiting", "locked", "available")
NOTHING_NEW = ("up_to_date", "held")
STARTED = "started"
"""The outcome of a line of the history that no attempt wrote."""

_BEGAN = r"[0-9]{8}T[0-9]{6}"
"""How the id of an attempt begins: with its time."""

BY_ANOTHER = "an update ran already when this one was asked for; this is what came of it"


class Order(Struct, frozen=True):
    """One order. `key` is the door's own name for it, `id` newleaf's.

    `to` is the chat that is told; `receipt` names the message that told it that the order was received;
    `interim` is whether a word that is not final was told; `record` is what is known of the update;
    `mission` is what a mission is and came to, as `core.missions.kept` has it.
    """

    key: str
    id: str
    door: str
    origin: str
    accepted_at: datetime
    to: str | None = None
    stage: str = ACCEPTED
    receipt: str | None = None
    interim: bool = False
    record: Mapping[str, Any] | None = None
    mission: Mapping[str, Any] | None = None

    @property
    def attempt(self) -> str | None:
        return (self.record or {}).get("attempt")


def is_final(record: Mapping[str, Any]) -> bool:
    """Whether nothing more will come of the update that the record tells of."""
    outcome = record.get("outcome")
    if outcome in MOVED:
        return record.get("confirmed") is not None
    return outcome not in UNENDED


def is_of_before(record: Mapping[str, Any], since: datetime) -> bool:
    """Whether the record tells of an attempt that had begun when an update was asked for.

    That one was brought to its end; whether there is something newer has not been asked yet.
    """
    began = str(record.get("attempt") or "").partition("-")[0]
    return bool(re.fullmatch(_BEGAN, began)) and began < f"{since:%Y%m%dT%H%M%S}"


def find_end(
    lines: Iterable[Mapping[str, Any]], since: datetime, attempt: str | None = None
) -> dict[str, Any] | None:
    """What the history has of an update that was asked for at a time: of its attempt, else of the newest.

    None when no attempt has ended since then.
    """
    # Lines carry milliseconds: of one instant the line's is the earlier.
    since = moment(stamp(since))
    ended = [line for line in lines if line.get("outcome") != STARTED and moment(str(line["at"])) >= since]
    own = [line for line in ended if attempt and line.get("attempt") == attempt]
    found = (own or ended)[-1:]
    return record_of(found[0]) if found else None


def record_of(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the history as the record that `newleaf update --json` prints, as far as it is known."""
    durations = (line.get("durations") or {}).items()
    return {
        "schema": 1,
        "outcome": line["outcome"],
        "from": line.get("from"),
        "to": line.get("to"),
        "commits": {"count": 0, "list": []},
        "steps": [
            {"name": name, "seconds": seconds, "skipped": False, "detail": ""} for name, seconds in durations
        ],
        "errors": list(line.get("errors") or ()),
        "waiting_for": [],
        "confirmed": line.get("confirmed"),
        "attempt": line.get("attempt"),
        "notes": list(line.get("notes") or ()),
    }


def with_note(record: Mapping[str, Any], note: str) -> dict[str, Any]:
    """The record with one more thing to know."""
    return {**record, "notes": [*record.get("notes", ()), note]}
