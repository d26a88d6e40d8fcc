"""Judgements on restarts: how many there may be, how soon the next one comes, and what is a crash loop.

Rules: once the budget's restarts have happened within its span, no further one happens until the oldest of
them is out of the span (lessons.md L34). One that is dated in the future, by a clock that went back, counts
too: it is safer to wait than to go round. A proven release is started for ever, more and more slowly; five
crashes in half an hour need a person. Standard library only, for the launcher's sake; knows no clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from newleaf.core.durations import Rate, parse_rate

FIRST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 30.0
CRASH_LOOP = Rate(5, 1800.0)
"""So many crashes in so many seconds need a person."""


def parse_budget(text: object) -> Rate:
    """A restart budget such as "5 in 30m".

    Raises: ValueError that says what it must be.
    """
    return parse_rate(text)


def spent(budget: Rate, restarts: Iterable[datetime], now: datetime) -> datetime | None:
    """Until when the budget is spent by the restarts that happened; None while one more may happen."""
    span = timedelta(seconds=budget.seconds)
    recent = sorted((at for at in restarts if at + span > now), reverse=True)
    return recent[budget.times - 1] + span if len(recent) >= budget.times else None


def backoff_seconds(crashes_in_a_row: int) -> float:
    """How long after a crash the next start comes: 0.1 s, doubled with each, 30 s at most."""
    doubled = FIRST_BACKOFF_SECONDS * 2.0 ** min(max(crashes_in_a_row - 1, 0), 16)
    return min(LONGEST_BACKOFF_SECONDS, doubled)


def is_spent(rate: Rate, times: Iterable[float], now: float) -> bool:
    """Whether so much has happened within the span that ends `now`; both in seconds since 1970."""
    return sum(at + rate.seconds > now for at in times) >= rate.times
