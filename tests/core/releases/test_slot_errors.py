"""What is said when a release slot fails."""

from __future__ import annotations

import pytest

from newleaf.core.errors import NewleafError
from newleaf.core.releases import slot_errors as errors

FACTS = {
    "state": "/state",
    "link": "/state/current",
    "releases": "/state/releases",
    "reason": "it is gone",
    "folder": "/state/releases/aaaa",
    "name": "1.3.0 (aaaaaaaaa)",
    "path": "data",
    "what": "loading app",
    "commit": "aaaaaaaaaaaa",
    "origin": "host.toml",
    "said": "slots",
    "there": "in the checkout",
    "way": "newleaf init --slots",
}
CLASSES = [
    found
    for found in vars(errors).values()
    if isinstance(found, type) and issubclass(found, NewleafError) and found.__module__ == errors.__name__
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_says_what_happened_and_what_to_do(kind: type[NewleafError]) -> None:
    error = kind(**FACTS)
    assert "{" not in error.message + error.advice
    assert error.advice


@pytest.mark.parametrize(
    ("kind", "exit_code"),
    [
        (errors.NothingDeployed, 2),
        (errors.CurrentLost, 7),
        (errors.TreeDiffers, 1),
        (errors.ReleaseLost, 1),
        (errors.SharedInTheWay, 1),
        (errors.PreflightFailed, 1),
    ],
)
def test_exit_codes_say_who_can_act(kind: type[NewleafError], exit_code: int) -> None:
    assert kind(**FACTS).exit_code == exit_code


def test_a_failed_preflight_carries_the_end_of_what_was_said() -> None:
    error = errors.PreflightFailed(**FACTS, lines=("Traceback", "ImportError: x"))
    assert error.lines == ("Traceback", "ImportError: x")
    assert error.as_record()["lines"] == ["Traceback", "ImportError: x"]
    assert "newleaf allow aaaaaaaaaaaa" in error.advice


@pytest.mark.parametrize("lines", [None, "text", 3])
def test_a_failed_preflight_that_said_nothing_has_no_lines(lines: object) -> None:
    assert errors.PreflightFailed(**FACTS, lines=lines).lines == ()
    assert errors.PreflightFailed(**FACTS).as_record()["lines"] == []
