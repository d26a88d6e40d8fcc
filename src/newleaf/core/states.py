"""The states of an attempt, as data, and what a kill in each of them means.

`TRANSITIONS` is the whole machine; `advance` is the only way to move. The diagram in the docs is
generated from the table. Standard library only, for the launcher's sake.
"""

from __future__ import annotations

from enum import StrEnum

from newleaf.core.errors import ImpossibleMove, TooManyRecords

MAX_RECORDS = 40
"""More records than this in one attempt means that something goes round in circles."""


class State(StrEnum):
    """Where an attempt is. Each is written to the journal before it is acted on."""

    FETCH = "fetch"
    VERIFY = "verify"
    STAGE = "stage"
    WAIT = "wait"
    SNAPSHOT = "snapshot"
    INSTALL = "install"
    MIGRATE = "migrate"
    ACTIVATE = "activate"
    RESTART = "restart"
    CONFIRM = "confirm"
    REVERT = "revert"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    ROLLED_BACK = "rolled_back"
    SUPERSEDED = "superseded"
    DISCARDED = "discarded"
    INCONSISTENT = "inconsistent"


ENDS = frozenset(
    {
        State.DONE,
        State.FAILED,
        State.REFUSED,
        State.ROLLED_BACK,
        State.SUPERSEDED,
        State.DISCARDED,
        State.INCONSISTENT,
    }
)

WAITING = frozenset({State.WAIT, State.RESTART, State.CONFIRM})
"""What these take is up to jobs, windows and the daemon."""

_UNTOUCHED_ENDS = {State.FAILED, State.REFUSED, State.DISCARDED, State.INCONSISTENT}
_CHANGES = {State.SNAPSHOT, State.INSTALL, State.MIGRATE, State.ACTIVATE}
_LIVE = {State.REVERT, State.INCONSISTENT}

TRANSITIONS: dict[State, frozenset[State]] = {
    State.FETCH: frozenset({State.VERIFY} | _UNTOUCHED_ENDS),
    State.VERIFY: frozenset({State.STAGE} | _UNTOUCHED_ENDS),
    State.STAGE: frozenset({State.WAIT, *_CHANGES} | _UNTOUCHED_ENDS),
    State.WAIT: frozenset({*_CHANGES, State.SUPERSEDED} | _UNTOUCHED_ENDS),
    State.SNAPSHOT: frozenset({*_CHANGES} | _UNTOUCHED_ENDS),
    State.INSTALL: frozenset({State.INSTALL, State.MIGRATE, State.ACTIVATE} | _LIVE),
    State.MIGRATE: frozenset({State.MIGRATE, State.INSTALL, State.ACTIVATE} | _LIVE),
    State.ACTIVATE: frozenset({State.ACTIVATE, State.RESTART, State.DONE} | _LIVE),
    State.RESTART: frozenset({State.RESTART, State.CONFIRM, State.DONE, State.SUPERSEDED} | _LIVE),
    State.CONFIRM: frozenset({State.DONE, State.SUPERSEDED} | _LIVE),
    State.REVERT: frozenset({State.REVERT, State.FAILED, State.ROLLED_BACK, State.INCONSISTENT}),
    **{end: frozenset() for end in ENDS},
}

BEGINNINGS = frozenset({State.FETCH, State.WAIT})
"""An attempt begins by fetching; a repair of what is live has nothing to fetch."""

BESIDE = frozenset({State.FETCH, State.VERIFY, State.STAGE})
"""Killed here, nothing live was touched: the attempt is discarded and started over."""

OWED = frozenset({State.WAIT, State.RESTART, State.CONFIRM})
"""Here an attempt may stand for days; a newer target supersedes it."""


def advance(state: State | None, to: State, records: int) -> State:
    """The next state, when the table allows the move and the attempt's records are within bounds.

    Raises: InconsistentError for a move that the table does not have, or too many records.
    """
    if records >= MAX_RECORDS and to is not State.INCONSISTENT:
        raise TooManyRecords(records=records)
    allowed = BEGINNINGS if state is None else TRANSITIONS[state]
    if to not in allowed:
        raise ImpossibleMove(state=state, to=to)
    return to
