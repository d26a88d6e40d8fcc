"""What is said when a channel, a source or a call over HTTP fails."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from newleaf.core.errors import NewleafError
from newleaf.core.releases import source_errors as errors

FACTS = {
    "pin": "latest",
    "minor": "1",
    "version": "1.4.0",
    "prefix": "v",
    "branch": "trunk",
    "what": "notify.urls",
    "url": "https://example.org/****",
    "reason": "said nothing",
    "host": "example.org",
    "address": "127.0.0.1",
    "kind": "loopback",
    "seconds": 10.0,
    "repository": "acme/sessions",
    "status": 503,
    "until": datetime(2026, 11, 20, 12, tzinfo=UTC),
    "tag": "v1.4.0",
    "first": "a" * 40,
    "now": "b" * 40,
    "path": "/state/identity.json",
    "found": "chat",
    "known": "sessions",
    "scheme": "http",
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
    assert found.as_record()["code"] == error.code


def test_errors_then_each_has_its_own_code() -> None:
    codes = [error.code for error in CLASSES]
    assert len(codes) == len(set(codes))
