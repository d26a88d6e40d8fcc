"""The kinds of attempt, and the bag of parts."""

from __future__ import annotations

from newleaf.update.parts import REPAIR, ROLLBACK, UPDATE


def test_the_kinds_of_attempt_are_told_apart() -> None:
    assert len({UPDATE, ROLLBACK, REPAIR}) == 3
