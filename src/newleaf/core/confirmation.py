"""What a process that reports itself has loaded, and whether that confirms an attempt.

In place, the tree may have moved under a process that had already started; with slots, the link that it
was started through. What it loaded is then judged by when it started, never by what lies there now
(lessons.md L1, L25). A release that was started by its own path is what it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from newleaf.core.records import AttemptRecord
from newleaf.core.release import CommitId
from newleaf.core.states import State

CHECKOUT_MOVES = (State.INSTALL, State.MIGRATE, State.ACTIVATE, State.REVERT)
"""The states in which a checkout may be changed."""
LINK_MOVES = (State.ACTIVATE, State.REVERT)
"""The states in which the link to a release may be swapped."""
_OVER = (State.DONE, State.FAILED, State.ROLLED_BACK)
_SETTLED = (State.RESTART, State.DONE, State.FAILED, State.ROLLED_BACK, State.INCONSISTENT)


def loaded_commit(
    lying_there: CommitId,
    started: datetime,
    attempts: Iterable[AttemptRecord],
    moves: Collection[State] = CHECKOUT_MOVES,
    now: datetime | None = None,
) -> CommitId | None:
    """The commit that a process started at `started` has loaded; None when the tree moved meanwhile.

    `moves` are the states in which what it was started from may change. A process older than a move has what
    lay there before it; one that started while the tree moved may have parts of both. A move that is dated
    after `now`, by a clock that went back, was before it or after it: nobody knows.
    """
    for attempt in reversed(list(attempts)):
        began = next((record.at for record in attempt.records if record.state in moves), None)
        if began is None:
            continue
        if now and began > now:
            return None
        settled = next((record.at for record in attempt.records if record.state in _SETTLED), None)
        if started < began:
            lying_there = attempt.start.commit
        elif settled is None or started < settled:
            return None
        else:
            break
    return lying_there


def is_behind(attempt: AttemptRecord | None, loaded: CommitId | None, lying_there: CommitId) -> bool:
    """Whether a process has not loaded what lies there, and the attempt that put it there is over.

    It was on its way up while that came to its restart, or to its way back, and was not seen then.
    """
    return attempt is not None and attempt.state in _OVER and loaded != lying_there


def is_confirmed_by(attempt: AttemptRecord | None, commit: CommitId | None) -> bool:
    """Whether a report of `commit` says that the attempt has arrived."""
    if attempt is None or commit is None or attempt.target.commit != commit:
        return False
    return attempt.state in (State.RESTART, State.CONFIRM, State.DONE)
