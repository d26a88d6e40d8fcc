"""Errors of missions are data, as all are."""

from __future__ import annotations

import pytest

from newleaf.core.errors import NewleafError
from newleaf.core.missions import mission_errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (mission_errors.BusUnconfigured(), 2),
        (mission_errors.RedisMissing(), 2),
        (mission_errors.BusUnreachable(url="u", reason="r"), 1),
        (mission_errors.BusForgot(url="u", reason="r"), 1),
        (mission_errors.NotHeadquarters(), 5),
        (mission_errors.MissionKeysUnusable(path="p", reason="r"), 2),
        (mission_errors.MalformedMission(rule="r", reason="x"), 5),
        (mission_errors.MissionsTaken(state="s", owner="o"), 3),
        (mission_errors.NoDeadLetter(entry="1-0"), 2),
    ],
)
def test_each_has_its_exit_code_and_says_all_it_knows(error: NewleafError, code: int) -> None:
    assert error.exit_code == code
    assert "{" not in error.message + error.advice
