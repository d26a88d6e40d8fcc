"""Judgements on restarts: how many there may be.

Rules: once the budget's restarts have happened within its span, no further one happens until the oldest of
them is out of the span (lessons.md L34). One that is dated in the future, by a clock that went back, counts
too: it is safer to wait than to go round. Standard library only, for the launcher's sake; knows no clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from newleaf.core.durations import Rate, parse_rate


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
