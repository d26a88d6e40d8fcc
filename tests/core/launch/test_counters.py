"""What outlives a launcher, and is never believed more than it can be."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newleaf.core.launch.counters import KEPT_TIMES, Counters
from newleaf.core.launch.plan import OVERLAP, Health
from tests.support.fake_daemon import commit_of, counters_of, plan_of
from tests.support.properties import bounded

A, B = commit_of("A"), commit_of("B")


def test_written_down_and_read_again_then_they_are_the_same() -> None:
    """lessons.md L32, L34: a launcher's own end gives nobody new tries."""
    counters = counters_of("A", crashes=[1.5, 2], restarts=[3.0], alarmed=True, notifies=True, waits=True)
    counters.count_start(plan_of("B"), "x")
    again = Counters.read(json.loads(json.dumps(counters.as_record())))
    assert again.as_record() == counters.as_record()
    assert again.is_tried(B)
    assert again.starts == 1


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"confirmed": 7, "attempt": [], "commit": {}, "starts": "3", "crashes": None, "alarmed": 1},
        {"starts": True, "restarts": ["soon"], "crashes": {"a": 1}, "notifies": "yes", "waits": None},
    ],
)
def test_what_is_not_as_it_should_be_counts_as_never_noted(record: dict[str, object]) -> None:
    assert Counters.read(record).as_record() == Counters().as_record()


def test_one_bad_field_then_the_others_are_kept() -> None:
    counters = Counters.read({"confirmed": A, "starts": None, "alarmed": True, "of_a_newer_newleaf": 1})
    assert (counters.confirmed, counters.starts, counters.alarmed) == (A, 0, True)


@bounded(30)
@given(
    st.dictionaries(
        st.sampled_from(sorted(vars(Counters()))),
        st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3), st.lists, max_leaves=3),
    )
)
def test_any_record_can_be_read_and_counted_on(record: dict[str, object]) -> None:
    counters = Counters.read(record)
    counters.count_start(plan_of("B"), None)
    assert Counters.read(counters.as_record()).as_record() == counters.as_record()


def test_times_that_are_kept_are_no_more_than_are_needed() -> None:
    counters = Counters()
    for second in range(1000):
        counters.note(counters.crashes, float(second))
    assert counters.crashes == [float(second) for second in range(1000 - KEPT_TIMES, 1000)]


def test_confirmed_release_is_started_then_it_is_not_on_trial() -> None:
    counters = counters_of("A")
    counters.count_start(plan_of("A"), None)
    assert (counters.is_on_trial, counters.starts) == (False, 0)


def test_release_of_an_attempt_is_started_then_each_start_counts_to_the_same_trial() -> None:
    counters = counters_of("A")
    counters.count_start(plan_of("B"), "x")
    counters.count_start(plan_of("B"), None)
    assert (counters.attempt, counters.commit, counters.starts) == ("x", B, 2)
    assert counters.is_tried(B)
    assert not counters.is_tried(A)


@pytest.mark.parametrize("brought", [("y", None), (None, "y")])
def test_another_attempt_at_the_same_release_then_its_starts_are_counted_anew(
    brought: tuple[str | None, str | None],
) -> None:
    counters = counters_of("A")
    counters.count_start(plan_of("B"), "x")
    counters.end_trial(None)
    counters.count_start(plan_of("B", attempt=brought[1]), brought[0])
    assert (counters.attempt, counters.starts) == ("y", 1)


def test_confirmed_release_brought_once_more_then_it_is_judged_once_more() -> None:
    counters = counters_of("A")
    counters.count_start(plan_of("A", attempt="x"), None)
    assert counters.is_tried(A)


def test_release_that_nobody_brought_then_it_is_on_trial_with_no_way_back() -> None:
    counters = counters_of("A")
    counters.count_start(plan_of("B"), None)
    assert counters.is_on_trial
    assert not counters.is_tried(B)
    for _ in range(10):
        counters.count_start(plan_of("B"), None)
    assert not counters.is_given_up(plan_of("B"))


def test_another_release_than_the_one_on_trial_is_started_then_that_trial_is_over() -> None:
    counters = counters_of("A")
    counters.count_start(plan_of("B"), "x")
    counters.count_start(plan_of("A"), None)
    assert (counters.is_on_trial, counters.confirmed) == (False, A)


@pytest.mark.parametrize(
    ("plan", "most"), [({"handover": OVERLAP}, 1), ({"health": Health(max_starts=4)}, 4)]
)
def test_given_up_after_so_many_starts_and_not_before(plan: dict[str, object], most: int) -> None:
    """lessons.md L32"""
    counters, tried = counters_of("A"), plan_of("B", **plan)
    for _ in range(most):
        assert not counters.is_given_up(tried)
        counters.count_start(tried, "x")
    assert counters.is_given_up(tried)
    assert not counters.is_given_up(plan_of("A", **plan))


def test_end_of_a_trial_then_what_was_confirmed_stays_or_is_the_new_one() -> None:
    counters = counters_of("A")
    counters.count_start(plan_of("B"), "x")
    counters.end_trial(None)
    assert (counters.confirmed, counters.commit, counters.starts) == (A, None, 0)
    counters.end_trial(B)
    assert counters.confirmed == B
