"""Starts of a release that was never confirmed: which ended abnormally, and when that is a crash loop.

Rules:
1. How a start ended is judged when the next one is asked for. It ended abnormally, unless a restart was asked
   for since it began.
2. After more abnormal ends within half an hour than there may be, nothing is started any more (lessons.md
   L32, L34) until the oldest of them is out of that span.
3. Another release than the one that was counted begins anew, and so does one that was confirmed on this
   host: what has served once is never kept from starting.
4. What is dated in the future, by a clock that went back, does not count: a wrong clock must not keep a
   daemon from starting.

Standard library only; knows no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from newleaf.core.durations import Rate
from newleaf.core.records import moment, stamp
from newleaf.core.verdict import spent

SPAN_SECONDS = 1800.0


class Start(NamedTuple):
    """A start that is asked for now. `restart_asked` is when a restart was last asked for, by anybody."""

    commit: str
    at: datetime
    confirmed: bool = False
    restart_asked: datetime | None = None


class Starts(NamedTuple):
    """What is remembered of one release. `started` is its last start, None where that has been judged."""

    commit: str | None = None
    started: datetime | None = None
    abnormal_ends: tuple[datetime, ...] = ()
    alarm: str | None = None
    """The error that was published of it, for as long as it is kept from starting."""

    def as_record(self) -> dict[str, Any]:
        return {
            "commit": self.commit,
            "started": stamp(self.started) if self.started else None,
            "abnormal_ends": [stamp(end) for end in self.abnormal_ends],
            "alarm": self.alarm,
        }

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Starts:
        """Raises: ValueError, KeyError, TypeError or OverflowError for what no newleaf wrote."""
        commit, started, ends = record["commit"], record["started"], record["abnormal_ends"]
        alarm = record.get("alarm")
        texts = isinstance(commit, str | None) and isinstance(alarm, str | None)
        if not texts or not isinstance(ends, list):
            raise TypeError("a field is of another kind")
        return cls(
            commit, None if started is None else moment(started), tuple(moment(end) for end in ends), alarm
        )


def judge(known: Starts, start: Start, limit: int) -> tuple[Starts, datetime | None]:
    """What is to be remembered, and until when the release must not start; None when it may."""
    if start.confirmed or known.commit != start.commit:
        return Starts(start.commit, start.at), None
    recent = start.at - timedelta(seconds=SPAN_SECONDS)
    ends = [end for end in known.abnormal_ends if recent < end <= start.at]
    if known.started and not _was_asked_for(known.started, start):
        ends.append(start.at)
    # One more than there may be is all that is asked for.
    ends = sorted(ends)[-(limit + 1) :]
    until = spent(Rate(limit + 1, SPAN_SECONDS), ends, start.at)
    now = known._replace(started=None if until else start.at, abnormal_ends=tuple(ends))
    return now, until


def allowed(known: Starts, commit: str) -> Starts | None:
    """What is remembered once a person has allowed the commit; None where it is not one that is counted."""
    counted = known.commit if known.abnormal_ends else None
    if counted is None or len(commit) < 7 or not counted.startswith(commit.lower()):
        return None
    return known._replace(started=None, abnormal_ends=())


def _was_asked_for(began: datetime, start: Start) -> bool:
    """Whether the end of what began then was asked for.

    What brought a broken release may have been asked for in the second of its first starts; it excuses none.
    """
    return start.restart_asked is not None and start.restart_asked > began
