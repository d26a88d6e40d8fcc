"""When an order is over, and what the history has of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from newleaf.core.orders import find_end, is_final, is_of_before, record_of, with_note
from newleaf.core.records import Result, stamp

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def line(minutes: float, outcome: str = "updated", **fields: Any) -> dict[str, Any]:
    return {"at": stamp(NOON + timedelta(minutes=minutes)), "outcome": outcome, **fields}


@pytest.mark.parametrize(
    ("outcome", "confirmed", "final"),
    [
        ("updated", None, False),
        ("updated", True, True),
        ("updated", False, True),
        ("ok", None, False),
        ("waiting", None, False),
        ("locked", None, False),
        ("up_to_date", None, True),
        ("failed", None, True),
        ("rolled_back", None, True),
    ],
)
def test_over_when_nothing_more_will_come_of_it(outcome: str, confirmed: bool | None, final: bool) -> None:
    assert is_final({"outcome": outcome, "confirmed": confirmed}) is final


@pytest.mark.parametrize(
    ("attempt", "before"),
    [
        ("20261120T115959-abcdef", True),
        ("20261120T120000-abcdef", False),
        ("20261120T120001-abcdef", False),
        ("one", False),
        (None, False),
    ],
)
def test_an_attempt_had_begun_when_an_update_was_asked_for(attempt: str | None, before: bool) -> None:
    assert is_of_before({"attempt": attempt}, NOON) is before


def test_ended_before_it_was_asked_for_then_it_is_not_its_end() -> None:
    assert find_end([line(-1), line(-0.001)], NOON) is None


def test_several_have_ended_then_its_own_attempt_counts_else_the_newest() -> None:
    lines = [line(0, attempt="a", confirmed=True), line(1, "failed", attempt="b")]
    for attempt, outcome in (("a", "updated"), ("b", "failed"), (None, "failed"), ("superseded", "failed")):
        found = find_end(lines, NOON, attempt)
        assert found
        assert found["outcome"] == outcome


def test_a_process_has_started_by_itself_then_that_is_no_end() -> None:
    assert find_end([line(1, "started")], NOON) is None


def test_a_line_then_a_record_with_every_key_of_an_update() -> None:
    record = record_of(line(0, attempt="a", durations={"fetch": 0.5}, errors=[{"code": "x"}], notes=["n"]))
    assert record.keys() == {"schema", *Result("updated").as_record()}
    assert record["steps"][0]["name"] == "fetch"
    assert with_note(record, "m")["notes"] == ["n", "m"]
