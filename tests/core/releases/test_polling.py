"""When the remote is asked next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newleaf.core.releases.polling import LONGEST_BACK_OFF_SECONDS, Interval, first_wait, next_wait

chances = st.floats(0, 1, exclude_max=True)
intervals = st.builds(Interval, st.floats(1, 86_400), st.floats(0, 1))


@given(intervals, chances)
def test_first_look_then_somewhere_in_the_first_interval(interval: Interval, chance: float) -> None:
    """lessons.md L44."""
    assert 0 <= first_wait(interval, chance) < interval.seconds


def test_hosts_that_start_together_then_spread_over_the_interval() -> None:
    """lessons.md L44."""
    waits = [first_wait(Interval(300, 0.1), number / 10) for number in range(10)]
    assert max(waits) - min(waits) == pytest.approx(270)


@given(intervals, chances)
def test_later_looks_then_within_the_jitter(interval: Interval, chance: float) -> None:
    """lessons.md L44."""
    wait = next_wait(interval, chance)
    assert interval.seconds * (1 - interval.jitter) <= wait <= interval.seconds * (1 + interval.jitter)


def test_chances_differ_then_the_waits_do() -> None:
    """lessons.md L44."""
    assert next_wait(Interval(300, 0.1), 0.0) == pytest.approx(270)
    assert next_wait(Interval(300, 0.1), 0.5) == pytest.approx(300)
    assert next_wait(Interval(300, 0.0), 0.9) == 300


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 60), (1, 60), (2, 120), (3, 240), (4, 480), (5, 960), (9, 960)]
)
def test_failures_then_the_interval_doubles_up_to_a_bound(failures: int, seconds: float) -> None:
    assert next_wait(Interval(60, 0), 0.5, failures) == seconds


@pytest.mark.parametrize(("interval", "expected"), [(300, 3600), (3000, 3600), (86_400, 86_400)])
def test_many_failures_then_no_longer_than_an_hour_or_the_interval(interval: float, expected: float) -> None:
    assert next_wait(Interval(interval, 0), 0.5, 20) == expected
    assert expected >= LONGEST_BACK_OFF_SECONDS


@given(intervals, chances, st.integers(0, 50), st.floats(0, 86_400))
def test_asked_to_wait_then_never_sooner(
    interval: Interval, chance: float, failures: int, at_least: float
) -> None:
    """lessons.md L44: the server's Retry-After is obeyed."""
    assert next_wait(interval, chance, failures, at_least) >= at_least


def test_all_asked_to_wait_for_one_moment_then_not_all_back_at_it() -> None:
    """lessons.md L44."""
    interval = Interval(300, 0.1)
    assert next_wait(interval, 0.9, 1, 3600) - next_wait(interval, 0.1, 1, 3600) == pytest.approx(24)
