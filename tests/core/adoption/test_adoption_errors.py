from __future__ import annotations

import pytest

from newleaf.core.adoption import adoption_errors
from newleaf.core.errors import UsageError

FACTS = {
    "path": "/srv/app",
    "option": "--slots",
    "tried": "'42'",
    "key": "deployment.channel",
    "kept": "alpha",
    "asked": "beta",
    "owner": "the app shop",
    "top": "/srv/app",
    "count": 2,
    "keys": "app.name",
    "paths": ".env, data",
    "toml": '[".env", "data"]',
    "attempt": "20261120T120000-0a6d2f",
    "state": "/home/ada/.app",
}
ERRORS = [
    error
    for error in vars(adoption_errors).values()
    if isinstance(error, type) and issubclass(error, UsageError) and error is not UsageError
]


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_says_what_and_what_to_do(error: type[UsageError]) -> None:
    made = error(**FACTS)
    assert "{" not in made.message + made.advice
    assert made.advice
    assert made.exit_code == 2
    assert "\n" not in made.message
