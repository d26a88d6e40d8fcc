"""How a host makes itself known, and when it is silent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from newleaf.core.missions.registration import MAX_BYTES, Registration, from_status, read_registration
from newleaf.core.missions.targeting import parse_target

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ONE = Registration(
    name="mini-1", at=NOON, app="bridge", labels={"role": "worker"}, capabilities=("gpu",), paused=True
)


def test_written_then_it_is_read_as_it_was() -> None:
    assert read_registration(ONE.as_json()) == ONE
    assert ONE.as_record()["schema"] == 1


def test_a_later_newleaf_says_more_then_what_is_known_is_read() -> None:
    assert read_registration(ONE.as_json().replace("{", '{"mood":"fine",', 1)) == ONE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"name": "x"}',
        '{"name": 1, "at": "2026-11-20T12:00:00Z"}',
        '{"name": "x", "at": "0001-01-01T00:00:00+23:00"}',
        '{"name": "x", "at": "2026-11-20T12:00:00Z", "interval_seconds": 1e300}',
        '{"name": "x", "at": "2026-11-20T12:00:00Z", "interval_seconds": -1}',
    ],
)
def test_anything_else_is_no_registration(text: str) -> None:
    assert read_registration(text) is None


def test_too_large_then_it_is_not_read() -> None:
    assert read_registration(ONE.as_json() + " " * MAX_BYTES) is None


@pytest.mark.parametrize(("seconds", "silent"), [(0, False), (45, False), (46, True)])
def test_l41_three_intervals_without_a_word_then_it_is_silent(seconds: float, silent: bool) -> None:
    """lessons.md L41"""
    assert ONE.is_silent(NOON + timedelta(seconds=seconds)) is silent


@pytest.mark.parametrize(
    ("consumer", "seconds", "another"),
    [("me", 0, False), ("other", 0, True), ("other", 60, False), ("", 0, False)],
)
def test_written_by_another_under_this_name_just_now(consumer: str, seconds: float, another: bool) -> None:
    found = msgspec.structs.replace(ONE, consumer=consumer)
    assert found.is_of_another("me", NOON + timedelta(seconds=seconds)) is another


def test_its_labels_are_meant_then_so_is_the_host() -> None:
    assert ONE.is_meant(parse_target("role=worker"))
    assert not ONE.is_meant(parse_target("mini-2"))


def test_its_status_then_what_runs_and_unknown_is_unknown() -> None:
    status = {
        "status": "deployed",
        "running": {"commit": "c", "version": "1.0"},
        "target": None,
        "timestamp": "t",
    }
    found = from_status(ONE, status)
    assert (found.version, found.commit, found.target, found.status) == ("1.0", "c", None, "deployed")
    assert from_status(ONE, {"outcome": "failed"}).status == "unknown"
