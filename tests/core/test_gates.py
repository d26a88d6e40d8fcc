"""The gates: each by itself, all together, what skips them, and that an unknown fact is no leave."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from newleaf.core.gates import (
    ORDER,
    Facts,
    GateReport,
    Idle,
    Lease,
    Unknown,
    describe_moment,
    describe_span,
    is_lease_due,
    judge,
    place_in_spread,
    survey,
)
from newleaf.core.records import Waiting
from newleaf.core.settings.sections import Gates

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)  # a Friday
HOUR = timedelta(hours=1)
BUSY = Idle(is_idle=False, reasons=("busy.lock is held by worker (pid 12)",))
UNKNOWN = Unknown("the remote cannot be reached")

# Every gate set, and none of them holding.
ALL = Gates(
    idle_command=("true",),
    window=("01:00-05:00",),
    min_age=3600.0,
    cooldown=7200.0,
    spread=360_000.0,
    lease_url="https://leases.example.org",
)
NONE_HOLDS = Facts(
    computer="mini-1",
    version="1.3.0",
    idle=BUSY,
    released_at=NOW,
    last_update_at=NOW - HOUR,
    lease=Lease(is_granted=False, reason="the lease server says no: all taken"),
    restart="the daemon was restarted too often",
)
# All of them holding, whatever the settings.
ALL_HOLD = Facts(
    computer="mini-1",
    version="1.3.0",
    idle=Idle(is_idle=True),
    released_at=NOW - 1000 * HOUR,
    last_update_at=None,
    lease=Lease(is_granted=True),
)


def names(gates: Gates, facts: Facts, now: datetime = NOW) -> list[str]:
    return [waiting.gate for waiting in judge(gates, facts, now)]


def report(gate: str, gates: Gates, facts: Facts, now: datetime = NOW) -> GateReport:
    return next(found for found in survey(gates, facts, now) if found.gate == gate)


# --- together ---------------------------------------------------------------------------


def test_all_gates_that_do_not_hold_are_named_in_one_order() -> None:
    """lessons.md L6"""
    assert names(ALL, NONE_HOLDS) == list(ORDER)


def test_nothing_is_waited_for_when_all_hold() -> None:
    assert judge(replace_window(ALL, "00:00-24:00"), ALL_HOLD, NOW) == ()


def test_every_gate_is_named_by_why_whether_it_holds_or_not() -> None:
    """lessons.md L6"""
    for facts in (NONE_HOLDS, ALL_HOLD):
        for gates in (ALL, Gates()):
            found = survey(gates, facts, NOW)
            assert [one.gate for one in found] == list(ORDER)
            assert all(one.reason for one in found)


def test_gates_that_are_not_set_do_not_matter() -> None:
    assert names(Gates(), replace(NONE_HOLDS, idle=Idle(is_idle=True), restart=None)) == []


def test_waiting_says_since_when() -> None:
    """lessons.md L6"""
    facts = replace(NONE_HOLDS, waiting_since=NOW - 2 * HOUR, not_holding_since={"window": NOW - HOUR})
    since = {waiting.gate: waiting.since for waiting in judge(ALL, facts, NOW)}
    assert since["window"] == NOW - HOUR
    assert since["idle"] == NOW - 2 * HOUR
    assert judge(ALL, NONE_HOLDS, NOW)[0].since == NOW


def test_now_skips_window_age_and_cooldown_alone() -> None:
    assert names(ALL, replace(NONE_HOLDS, now=True)) == ["idle", "spread", "lease", "restart"]


def test_force_busy_skips_idle_alone() -> None:
    assert names(ALL, replace(NONE_HOLDS, force_busy=True)) == list(ORDER[1:])


def test_what_an_order_skips_is_said() -> None:
    facts = replace(NONE_HOLDS, now=True, force_busy=True)
    skipped = {found.gate: found.reason for found in survey(ALL, facts, NOW) if found.is_overridden}
    assert set(skipped) == {"idle", "window", "age", "cooldown"}
    assert skipped["idle"] == "busy.lock is held by worker (pid 12), but --force-busy goes on"
    assert skipped["window"] == "the window is closed, but --now goes on"


def test_order_that_skips_what_holds_anyway_is_not_mentioned() -> None:
    facts = replace(ALL_HOLD, now=True, force_busy=True)
    assert not any(found.is_overridden for found in survey(replace_window(ALL, "00:00-24:00"), facts, NOW))


@pytest.mark.parametrize(
    ("gate", "unknown"),
    [
        ("idle", {"idle": UNKNOWN}),
        ("age", {"released_at": UNKNOWN}),
        ("cooldown", {"last_update_at": UNKNOWN}),
        ("spread", {"released_at": UNKNOWN}),
        ("lease", {"lease": UNKNOWN}),
        ("lease", {"lease": None}),
        ("restart", {"restart": UNKNOWN}),
    ],
)
def test_unknown_fact_is_no_leave(gate: str, unknown: dict[str, Unknown]) -> None:
    """lessons.md L26: the gates fail closed."""
    facts = replace(ALL_HOLD, **unknown)
    found = report(gate, ALL, facts)
    assert not found.holds
    assert gate in names(ALL, facts)
    if unknown[next(iter(unknown))] is UNKNOWN:
        assert "the remote cannot be reached" in found.reason


# --- idle -------------------------------------------------------------------------------


def test_busy_app_is_waited_for_without_an_end_unless_one_is_set() -> None:
    """lessons.md L26, L27"""
    facts = replace(ALL_HOLD, idle=BUSY, waiting_since=NOW - 10_000 * HOUR)
    assert judge(Gates(), facts, NOW) == (
        Waiting("idle", "busy.lock is held by worker (pid 12)", NOW - 10_000 * HOUR),
    )


def test_longest_wait_counts_from_when_the_attempt_began_to_wait() -> None:
    """lessons.md L26: a ceiling for a host that is never idle."""
    gates = Gates(max_wait=3600.0)
    waits = replace(ALL_HOLD, idle=BUSY, waiting_since=NOW - timedelta(minutes=59))
    assert names(gates, waits) == ["idle"]
    assert report("idle", gates, waits).reason.endswith("not waited for after Fri 12:01 UTC, in 1 min")
    over = replace(waits, waiting_since=NOW - HOUR)
    assert names(gates, over) == []
    assert report("idle", gates, over) == GateReport(
        "idle", True, "busy.lock is held by worker (pid 12), but the longest wait of 1h is over", True
    )


def test_attempt_that_has_not_waited_yet_waits_at_first() -> None:
    """lessons.md L26"""
    assert names(Gates(max_wait=3600.0), replace(ALL_HOLD, idle=BUSY)) == ["idle"]


def test_clock_that_went_back_makes_no_wait_end_early() -> None:
    facts = replace(ALL_HOLD, idle=BUSY, waiting_since=NOW + HOUR)
    assert names(Gates(max_wait=60.0), facts) == ["idle"]


def test_idle_app_is_not_said_to_be_overridden_by_the_longest_wait() -> None:
    facts = replace(ALL_HOLD, waiting_since=NOW - 2 * HOUR)
    assert report("idle", Gates(max_wait=60.0), facts) == GateReport("idle", True, "no job runs")


def test_every_reason_to_be_busy_is_told() -> None:
    """lessons.md L6"""
    idle = Idle(is_idle=False, reasons=("one job runs", "gates.idle_url says busy"))
    assert (
        report("idle", Gates(), replace(ALL_HOLD, idle=idle)).reason
        == "one job runs; gates.idle_url says busy"
    )
    mute = Idle(is_idle=False)
    assert report("idle", Gates(), replace(ALL_HOLD, idle=mute)).reason == "the app is busy"


# --- window -----------------------------------------------------------------------------


def replace_window(gates: Gates, *texts: str) -> Gates:
    return Gates(**{**{name: getattr(gates, name) for name in gates.__struct_fields__}, "window": texts})


def test_closed_window_says_when_it_opens_in_its_own_zone() -> None:
    gates = Gates(window=("Mon-Thu 01:00-05:00 Europe/Amsterdam",))
    assert report("window", gates, ALL_HOLD, NOW + timedelta(days=2, hours=9)).reason == (
        "the window is closed; it opens Mon 01:00 Europe/Amsterdam, in 3 h"
    )


def test_open_window_holds() -> None:
    assert names(Gates(window=("Mon 01:00-05:00", "Fri 12:00-12:01")), ALL_HOLD) == []


def test_window_that_is_none_is_no_leave() -> None:
    """lessons.md L26: it should not have passed the settings; here it fails closed."""
    found = report("window", Gates(window=("sometimes",)), ALL_HOLD)
    assert not found.holds
    assert found.reason.startswith("gates.window must be")


# --- age, cooldown, spread --------------------------------------------------------------


@pytest.mark.parametrize(("age_seconds", "holds"), [(3600, True), (3599, False), (0, False)])
def test_release_must_be_as_old_as_asked(age_seconds: int, holds: bool) -> None:
    facts = replace(ALL_HOLD, released_at=NOW - timedelta(seconds=age_seconds))
    assert (names(Gates(min_age=3600.0), facts) == []) is holds


def test_young_release_says_when_it_is_old_enough() -> None:
    facts = replace(ALL_HOLD, released_at=NOW - timedelta(minutes=10))
    assert report("age", Gates(min_age=3600.0), facts).reason == (
        "a release must be 1h old, and this one is not; it holds from Fri 12:50 UTC, in 50 min"
    )


@pytest.mark.parametrize(("ago_seconds", "holds"), [(7200, True), (7199, False)])
def test_updates_are_apart_as_asked(ago_seconds: int, holds: bool) -> None:
    facts = replace(ALL_HOLD, last_update_at=NOW - timedelta(seconds=ago_seconds))
    assert (names(Gates(cooldown=7200.0), facts) == []) is holds


def test_first_update_has_no_cooldown() -> None:
    assert names(Gates(cooldown=7200.0), ALL_HOLD) == []


@pytest.mark.parametrize("gate", ["age", "cooldown", "spread"])
def test_date_in_the_future_is_no_leave_and_says_so(gate: str) -> None:
    """lessons.md L26: a clock that is wrong, here or there."""
    future = NOW + timedelta(days=400)
    facts = replace(ALL_HOLD, released_at=future, last_update_at=future)
    found = report(gate, ALL, facts)
    assert not found.holds
    assert "2027-12-25 12:00 UTC; check the clocks" in found.reason


def test_clocks_a_little_apart_are_no_trouble() -> None:
    facts = replace(ALL_HOLD, released_at=NOW + timedelta(minutes=1))
    assert "in 2 min" in report("age", Gates(min_age=60.0), facts).reason
    assert names(Gates(min_age=60.0), facts, NOW + timedelta(minutes=2)) == []


def test_date_at_the_end_of_time_is_no_traceback() -> None:
    facts = replace(ALL_HOLD, released_at=datetime.max.replace(tzinfo=UTC))
    assert names(Gates(min_age=3600.0, spread=3600.0), facts) == ["age", "spread"]


def test_place_in_the_spread_is_the_digest_of_name_and_version() -> None:
    digest = hashlib.blake2b(b"mini-11.3.0", digest_size=8).digest()
    assert place_in_spread("mini-1", "1.3.0", 3600.0) == int.from_bytes(digest, "big") / 2**64 * 3600.0


@given(st.text(max_size=20), st.text(max_size=20), st.floats(0, 1e7))
def test_place_lies_in_the_spread_and_is_always_the_same(computer: str, version: str, spread: float) -> None:
    place = place_in_spread(computer, version, spread)
    assert 0 <= place <= spread
    assert place == place_in_spread(computer, version, spread)


@given(st.integers(0, 10_000))
def test_host_goes_at_its_place_and_not_before(number: int) -> None:
    gates, host = Gates(spread=86_400.0), f"host-{number}"
    facts = replace(ALL_HOLD, computer=host, released_at=NOW)
    turn = NOW + timedelta(seconds=place_in_spread(host, "1.3.0", 86_400.0))
    assert names(gates, facts, turn - timedelta(milliseconds=1)) == ["spread"]
    assert names(gates, facts, turn) == []
    assert names(gates, facts, NOW + timedelta(days=1)) == []


def test_hosts_are_spread_evenly_and_anew_with_every_version() -> None:
    hosts = [f"host-{number}" for number in range(1000)]
    for version in ("1.3.0", "1.4.0"):
        places = [place_in_spread(host, version, 10.0) for host in hosts]
        tenths = [sum(tenth <= place < tenth + 1 for place in places) for tenth in range(10)]
        assert sum(tenths) == 1000
        assert min(tenths) > 60
    firsts = [place_in_spread(host, "1.3.0", 10.0) < 5 for host in hosts]
    seconds = [place_in_spread(host, "1.4.0", 10.0) < 5 for host in hosts]
    assert 350 < sum(a == b for a, b in zip(firsts, seconds, strict=True)) < 650


# --- lease, restart ---------------------------------------------------------------------


def test_lease_is_due_only_when_it_is_all_that_is_missing() -> None:
    gates = Gates(lease_url="https://leases.example.org", cooldown=7200.0)
    unasked = replace(ALL_HOLD, lease=None)
    assert is_lease_due(gates, unasked, NOW)
    assert not is_lease_due(gates, replace(unasked, last_update_at=NOW), NOW)
    assert not is_lease_due(gates, replace(unasked, lease=Lease(is_granted=False)), NOW)
    assert not is_lease_due(Gates(), unasked, NOW)


def test_lease_that_is_not_granted_says_why() -> None:
    found = judge(ALL, NONE_HOLDS, NOW)[5]
    assert (found.gate, found.reason) == ("lease", "the lease server says no: all taken")
    assert report("lease", ALL, replace(ALL_HOLD, lease=Lease(is_granted=False))).reason


def test_restart_that_may_not_happen_says_why() -> None:
    """lessons.md L34"""
    found = judge(Gates(), replace(ALL_HOLD, restart="the restart budget is spent"), NOW)
    assert [(waiting.gate, waiting.reason) for waiting in found] == [
        ("restart", "the restart budget is spent")
    ]


# --- words ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (0.2, "1 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "2 min"),
        (3600, "1 h"),
        (3601, "1 h 1 min"),
        (90_000, "1 d 1 h"),
        (93_660, "1 d 2 h"),
    ],
)
def test_span_in_words(seconds: float, text: str) -> None:
    assert describe_span(seconds) == text


def test_moment_in_words_has_a_date_when_the_day_alone_would_mislead() -> None:
    assert describe_moment(NOW + timedelta(seconds=30), NOW) == "Fri 12:01 UTC, in 30 s"
    assert describe_moment(NOW + timedelta(days=7), NOW) == "Fri 2026-11-27 12:00 UTC, in 7 d"


def test_moment_is_never_said_to_have_come_before_it_has() -> None:
    assert describe_moment(NOW + timedelta(seconds=60, microseconds=1), NOW).startswith("Fri 12:02")
