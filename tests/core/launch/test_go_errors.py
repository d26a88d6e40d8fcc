"""What is wrong with what was handed to a process is said, with what to do."""

from __future__ import annotations

import pytest

from newleaf.core.errors import NewleafError
from newleaf.core.launch import go_errors

FACTS = {"reason": "descriptor 4 is closed", "value": "7", "seconds": 5}
KINDS = [
    found
    for found in vars(go_errors).values()
    if isinstance(found, type) and issubclass(found, NewleafError) and found.__module__ == go_errors.__name__
]


@pytest.mark.parametrize("kind", KINDS)
def test_error_has_a_code_a_cure_and_leaves_no_fact_open(kind: type[NewleafError]) -> None:
    error = kind(**FACTS)
    assert [other.code for other in KINDS].count(kind.code) == 1
    assert error.advice
    assert "{" not in error.message + error.advice
