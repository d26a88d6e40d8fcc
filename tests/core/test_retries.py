"""When an attempt is tried again, from how its tries ended."""

from __future__ import annotations

import math

import pytest

from newleaf.core.gates import ORDER
from newleaf.core.records import EXIT_CODES
from newleaf.core.releases.polling import LONGEST_BACK_OFF_SECONDS, Interval
from newleaf.core.retries import (
    ARRIVED,
    IDLE,
    RESTARTED,
    SETTLED,
    SHORTEST_WAIT_SECONDS,
    UNLOCKED,
    Ended,
    Retry,
    choose_retry,
)

EVERY = Interval(300, 0.0)
A, B = "a" * 40, "b" * 40


def choose(outcome: str, *gates: str, times: int = 1, every: Interval = EVERY) -> Retry | None:
    return choose_retry(Ended(outcome, frozenset(gates)), times, every, 0.5)


@pytest.mark.parametrize("outcome", sorted(ARRIVED | SETTLED))
def test_arrived_or_settled_then_never_by_itself(outcome: str) -> None:
    """lessons.md L32, L42"""
    assert choose(outcome) is None
    assert choose(outcome, times=7) is None


def test_every_other_outcome_has_its_next_try() -> None:
    """lessons.md L27: nothing is left lying."""
    for outcome in EXIT_CODES.keys() - ARRIVED - SETTLED:
        assert choose(outcome) is not None, outcome


def test_locked_then_when_the_owner_is_gone_and_not_before() -> None:
    """lessons.md L35"""
    assert choose("locked") == Retry(math.inf, UNLOCKED)


@pytest.mark.parametrize("gate", ORDER)
def test_waiting_for_any_gate_then_at_most_every_thirty_seconds_and_no_less_often_than_polls(
    gate: str,
) -> None:
    """lessons.md L27, L44: each try asks the remote."""
    waits = [found.seconds for times in range(1, 9) if (found := choose("waiting", gate, times=times))]
    assert waits == [30, 60, 120, 240, 300, 300, 300, 300]


def test_polled_more_often_than_that_then_every_thirty_seconds_all_the_same() -> None:
    waits = [choose("waiting", "window", times=times, every=Interval(1, 0)) for times in (1, 2, 9, 9999)]
    assert waits == [Retry(SHORTEST_WAIT_SECONDS)] * 4


@pytest.mark.parametrize(
    ("gates", "when"),
    [
        (["idle"], IDLE),
        (["idle", "window"], None),
        (["window"], None),
        (["restart"], RESTARTED),
        (["idle", "restart"], RESTARTED),
    ],
)
def test_waiting_then_what_it_waits_for_brings_it_forward(gates: list[str], when: str | None) -> None:
    found = choose("waiting", *gates)
    assert found is not None
    assert found.when == when


@pytest.mark.parametrize("outcome", ["failed", "usage"])
def test_failed_then_as_the_watcher_backs_off(outcome: str) -> None:
    waits = [found.seconds for times in range(1, 7) if (found := choose(outcome, times=times))]
    assert waits == [300, 600, 1200, 2400, LONGEST_BACK_OFF_SECONDS, LONGEST_BACK_OFF_SECONDS]


def test_failed_then_hosts_do_not_try_again_together() -> None:
    """lessons.md L44"""
    waits = {choose_retry(Ended("failed"), 1, Interval(300, 0.1), chance) for chance in (0.0, 0.5, 1.0)}
    assert len(waits) == 3


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Ended("failed", to=A, lines=("after 3 s",)), Ended("failed", to=A, lines=("after 4 s",)), True),
        (Ended("failed", to=A, lines=("exit 1",)), Ended("failed", to=A, lines=("no route",)), False),
        (Ended("failed", to=A), Ended("failed", to=B), False),
        (Ended("failed", to=A), Ended("refused", to=A), False),
        (
            Ended("waiting", frozenset({"idle"}), A, ("held by a job",)),
            Ended("waiting", frozenset({"idle"}), A, ("held by another",)),
            True,
        ),
        (Ended("waiting", frozenset({"idle"}), A), Ended("waiting", frozenset({"window"}), A), False),
    ],
)  # fmt: skip
def test_two_ends_have_one_mark_if_they_tell_a_person_the_same(one: Ended, other: Ended, same: bool) -> None:
    """lessons.md L5"""
    assert (one.mark == other.mark) is same
