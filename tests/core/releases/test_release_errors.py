"""What is said when a release cannot be made."""

from __future__ import annotations

import pytest

from newleaf.core.errors import NewleafError
from newleaf.core.releases import release_errors as errors

FACTS = {
    "path": "/home/ada/sessions",
    "reason": "its remote end hung up",
    "tag": "v1.2.0",
    "remote": "origin",
    "left": "the tag was taken away here too",
}

CLASSES = [
    found
    for found in vars(errors).values()
    if isinstance(found, type) and issubclass(found, NewleafError) and found.__module__ == errors.__name__
]


@pytest.mark.parametrize("error", CLASSES)
def test_error_then_message_and_cure_are_filled(error: type[NewleafError]) -> None:
    found = error(**FACTS)
    assert "{" not in found.message + found.advice
    assert found.message
    assert found.advice
    assert found.as_record()["code"] == error.code


def test_errors_then_each_has_its_own_code() -> None:
    codes = [error.code for error in CLASSES]
    assert len(codes) == len(set(codes))
