"""The updates that headquarters has ordered: which is in flight, and for whom.

Rules: the last order of each target is kept on the bus, so every process of headquarters, and the next one,
knows it. It is in flight until the host has told its result, or has been away for longer than updates take,
or the order has expired; one for all, until each has told that was there when it was given, those that
fell silent aside (lessons.md L38, L41): an order for a host that is in flight is not given again (threats.md
T24). What cannot be known any more, because the results were trimmed, is not in flight: hosts coalesce orders
by themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from newleaf.core.missions.kinds import UPDATE
from newleaf.core.missions.publishing import Wish
from newleaf.core.missions.results import SUCCESS, Report
from newleaf.core.missions.targeting import EVERYBODY
from newleaf.core.records import EXIT_CODES, short_stamp

WORST_FIRST = ("inconsistent", "rolled_back", "failed", "refused", "waiting", "held")
"""Of several hosts' outcomes, the one that counts for all."""
AWAY = timedelta(minutes=15)
"""How long a host that fell silent is waited for: its update restarts it, and may move its data first."""
Moment = Annotated[datetime, Meta(tz=True)]


class Ordered(Struct, frozen=True, kw_only=True):
    """The last update of a target. `since` is the last result before it, `hosts` are waited for."""

    job_id: str
    target: str
    issued_at: Moment
    expires_at: Moment
    since: str
    hosts: tuple[str, ...] = ()
    branch: str | None = None

    def as_json(self) -> str:
        return msgspec.json.encode(self).decode()

    def awaited(self, answered: Collection[str], silent: Mapping[str, datetime], now: datetime) -> set[str]:
        """The hosts that have not told their result, and are still to be waited for; `silent` since when."""
        return {host for host in set(self.hosts) - set(answered) if now < self.until(host, silent)}

    def until(self, host: str, silent: Mapping[str, datetime]) -> datetime:
        """How long a host is waited for, should it say nothing more."""
        fell_silent = silent.get(host)
        if fell_silent is None:
            return self.expires_at
        # Of all, who is away holds up nobody; a single one may be away because of this very order.
        away = AWAY if self.target != EVERYBODY else timedelta()
        return min(self.expires_at, max(self.issued_at, fell_silent) + away)


class Progress(Struct, frozen=True):
    """An order, and what its hosts have told so far."""

    ordered: Ordered
    reports: Mapping[str, Report]

    @property
    def missing(self) -> list[str]:
        """The hosts that have told nothing yet."""
        return sorted(set(self.ordered.hosts) - set(self.reports))

    def outcome(self, *, is_over: bool = False) -> str:
        """One word for all of them; once it is over, who has told nothing has failed (lessons.md L41)."""
        words = {outcome_of(report) for report in self.reports.values()}
        if self.missing or not self.reports:
            words.add("failed" if is_over else "waiting")
        return next((word for word in WORST_FIRST if word in words), "updated")

    def as_record(self) -> dict[str, Any]:
        ordered = self.ordered
        return {
            "job_id": ordered.job_id,
            "target": ordered.target,
            "issued_at": short_stamp(ordered.issued_at),
            "expires_at": short_stamp(ordered.expires_at),
            "results": [report.as_record() for _, report in sorted(self.reports.items())],
            "missing": self.missing,
        }


def wish_for(host: str | None, branch: str | None) -> Wish:
    """The order for a host, or for all, to update on its own branch; refused where that is another one."""
    return Wish(kind=UPDATE, target=host or EVERYBODY, context={"branch": branch} if branch else {})


def read_ordered(text: bytes) -> Ordered | None:
    """An order that headquarters kept; None for what is none."""
    try:
        return msgspec.json.decode(text, type=Ordered)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def outcome_of(report: Report) -> str:
    """The outcome word of a host's update."""
    if report.status == SUCCESS:
        return "updated"
    if report.rule:
        return "refused"
    said = report.result.get("outcome") if isinstance(report.result, dict) else None
    known = said if isinstance(said, str) and said in EXIT_CODES else "failed"
    # Not a success, whatever the word: installed perhaps, and reported by no process (lessons.md L1).
    return known if known in WORST_FIRST else "failed"
