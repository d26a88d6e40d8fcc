"""The machine of an attempt, walked at random: what holds of every walk that the table allows."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from newleaf.core.errors import ImpossibleMove, TooManyRecords
from newleaf.core.states import BEGINNINGS, BESIDE, ENDS, MAX_RECORDS, OWED, TRANSITIONS, State, advance
from tests.support.properties import bounded

CHANGES = {State.INSTALL, State.MIGRATE, State.ACTIVATE}
GATED = {State.STAGE, State.WAIT, State.SNAPSHOT}
"""The gates are judged when one of these is left for what touches the live tree."""
ANY = st.sampled_from(list(State))
NUMBERS = st.integers(0, 20)


def reachable(begin: State, without: set[State]) -> set[State]:
    """The states that can follow `begin` when none of `without` is entered."""
    reached, new = {begin}, {begin}
    while new:
        new = {to for state in new for to in TRANSITIONS[state]} - reached - without
        reached |= new
    return reached


class Walk(RuleBasedStateMachine):
    """One attempt: any state is tried next, an allowed one more often than not."""

    def __init__(self) -> None:
        super().__init__()
        self.walked: list[State] = []

    @property
    def state(self) -> State | None:
        return self.walked[-1] if self.walked else None

    def enter(self, to: State) -> bool:
        before = list(self.walked)
        try:
            moved = advance(self.state, to, len(self.walked))
        except (ImpossibleMove, TooManyRecords):
            assert self.walked == before
            return False
        assert moved is to
        self.walked.append(to)
        return True

    @rule(to=ANY)
    def try_any(self, to: State) -> None:
        self.enter(to)

    @precondition(lambda self: self.state not in ENDS)
    @rule(number=NUMBERS)
    def go_on(self, number: int) -> None:
        allowed = sorted((BEGINNINGS if self.state is None else TRANSITIONS[self.state]) - ENDS)
        assert allowed
        self.enter(allowed[number % len(allowed)])

    @precondition(lambda self: self.state is not None and self.state in TRANSITIONS[self.state])
    @rule(times=st.integers(1, 45))
    def be_killed_again_and_again(self, times: int) -> None:
        assert self.state
        for _ in range(times):
            self.enter(self.state)

    @invariant()
    def records_are_bounded(self) -> None:
        assert len(self.walked) <= MAX_RECORDS + 1
        if len(self.walked) > MAX_RECORDS:
            assert self.state is State.INCONSISTENT

    @invariant()
    def an_end_is_the_end(self) -> None:
        assert not set(self.walked[:-1]) & ENDS
        if self.state in ENDS:
            assert not any(self.enter(to) for to in State)

    @invariant()
    def what_is_open_can_always_end(self) -> None:
        if self.state and self.state not in ENDS:
            assert advance(self.state, State.INCONSISTENT, len(self.walked)) is State.INCONSISTENT
            assert reachable(self.state, set()) & (ENDS - {State.INCONSISTENT})

    @invariant()
    def nothing_live_changes_before_the_gates_can_be_judged(self) -> None:
        """Promise 2."""
        for place, state in enumerate(self.walked):
            if state in CHANGES | {State.RESTART, State.REVERT}:
                assert set(self.walked[:place]) & GATED

    @invariant()
    def a_changed_tree_is_never_left_as_if_it_were_untouched(self) -> None:
        """Promise 4."""
        if set(self.walked) & CHANGES and State.REVERT not in self.walked:
            assert self.state not in {State.FAILED, State.REFUSED, State.DISCARDED, State.ROLLED_BACK}

    @invariant()
    def the_way_back_is_gone_once_and_never_forward_again(self) -> None:
        """Promise 4: at most one automatic revert an attempt, never a flip-flop."""
        if State.REVERT in self.walked:
            after = self.walked[self.walked.index(State.REVERT) :]
            assert set(after) <= ENDS | {State.REVERT}
            assert self.state is not State.DONE

    @invariant()
    def done_and_confirmed_come_after_all_that_leads_there(self) -> None:
        """Promise 1."""
        if State.DONE in self.walked:
            assert State.ACTIVATE in self.walked
        if State.CONFIRM in self.walked:
            assert State.RESTART in self.walked

    @invariant()
    def data_is_kept_before_anything_changes_or_not_at_all(self) -> None:
        if State.SNAPSHOT in self.walked:
            last = len(self.walked) - 1 - self.walked[::-1].index(State.SNAPSHOT)
            assert not set(self.walked[:last]) & CHANGES


Walk.TestCase.settings = bounded(60, steps=40)
TestWalk = Walk.TestCase


def test_from_beside_every_way_to_a_live_change_leads_through_a_state_where_gates_are_judged() -> None:
    for state in BESIDE - GATED:
        assert not reachable(state, GATED) & (CHANGES | {State.RESTART, State.REVERT})


@pytest.mark.parametrize("state", sorted(OWED))
def test_what_is_owed_can_be_superseded_by_a_newer_target(state: State) -> None:
    assert State.SUPERSEDED in TRANSITIONS[state]


@pytest.mark.parametrize("state", sorted(CHANGES | {State.REVERT, State.RESTART}))
def test_a_step_that_was_killed_may_be_entered_again(state: State) -> None:
    """Promise 5"""
    assert state in TRANSITIONS[state]
