"""What a process has loaded, judged by when it started."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from newleaf.core.confirmation import LINK_MOVES, is_behind, is_confirmed_by, loaded_commit
from newleaf.core.records import AttemptRecord, JournalRecord
from newleaf.core.states import State
from tests.support.simulated_host import START, commit_of, release_of


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def attempt(*states: tuple[State, float], start: str = "a", target: str = "b") -> AttemptRecord:
    return AttemptRecord(
        tuple(
            JournalRecord("a-1", after(seconds), state, release_of(start), release_of(target))
            for state, seconds in states
        )
    )


MOVED = attempt((State.FETCH, 0), (State.INSTALL, 10), (State.ACTIVATE, 20), (State.RESTART, 21))


def test_a_process_started_after_the_restart_has_the_new_release() -> None:
    assert loaded_commit(commit_of("b"), after(22), [MOVED]) == commit_of("b")


@pytest.mark.parametrize(
    ("end", "loaded", "behind"),
    [
        (State.DONE, "a", True),
        (State.DONE, None, True),
        (State.ROLLED_BACK, None, True),
        (State.DONE, "b", False),
        (State.RESTART, "a", False),
        (State.INCONSISTENT, None, False),
    ],
)
def test_what_lies_there_was_not_loaded_and_the_attempt_is_over_then_a_process_is_behind(
    end: State, loaded: str | None, *, behind: bool
) -> None:
    over = attempt((State.FETCH, 0), (State.INSTALL, 10), (end, 21))
    assert is_behind(over, commit_of(loaded) if loaded else None, commit_of("b")) is behind
    assert not is_behind(None, None, commit_of("b"))


def test_a_process_older_than_the_move_has_the_old_release() -> None:
    """lessons.md L1, L25"""
    assert loaded_commit(commit_of("b"), after(9), [MOVED]) == commit_of("a")


def test_what_a_process_started_during_the_move_has_is_not_known() -> None:
    """lessons.md L1"""
    assert loaded_commit(commit_of("b"), after(15), [MOVED]) is None


def test_a_move_that_is_dated_in_the_future_may_have_been_before_or_after_a_start() -> None:
    """lessons.md L1: the clock went back."""
    assert loaded_commit(commit_of("b"), after(5), [MOVED], now=after(6)) is None


def test_while_a_move_is_not_settled_nothing_started_since_is_known() -> None:
    assert loaded_commit(commit_of("b"), after(99), [attempt((State.INSTALL, 10))]) is None


def test_an_attempt_that_never_touched_the_tree_says_nothing() -> None:
    waiting = attempt((State.FETCH, 0), (State.WAIT, 5))
    assert loaded_commit(commit_of("a"), after(9), [waiting]) == commit_of("a")


def test_of_two_moves_a_process_between_them_has_the_middle_release() -> None:
    second = attempt((State.INSTALL, 40), (State.RESTART, 50), start="b", target="c")
    assert loaded_commit(commit_of("c"), after(30), [MOVED, second]) == commit_of("b")
    assert loaded_commit(commit_of("c"), after(5), [MOVED, second]) == commit_of("a")


def test_through_a_link_a_process_has_the_old_release_until_the_link_is_swapped() -> None:
    """lessons.md L1: what is made ready beside the live release does not touch a process."""
    assert loaded_commit(commit_of("b"), after(15), [MOVED], LINK_MOVES) == commit_of("a")
    assert loaded_commit(commit_of("b"), after(20.5), [MOVED], LINK_MOVES) is None
    assert loaded_commit(commit_of("b"), after(22), [MOVED], LINK_MOVES) == commit_of("b")


def test_a_release_that_was_started_by_its_own_path_is_what_it_is() -> None:
    assert loaded_commit(commit_of("a"), after(15), [MOVED], ()) == commit_of("a")


def test_without_attempts_what_lies_there_is_loaded() -> None:
    assert loaded_commit(commit_of("a"), START, []) == commit_of("a")


@pytest.mark.parametrize(
    ("state", "commit", "confirmed"),
    [
        (State.RESTART, "b", True),
        (State.CONFIRM, "b", True),
        (State.DONE, "b", True),
        (State.RESTART, "a", False),
        (State.ROLLED_BACK, "b", False),
        (State.INSTALL, "b", False),
    ],
)
def test_only_a_report_of_the_target_confirms(state: State, commit: str, confirmed: bool) -> None:
    """lessons.md L1"""
    assert is_confirmed_by(attempt((state, 0)), commit_of(commit)) is confirmed


def test_an_unknown_commit_confirms_nothing() -> None:
    assert not is_confirmed_by(MOVED, None)
    assert not is_confirmed_by(None, commit_of("b"))
