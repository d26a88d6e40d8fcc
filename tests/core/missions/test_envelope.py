"""A mission, read strictly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from newleaf.core.missions.envelope import (
    MAX_BYTES,
    Envelope,
    read_envelope,
    read_fields,
    read_names,
    write_payload,
)
from newleaf.core.missions.mission_errors import MalformedMission

FIELDS = {
    "job_id": "job-1",
    "mission_kind": "app:resize",
    "target": "mini-1",
    "issued_at": "2026-11-20T12:00:00Z",
    "expires_at": "2026-11-21T12:00:00Z",
    "payload": '{"task": "resize", "context": {"width": 3}}',
}


def read(**changed: str | None) -> Envelope:
    said = FIELDS | {name: value for name, value in changed.items() if value is not None}
    return read_envelope({name: value for name, value in said.items() if changed.get(name, "") is not None})


def rule_of(**changed: str | None) -> str:
    with pytest.raises(MalformedMission) as caught:
        read(**changed)
    assert caught.value.exit_code == 5
    return str(caught.value.facts["rule"])


def test_read_then_every_field_is_there_with_its_default() -> None:
    envelope = read()
    assert (envelope.job_id, envelope.idempotency_key) == ("job-1", "job-1")
    assert (envelope.mission_kind, envelope.target.host) == ("app:resize", "mini-1")
    assert envelope.expires_at - envelope.issued_at == timedelta(days=1)
    assert envelope.issued_at == datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert (envelope.task, envelope.context) == ("resize", {"width": 3})
    assert envelope.payload == {"task": "resize", "context": {"width": 3}}
    assert (envelope.priority, envelope.timeout_seconds, envelope.max_retries) == (0, 0.0, 3)


def test_at_the_end_of_all_time_then_it_is_read_like_any_other() -> None:
    assert read(issued_at="9999-12-31T00:00:00Z", expires_at="9999-12-31T01:00:00Z").issued_at.year == 9999


def test_said_then_it_counts() -> None:
    envelope = read(idempotency_key="k", priority="-7", timeout_seconds="1.5", max_retries="0", signature="s")
    assert (envelope.idempotency_key, envelope.priority, envelope.timeout_seconds) == ("k", -7, 1.5)
    assert (envelope.max_retries, envelope.signature) == (0, "s")


@pytest.mark.parametrize("payload", ["{}", '{"task": null, "context": null}', '{"context": {}}'])
def test_a_payload_that_leaves_something_out_or_null_then_nothing_is_said(payload: str) -> None:
    envelope = read(payload=payload)
    assert (envelope.task, envelope.context) == (None, {})
    assert envelope.payload == {"task": None, "context": {}}


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"url": "https://x"}, "unknown_field"),
        ({"command": "rm"}, "unknown_field"),
        ({"job_id": None}, "missing_field"),
        ({"payload": ""}, "missing_field"),
        ({"expires_at": None}, "missing_field"),
        ({"issued_at": "9999-12-31T00:00:00Z", "expires_at": "9999-12-31T00:00:00Z"}, "expires_at"),
        ({"issued_at": "0001-01-01T00:00:00+23:00"}, "issued_at"),
        ({"job_id": "-x"}, "job_id"),
        ({"job_id": "a b"}, "job_id"),
        ({"job_id": "x" * 129}, "job_id"),
        ({"idempotency_key": "a\n"}, "idempotency_key"),
        ({"mission_kind": "1app"}, "mission_kind"),
        ({"mission_kind": "a;b"}, "mission_kind"),
        ({"target": "a b"}, "target"),
        ({"priority": "high"}, "priority"),
        ({"priority": "1e3"}, "priority"),
        ({"priority": "1234567"}, "priority"),
        ({"timeout_seconds": "-1"}, "timeout_seconds"),
        ({"timeout_seconds": "nan"}, "timeout_seconds"),
        ({"timeout_seconds": "inf"}, "timeout_seconds"),
        ({"max_retries": "-1"}, "max_retries"),
        ({"max_retries": "101"}, "max_retries"),
        ({"issued_at": "yesterday"}, "issued_at"),
        ({"issued_at": "2026-11-20T12:00:00"}, "issued_at"),
        ({"expires_at": "2026-11-20T12:00:00Z"}, "expires_at"),
        ({"expires_at": "2026-11-20T11:00:00Z"}, "expires_at"),
        ({"expires_at": "2026-12-04T12:00:01Z"}, "expires_at"),
        ({"payload": "{"}, "payload"),
        ({"payload": "[]"}, "payload"),
        ({"payload": '{"context": []}'}, "payload"),
        ({"payload": '{"task": 1, "context": {}, "url": "x"}'}, "payload"),
        ({"payload": "[" * 60_000}, "payload"),
    ],
)
def test_t26_anything_else_is_refused_by_its_rule(changed: dict[str, str | None], rule: str) -> None:
    """threats.md T24, T26"""
    assert rule_of(**changed) == rule


def test_t24_too_large_then_it_is_not_even_looked_at() -> None:
    """threats.md T24"""
    with pytest.raises(MalformedMission) as caught:
        read_fields({b"payload": b"x" * MAX_BYTES})
    assert caught.value.facts["rule"] == "too_large"


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ({}, ("", "", "", "")),
        ({b"job_id": b"job-1", b"url": b"x"}, ("job-1", "", "", "")),
        (
            {b"job_id": b"j", b"idempotency_key": b"k", b"mission_kind": b"app:x", b"target": b"a = b, c!=d"},
            ("j", "k", "app:x", "a = b, c!=d"),
        ),
        ({b"job_id": b"\xff", b"mission_kind": b"a;b", b"target": b"\x1b[2J"}, ("", "", "", "")),
        ({b"job_id": b"x" * 129, b"target": b"x" * 256}, ("", "", "", "")),
    ],
)
def test_a_mission_or_not_then_its_names_are_read_as_far_as_they_are_any(
    entry: dict[bytes, bytes], names: tuple[str, ...]
) -> None:
    assert tuple(read_names(entry).values()) == names


def test_no_text_then_it_is_refused() -> None:
    with pytest.raises(MalformedMission) as caught:
        read_fields({b"job_id": b"\xff"})
    assert caught.value.facts["rule"] == "not_text"


def test_a_payload_is_written_then_it_is_read_as_it_was() -> None:
    envelope = read(payload=write_payload({"a": [1]}, {"b": None}))
    assert (envelope.task, envelope.context) == ({"a": [1]}, {"b": None})


@pytest.mark.parametrize("context", [{"x": float("nan")}, {"x": object()}])
def test_what_json_cannot_say_is_no_payload(context: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        write_payload(None, context)
