"""The marker of a planned restart: while it stands, a health watchdog lets the daemon be away.

Rules: it is announced before anything of the restart happens, and withdrawn when the new process has
reported (lessons.md L31); it ends by itself, so that a restart that went wrong is not hidden for long; one
that is expired, from the future or malformed says nothing, and it is a hint: nothing may hang on its being
there. Nothing is read or written through a symlink (threats.md T20). Standard library only, for the
launcher's sake.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from newleaf.core.errors import CorruptFile, NewerSchema
from newleaf.core.records import moment, short_stamp, stamp
from newleaf.system.files import read_record, remove, write_record

PLANNED_RESTART = "planned-restart"
CLOCK_SECONDS = 1
"""How far ahead another clock of this host may seem to be."""


class PlannedRestart(NamedTuple):
    """A restart under way: why, since when, and until when the daemon may be away."""

    reason: str
    since: datetime
    expires: datetime

    def as_record(self) -> dict[str, Any]:
        return {
            "reason": self.reason,
            "since": short_stamp(self.since),
            "expires": short_stamp(self.expires),
        }


def announce(state: Path, reason: str, now: datetime, seconds: float) -> None:
    """Says that the daemon may be away for so many seconds from now; a newer announcement replaces an older.

    Raises: NewerSchema, DiskFull, FileLimited, StateDirectoryUnwritable.
    """
    expires = now + timedelta(seconds=seconds)
    write_record(state / PLANNED_RESTART, {"reason": reason, "since": stamp(now), "expires": stamp(expires)})


def read(state: Path, now: datetime) -> PlannedRestart | None:
    """The restart that is under way now; None when none is, or what lies there cannot be believed."""
    try:
        planned = _parse(read_record(state / PLANNED_RESTART) or {})
    except (CorruptFile, NewerSchema, KeyError, TypeError, ValueError, OverflowError):
        return None
    is_now = planned.since <= now + timedelta(seconds=CLOCK_SECONDS) and now < planned.expires
    return planned if is_now else None


def withdraw(state: Path) -> None:
    """Takes the marker away, or the symlink in its place; absent is fine.

    Raises: StateDirectoryUnwritable.
    """
    remove(state / PLANNED_RESTART)


def _parse(record: dict[str, Any]) -> PlannedRestart:
    reason = record["reason"]
    if not isinstance(reason, str):
        raise TypeError("the reason is no text")
    return PlannedRestart(reason, moment(record["since"]), moment(record["expires"]))
