"""What is written down, and read again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newleaf.core.records import (
    EXIT_CODES,
    AttemptRecord,
    JournalRecord,
    Result,
    Status,
    StepReport,
    Waiting,
    moment,
    short_stamp,
    stamp,
)
from newleaf.core.states import State
from tests.support.simulated_host import START, release_of

RECORD = JournalRecord(
    "a-1", START, State.FETCH, release_of("a", "1.0.0"), release_of("b", "1.1.0"), {"origin": "test"}
)


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1971, 1, 1)))  # noqa: DTZ001 - hypothesis adds it
def test_a_stamp_is_read_as_the_moment_it_was_made_of(at: datetime) -> None:
    assert abs(moment(stamp(at)) - at) < timedelta(milliseconds=1)
    assert abs(moment(short_stamp(at)) - at) < timedelta(seconds=1)


def test_stamps_are_in_utc_and_sort_as_time_does() -> None:
    there = START.astimezone(timezone(timedelta(hours=5)))
    assert stamp(there) == "2026-11-20T12:00:00.000Z"
    assert short_stamp(there) == "2026-11-20T12:00:00Z"


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-11-20T12:00:00", "2026-13-40T00:00:00Z", "0001-01-01T00:00:00+01:00"]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        moment(text)


def test_a_journal_record_survives_the_way_to_the_file_and_back() -> None:
    for record in (RECORD, RECORD._replace(mark="a-boot/12.5")):
        assert JournalRecord.read(json.loads(json.dumps(record.as_record()))) == record


@pytest.mark.parametrize("missing", ["attempt", "at", "state", "from", "to"])
def test_a_journal_record_without_a_field_is_refused(missing: str) -> None:
    record = RECORD.as_record()
    del record[missing]
    with pytest.raises((KeyError, ValueError)):
        JournalRecord.read(record)


def test_an_attempt_is_what_its_records_say_later_ones_first() -> None:
    later = JournalRecord(
        "a-1", START, State.VERIFY, RECORD.start, release_of("b", "1.1.1"), {"origin": "later", "more": 1}
    )
    attempt = AttemptRecord((RECORD, later))
    assert attempt.state is State.VERIFY
    assert attempt.is_open
    assert attempt.target.version == "1.1.1"
    assert attempt.detail == {"origin": "later", "more": 1}
    assert attempt.at(State.FETCH) == START
    assert attempt.at(State.RESTART) is None


def test_every_outcome_has_the_exit_code_of_the_contract() -> None:
    assert {Result(word).exit_code for word in ("up_to_date", "updated", "held", "available", "ok")} == {0}
    pairs = {"failed": 1, "usage": 2, "locked": 3, "waiting": 4, "refused": 5, "rolled_back": 6}
    assert {word: EXIT_CODES[word] for word in pairs} == pairs
    assert EXIT_CODES["inconsistent"] == 7


def test_a_result_has_every_field_of_the_contract() -> None:
    result = Result(
        "waiting",
        release_of("a"),
        release_of("b", "1.1.0"),
        ((release_of("b").commit, "a change"),),
        1,
        (StepReport("fetch", 0.12345),),
        waiting_for=(Waiting("idle", "a job runs", START),),
        attempt="a-1",
    )
    record = result.as_record()
    assert record["from"] == {"commit": "a" * 40, "version": None}
    assert record["to"] == {"commit": "b" * 40, "version": "1.1.0"}
    assert record["commits"] == {"count": 1, "list": [{"id": "b" * 40, "subject": "a change"}]}
    assert record["steps"] == [{"name": "fetch", "seconds": 0.123, "skipped": False, "detail": ""}]
    assert record["waiting_for"] == [
        {"gate": "idle", "reason": "a job runs", "since": "2026-11-20T12:00:00Z"}
    ]
    assert (record["confirmed"], record["attempt"], record["errors"]) == (None, "a-1", [])


def test_a_status_has_exactly_the_fields_of_the_contract() -> None:
    status = Status("deployed", START, "mini-1", "sessions", "beta", running=release_of("a", "1.3.0"))
    assert list(status.as_record()) == (
        "schema status timestamp computer app channel running target attempt error waiting_for".split()
    )
    assert status.as_record()["running"] == {"commit": "a" * 40, "version": "1.3.0"}


def test_an_attempt_goes_through_several_processes_then_each_state_took_until_the_next_one() -> None:
    release = release_of("1.0.0")
    moments = [("fetch", 0.0), ("stage", 0.5), ("wait", 2.0), ("activate", 60.0), ("restart", 60.25)]
    records = tuple(
        JournalRecord("one", START + timedelta(seconds=seconds), State(state), release, release, {})
        for state, seconds in moments
    )
    assert AttemptRecord(records).durations() == {"fetch": 0.5, "stage": 1.5, "activate": 0.25}
