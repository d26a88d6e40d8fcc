"""Every error of an app's data says what happened, where, and what to do."""

from __future__ import annotations

import pytest

from newleaf.core.data import data_errors
from newleaf.core.errors import NewleafError

FACTS = {
    "path": "/state/migration_state.json",
    "reason": "the reason",
    "snapshots": "/state/snapshots",
    "script": "v1.1.0/001_a.py",
    "scripts": "v1.1.0/001_a.py",
    "number": "001",
    "version": "1.1.0",
    "first": "v1.1.0/001_a.py",
    "second": "v1.1.0/001_b.py",
    "text": "soon",
    "attempt": "one",
    "folder": "/state/snapshots/one",
}
OWN = [
    error
    for error in vars(data_errors).values()
    if isinstance(error, type)
    and issubclass(error, NewleafError)
    and error.__module__ == data_errors.__name__
]


@pytest.mark.parametrize("error", OWN)
def test_it_has_a_code_a_message_and_a_cure_without_gaps(error: type[NewleafError]) -> None:
    made = error(**FACTS)
    assert made.code not in ("failed", "usage", "inconsistent")
    assert made.advice
    for text in (made.message, made.advice.replace('{"schema": 1, "applied": ["1.1.0/001_name.py"]}', "")):
        assert "{" not in text
        assert "\n" not in text


def test_codes_are_told_apart() -> None:
    assert len({error.code for error in OWN}) == len(OWN)


def test_a_failed_migration_carries_what_it_said() -> None:
    error = data_errors.MigrationFailed(script="v1.1.0/001_a.py", reason="no", lines=["one", "two"])
    assert error.lines == ("one", "two")
    assert error.as_record()["lines"] == ["one", "two"]
    assert data_errors.MigrationFailed(script="x", reason="no").lines == ()
