"""The machine of an attempt, as data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newleaf.core.errors import ImpossibleMove, TooManyRecords
from newleaf.core.states import BEGINNINGS, BESIDE, ENDS, MAX_RECORDS, OWED, TRANSITIONS, State, advance

TOUCHED = {State.INSTALL, State.MIGRATE, State.ACTIVATE}


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(State)


def test_an_end_leads_nowhere_and_everything_else_leads_to_an_end() -> None:
    for state in State:
        assert (not TRANSITIONS[state]) == (state in ENDS)
        reached, new = {state}, {state}
        while new:
            new = {to for one in new for to in TRANSITIONS[one]} - reached
            reached |= new
        assert reached & ENDS


def test_once_the_live_tree_is_touched_only_a_reversal_or_a_person_ends_a_failure() -> None:
    for state in TOUCHED:
        assert TRANSITIONS[state] & {State.FAILED, State.REFUSED, State.DISCARDED} == set()
        assert State.REVERT in TRANSITIONS[state]


def test_a_reversal_happens_once_and_never_goes_forward() -> None:
    """Promise 4: at most one automatic revert an attempt, never a flip-flop."""
    assert TRANSITIONS[State.REVERT] - {State.REVERT} <= ENDS


def test_an_attempt_begins_beside_the_live_release() -> None:
    assert BEGINNINGS <= BESIDE | OWED
    assert not BEGINNINGS & TOUCHED


def test_a_move_that_the_table_does_not_have_is_impossible() -> None:
    with pytest.raises(ImpossibleMove):
        advance(State.FETCH, State.RESTART, 1)
    with pytest.raises(ImpossibleMove):
        advance(None, State.DONE, 0)


def test_too_many_records_stop_the_attempt_and_let_it_end() -> None:
    with pytest.raises(TooManyRecords):
        advance(State.INSTALL, State.INSTALL, MAX_RECORDS)
    assert advance(State.INSTALL, State.INCONSISTENT, MAX_RECORDS) is State.INCONSISTENT


@given(st.lists(st.sampled_from(list(State)), max_size=60))
def test_any_walk_is_bounded_and_stays_in_the_table(walk: list[State]) -> None:
    state: State | None = None
    records = 0
    for to in walk:
        try:
            moved = advance(state, to, records)
        except (ImpossibleMove, TooManyRecords):
            continue
        assert moved in (BEGINNINGS if state is None else TRANSITIONS[state])
        state, records = moved, records + 1
    assert records <= MAX_RECORDS + 1
