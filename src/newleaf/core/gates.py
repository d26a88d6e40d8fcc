"""The gates: what must hold before anything live is touched, and before a restart.

Rules:

1. All gates must hold. They are judged in one order, each by itself, so that `why` can name every one.
2. A fact that is unknown is no leave: the gate that needs it does not hold (lessons.md L26).
3. `now` skips window, age and cooldown; `force_busy` skips idle; nothing skips the others.
4. The longest wait counts from when the attempt began to wait; past it a busy app is no reason any more.
5. A gate that does not hold says when it will, if that is known.

Knows settings, facts and the time it is given; asks nothing itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo

from msgspec import Struct, field

from newleaf.core.durations import format_duration
from newleaf.core.records import Waiting
from newleaf.core.settings.sections import Gates
from newleaf.core.windows import DAYS, is_open, next_opening, parse_window

CLOCK_SLACK = timedelta(minutes=5)
ORDER = ("idle", "window", "age", "cooldown", "spread", "lease", "restart")


class Unknown(Struct, frozen=True):
    """A fact that could not be found out, and why."""

    reason: str


class Idle(Struct, frozen=True):
    """Whether the app is between two jobs. `reasons` say who is busy, or why that is not known."""

    is_idle: bool
    reasons: tuple[str, ...] = ()


class Lease(Struct, frozen=True):
    """What the lease server answered; `reason` says why not."""

    is_granted: bool
    reason: str = ""


class Facts(Struct, frozen=True):
    """What the gates are judged by.

    `version` is the target's, or its commit where it has none. `released_at` is when the target was published
    or committed. `last_update_at` is None when there was none. `lease` is None as long as nobody has asked.
    `restart` is why none may happen now, None when it may. `waiting_since` is when the attempt began to
    wait, None when it did not; `not_holding_since` is when single gates were first found not to hold.
    """

    computer: str
    version: str
    idle: Idle | Unknown
    released_at: datetime | Unknown
    last_update_at: datetime | Unknown | None
    lease: Lease | Unknown | None = None
    restart: str | Unknown | None = None
    waiting_since: datetime | None = None
    not_holding_since: Mapping[str, datetime] = field(default_factory=dict)
    now: bool = False
    force_busy: bool = False


class GateReport(Struct, frozen=True):
    """One gate, judged. `is_overridden`: it holds only because of an order, or of the longest wait."""

    gate: str
    holds: bool
    reason: str
    is_overridden: bool = False


class _Delay(Struct, frozen=True):
    """A gate that holds some time after `event`; what it says too `early`, and when it holds (`late`)."""

    gate: str
    event: str
    early: str
    late: str

    def judge(self, since: datetime | Unknown, seconds: float, now: datetime) -> GateReport:
        if isinstance(since, Unknown):
            return GateReport(self.gate, False, f"when {self.event} is not known: {since.reason}")
        if since > now + CLOCK_SLACK:
            dated = f"{since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
            return GateReport(self.gate, False, f"{self.early}: it is dated {dated}; check the clocks")
        due = since + timedelta(seconds=seconds)
        if now >= due:
            return GateReport(self.gate, True, self.late)
        return GateReport(self.gate, False, f"{self.early}; it holds from {describe_moment(due, now)}")


def judge(gates: Gates, facts: Facts, now: datetime) -> tuple[Waiting, ...]:
    """The gates that do not hold now, in the order of `ORDER`."""
    return tuple(
        Waiting(
            report.gate, report.reason, facts.not_holding_since.get(report.gate, facts.waiting_since or now)
        )
        for report in survey(gates, facts, now)
        if not report.holds
    )


def survey(gates: Gates, facts: Facts, now: datetime) -> tuple[GateReport, ...]:
    """Every gate, whether it holds, and why."""
    return (
        _judge_idle(gates, facts, now),
        _judge_window(gates, facts, now),
        _judge_age(gates, facts, now),
        _judge_cooldown(gates, facts, now),
        _judge_spread(gates, facts, now),
        _judge_lease(gates, facts),
        _judge_restart(facts),
    )


def is_lease_due(gates: Gates, facts: Facts, now: datetime) -> bool:
    """Whether the lease is all that is missing, and nobody has asked for it yet.

    A lease is taken last: a host that waits for something else must not keep others from theirs.
    """
    return facts.lease is None and [waiting.gate for waiting in judge(gates, facts, now)] == ["lease"]


def place_in_spread(computer: str, version: str, spread_seconds: float) -> float:
    """At how many seconds after the release appeared it is this host's turn; the same on every machine."""
    digest = hashlib.blake2b((computer + version).encode(errors="backslashreplace"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64 * spread_seconds


def describe_moment(moment: datetime, now: datetime, zone: tzinfo = UTC, zone_name: str = "UTC") -> str:
    """A time to come, for people: "Mon 01:00 Europe/Amsterdam, in 3 h"."""
    # Up to the full minute: it is not said of a moment that it has come before it has.
    shown = (moment + timedelta(microseconds=59_999_999)).replace(second=0, microsecond=0).astimezone(zone)
    day = DAYS[shown.weekday()]
    if moment - now > timedelta(days=6):
        day += f" {shown.date().isoformat()}"
    return f"{day} {shown:%H:%M} {zone_name}, in {describe_span((moment - now).total_seconds())}"


def describe_span(seconds: float) -> str:
    """A span for people, in its two longest units: "2 d 4 h", "50 min", "40 s"."""
    left = max(0, int(-(-seconds // 1)))
    if left >= 60:
        left = -(-left // 60) * 60
    parts = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def _judge_idle(gates: Gates, facts: Facts, now: datetime) -> GateReport:
    idle = facts.idle
    if isinstance(idle, Idle) and idle.is_idle:
        return GateReport("idle", True, "no job runs")
    reasons = (idle.reason,) if isinstance(idle, Unknown) else idle.reasons
    busy = "; ".join(reasons) or "the app is busy"
    if facts.force_busy:
        return GateReport("idle", True, f"{busy}, but --force-busy goes on", is_overridden=True)
    if not gates.max_wait:
        return GateReport("idle", False, busy)
    longest = format_duration(gates.max_wait)
    latest = (facts.waiting_since or now) + timedelta(seconds=gates.max_wait)
    if now >= latest:
        reason = f"{busy}, but the longest wait of {longest} is over"
        return GateReport("idle", True, reason, is_overridden=True)
    return GateReport("idle", False, f"{busy}; not waited for after {describe_moment(latest, now)}")


def _judge_window(gates: Gates, facts: Facts, now: datetime) -> GateReport:
    if not gates.window:
        return GateReport("window", True, "no window is set")
    try:
        windows = [parse_window(text) for text in gates.window]
    except ValueError as error:
        return GateReport("window", False, f"gates.window {error}")
    if is_open(windows, now):
        return GateReport("window", True, "the window is open")
    if facts.now:
        return GateReport("window", True, "the window is closed, but --now goes on", is_overridden=True)
    found = next_opening(windows, now)
    if found is None:
        return GateReport("window", False, "the window is closed, and does not open within 15 days")
    opens, window = found
    when = describe_moment(opens, now, window.zone, window.zone_name)
    return GateReport("window", False, f"the window is closed; it opens {when}")


def _judge_age(gates: Gates, facts: Facts, now: datetime) -> GateReport:
    if not gates.min_age:
        return GateReport("age", True, "no age is asked for")
    least = format_duration(gates.min_age)
    delay = _Delay(
        "age",
        "the release appeared",
        f"a release must be {least} old, and this one is not",
        f"the release is {least} old",
    )
    report = delay.judge(facts.released_at, gates.min_age, now)
    return _skippable(report, facts)


def _judge_cooldown(gates: Gates, facts: Facts, now: datetime) -> GateReport:
    if not gates.cooldown:
        return GateReport("cooldown", True, "no cooldown is set")
    if facts.last_update_at is None:
        return GateReport("cooldown", True, "there was no update before")
    span = format_duration(gates.cooldown)
    delay = _Delay(
        "cooldown",
        "the last update was",
        f"the last update was less than {span} ago",
        f"the last update was {span} ago or more",
    )
    report = delay.judge(facts.last_update_at, gates.cooldown, now)
    return _skippable(report, facts)


def _judge_spread(gates: Gates, facts: Facts, now: datetime) -> GateReport:
    if not gates.spread:
        return GateReport("spread", True, "no spread is set")
    delay = _Delay(
        "spread",
        "the release appeared",
        f"hosts go one after another, over {format_duration(gates.spread)}, and it is not this one's turn",
        "it is this host's turn",
    )
    place_seconds = place_in_spread(facts.computer, facts.version, gates.spread)
    return delay.judge(facts.released_at, place_seconds, now)


def _judge_lease(gates: Gates, facts: Facts) -> GateReport:
    if gates.lease_url is None:
        return GateReport("lease", True, "no lease is asked for")
    match facts.lease:
        case None:
            return GateReport("lease", False, "the lease is asked for when all other gates hold")
        case Unknown(reason):
            return GateReport("lease", False, reason)
        case Lease(is_granted=True):
            return GateReport("lease", True, "the lease is granted")
        case Lease(reason=reason):
            return GateReport("lease", False, reason or "the lease is not granted")


def _judge_restart(facts: Facts) -> GateReport:
    match facts.restart:
        case None:
            return GateReport("restart", True, "a restart may happen")
        case Unknown(reason):
            return GateReport("restart", False, reason)
        case reason:
            return GateReport("restart", False, reason)


def _skippable(report: GateReport, facts: Facts) -> GateReport:
    if report.holds or not facts.now:
        return report
    return GateReport(report.gate, True, f"{report.reason}; --now goes on", is_overridden=True)
