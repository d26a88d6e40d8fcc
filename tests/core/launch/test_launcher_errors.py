"""What keeps a launcher from its work is said, with what to do and an honest exit code."""

from __future__ import annotations

import pytest

from newleaf.core.errors import NewleafError
from newleaf.core.launch import launcher_errors

FACTS = {
    "address": "[::1]:80",
    "reason": "no such device",
    "pid": 7,
    "path": "/x/control.sock",
    "name": "app",
    "seconds": 600.0,
}
EXIT_CODES = {
    "AddressTaken": 1,
    "AddressUnusable": 2,
    "LauncherRuns": 1,
    "NoLauncher": 1,
    "NoCommand": 2,
    "LauncherRefused": 1,
    "LauncherLost": 1,
    "LauncherSilent": 1,
    "LauncherDamaged": 7,
    "NoLogFiles": 1,
}
KINDS = [
    found
    for found in vars(launcher_errors).values()
    if isinstance(found, type)
    and issubclass(found, NewleafError)
    and found.__module__ == launcher_errors.__name__
]


@pytest.mark.parametrize("kind", KINDS)
def test_error_has_its_exit_code_a_cure_and_leaves_no_fact_open(kind: type[NewleafError]) -> None:
    error = kind(**FACTS)
    assert error.exit_code == EXIT_CODES[kind.__name__]
    assert error.advice
    assert "{" not in error.message + error.advice


def test_every_error_has_a_code_of_its_own() -> None:
    assert len({kind.code for kind in KINDS}) == len(KINDS) == len(EXIT_CODES)
