"""Whoever names no app, or another than he means, is told which there are, and changes nothing."""

from __future__ import annotations

import pytest

from newleaf.core import place_errors
from newleaf.core.errors import NewleafError

FACTS = {
    "listed": "sessions (/home/ada/.sessions)",
    "name": "bridge",
    "found": "sessions",
    "state": "/home/ada/.sessions",
    "known": "/srv/one",
    "here": "/srv/two",
    "identity": "/home/ada/.sessions/identity.json",
}
KINDS = [
    place_errors.AppUnknown,
    place_errors.AppNotHere,
    place_errors.CheckoutUnknown,
    place_errors.CheckoutMoved,
    place_errors.FolderGone,
]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_wrong_use_told_with_all_facts_and_a_cure(kind: type[NewleafError]) -> None:
    error = kind(**FACTS)
    assert (error.exit_code, error.outcome) == (2, "usage")
    assert "{" not in error.message + error.advice
    assert error.advice
