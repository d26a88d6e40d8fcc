"""How work with git can fail: who can act on it, and what is said."""

from __future__ import annotations

import string

import pytest

from newleaf.core.errors import FailedError, NewleafError, RefusedError, UsageError
from newleaf.core.releases import git_errors

ERRORS = [
    found
    for found in vars(git_errors).values()
    if isinstance(found, type) and issubclass(found, NewleafError) and found.__module__ == git_errors.__name__
]


def test_every_failure_has_a_code_of_its_own() -> None:
    """lessons.md L2: distinguishable from one another."""
    codes = [error.code for error in ERRORS]
    assert len(set(codes)) == len(codes)
    assert {error.exit_code for error in ERRORS} == {1, 2, 5}


@pytest.mark.parametrize("error", ERRORS)
def test_message_and_cure_are_filled_from_the_same_facts(error: type[NewleafError]) -> None:
    wanted = {name for _, name, _, _ in string.Formatter().parse(error.__doc__ or "") if name}
    made = error(**dict.fromkeys(wanted, 1))

    assert "{" not in made.message
    missing = {name for _, name, _, _ in string.Formatter().parse(error.cure) if name} - wanted
    assert missing <= {"ssh", "cure", "base"}, "only what is said in the cure alone"


def test_what_was_configured_is_told_from_what_the_remote_did_and_from_policy() -> None:
    assert issubclass(git_errors.RemoteInvalid, UsageError)
    assert issubclass(git_errors.RemoteUnreachable, FailedError)
    assert issubclass(git_errors.CheckoutLocked, FailedError)
    assert issubclass(git_errors.Diverged, RefusedError)
    assert issubclass(git_errors.FetchTooLarge, RefusedError)
