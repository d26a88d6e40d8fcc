"""The restart budget (lessons.md L34)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newleaf.core.durations import Rate
from newleaf.core.verdict import CRASH_LOOP, backoff_seconds, is_spent, parse_budget, spent

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
BUDGET = parse_budget("5 in 30m")


def minutes_ago(*minutes: float) -> list[datetime]:
    return [NOW - timedelta(minutes=number) for number in minutes]


def test_budget_is_read_as_people_write_it() -> None:
    assert parse_budget("5 in 30m") == Rate(5, 1800.0)
    assert parse_budget("1 in 2 hours") == Rate(1, 7200.0)


@pytest.mark.parametrize("text", ["", "5", "0 in 30m", "5 in 0", "5 in", "five in 30m", 5, None])
def test_what_is_no_budget_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_budget(text)


def test_restart_within_the_budget_may_happen() -> None:
    """lessons.md L34"""
    assert spent(BUDGET, [], NOW) is None
    assert spent(BUDGET, minutes_ago(1, 2, 3, 4), NOW) is None


def test_one_restart_more_than_the_budget_has_to_wait_for_the_oldest_to_leave() -> None:
    """lessons.md L34: more than N in M minutes, stop."""
    assert spent(BUDGET, minutes_ago(1, 2, 3, 4, 20), NOW) == NOW + timedelta(minutes=10)


def test_restarts_of_long_ago_do_not_count() -> None:
    assert spent(BUDGET, minutes_ago(1, 2, 3, 4, 30, 31, 600), NOW) is None


def test_more_restarts_than_the_budget_wait_until_few_enough_are_left() -> None:
    """lessons.md L34: a person may have restarted as well."""
    assert spent(BUDGET, minutes_ago(1, 2, 3, 4, 5, 6, 7), NOW) == NOW + timedelta(minutes=25)


def test_order_of_the_restarts_does_not_matter() -> None:
    assert spent(BUDGET, minutes_ago(20, 1, 4, 2, 3), NOW) == NOW + timedelta(minutes=10)


def test_restart_from_the_future_counts() -> None:
    """lessons.md L34: a clock that goes back with every boot must not make a loop endless."""
    assert spent(BUDGET, minutes_ago(-1, -2, -3, -4, -5), NOW) == NOW + timedelta(minutes=31)


@given(
    st.builds(Rate, st.integers(1, 6), st.floats(1, 10_000)),
    st.lists(st.floats(-20_000, 20_000).map(lambda seconds: NOW - timedelta(seconds=seconds)), max_size=12),
)
def test_budget_is_free_again_exactly_when_it_says(budget: Rate, restarts: list[datetime]) -> None:
    until = spent(budget, restarts, NOW)
    if until is not None:
        assert until > NOW
        assert spent(budget, restarts, until) is None
        assert spent(budget, restarts, until - timedelta(microseconds=1)) == until


def test_crashes_in_a_row_then_pauses_from_a_tenth_of_a_second_to_half_a_minute() -> None:
    """lessons.md L32: for ever, and ever more slowly."""
    assert [backoff_seconds(crashes) for crashes in range(1, 12)] == [
        *(0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0),
    ]
    assert backoff_seconds(0) == 0.1
    assert backoff_seconds(10**9) == 30.0


@pytest.mark.parametrize(
    ("times", "is_it"),
    [
        ([], False),
        ([0.0, 1.0, 2.0, 3.0], False),
        ([0.0, 1.0, 2.0, 3.0, 4.0], True),
        ([-1800.0, 1.0, 2.0, 3.0, 4.0], False),
        ([-1799.0, 1.0, 2.0, 3.0, 4.0], True),
        ([99.0] * 5, True),
    ],
)
def test_so_many_within_the_span_then_it_is_spent(times: list[float], is_it: bool) -> None:
    """lessons.md L34; those of the future count: a clock that goes back gives nobody new tries."""
    assert is_spent(CRASH_LOOP, times, 0.0) is is_it
