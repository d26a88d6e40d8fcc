"""What came of a mission: said of what runs, and always something that can be published."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from newleaf.core.missions.envelope import read_envelope
from newleaf.core.missions.mission_errors import MalformedMission
from newleaf.core.missions.results import (
    FAILED,
    MAX_BYTES,
    MAX_ERROR,
    SUCCESS,
    MissionResult,
    Report,
    failed,
    read_result,
    report,
    report_malformed,
    update_result,
)
from newleaf.core.records import Result
from newleaf.core.release import CommitId, Release
from tests.core.missions.test_envelope import FIELDS

NOT_TEXT = "caf\udce9"
"""A name of a file as Python has it, which no UTF-8 is."""
HERE, THERE = Release(CommitId("a" * 40), "1.0.0"), Release(CommitId("b" * 40), "1.1.0")


@pytest.mark.parametrize(
    ("outcome", "confirmed", "status", "commit"),
    [
        ("updated", True, SUCCESS, THERE.commit),
        ("updated", None, FAILED, None),
        ("updated", False, FAILED, None),
        ("ok", True, SUCCESS, THERE.commit),
        ("up_to_date", True, SUCCESS, THERE.commit),
        ("up_to_date", None, FAILED, None),
        ("held", None, FAILED, None),
        ("waiting", None, FAILED, None),
        ("refused", None, FAILED, None),
        ("rolled_back", None, FAILED, None),
        ("failed", None, FAILED, None),
    ],
)
def test_l1_success_is_what_a_process_has_reported(
    outcome: str, confirmed: bool | None, status: str, commit: str | None
) -> None:
    """lessons.md L1, L2"""
    found = update_result(Result(outcome, HERE, THERE, confirmed=confirmed).as_record(), "main")
    assert (found.status, found.result["updated_to"], found.result["branch"]) == (status, commit, "main")
    assert (found.error is None) is (status == SUCCESS)


@pytest.mark.parametrize(
    ("wanted", "status"), [("1.1.0", SUCCESS), ("1.1", SUCCESS), ("b" * 40, SUCCESS), ("1.0.0", FAILED)]
)
def test_l1_a_version_was_ordered_then_success_is_that_one(wanted: str, status: str) -> None:
    """lessons.md L1: not what another attempt came to meanwhile."""
    found = update_result(Result("updated", HERE, THERE, confirmed=True).as_record(), "main", wanted)
    assert found.status == status


@pytest.mark.parametrize(
    ("outcome", "to", "error"),
    [
        ("failed", None, "failed; the remote has no such tag"),
        ("refused", HERE, "refused; the remote has no such tag"),
        ("updated", HERE, "updated, and that is not 1.1.0"),
    ],
)
def test_a_version_was_ordered_and_not_reached_then_the_reason_is_told(
    outcome: str, to: Release | None, error: str
) -> None:
    """lessons.md L5"""
    errors = ({"code": "pin_missing", "message": "the remote has no such tag"},)
    found = update_result(
        Result(outcome, HERE, to, confirmed=True, errors=errors).as_record(), "main", "1.1.0"
    )
    assert (found.status, found.error) == (FAILED, error)


def test_failed_then_its_reasons_and_the_tail_of_the_output() -> None:
    errors = ({"code": "install_failed", "message": "uv failed", "lines": [f"line {n}" for n in range(30)]},)
    found = update_result(Result("failed", HERE, THERE, errors=errors).as_record(), "main")
    assert found.error == "failed; uv failed"
    assert found.result["output"] == [f"line {n}" for n in range(10, 30)]


def test_t29_an_error_holds_a_secret_then_it_is_published_without() -> None:
    """threats.md T29"""
    errors = ({"code": "x", "message": "https://u:canary@h/ failed", "lines": ["token=canary"]},)
    found = update_result(Result("failed", errors=errors).as_record(), "main")
    assert "canary" not in str(found)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "NoneType"),
        ("SUCCESS", "str"),
        ({"status": "SUCCESS"}, "dict"),
        (MissionResult("DONE"), "status"),
        (MissionResult(SUCCESS, 7), "a text"),  # type: ignore[arg-type]
        (MissionResult(SUCCESS, None, object()), "JSON"),
        (MissionResult(SUCCESS, None, NOT_TEXT), "JSON"),
        (MissionResult(SUCCESS, None, "x" * MAX_BYTES), "larger"),
    ],
)
def test_nonsense_then_a_failure_that_says_so(given: object, said: str) -> None:
    found = read_result(given)
    assert found.status == FAILED
    assert said in (found.error or "")


def test_a_result_then_it_is_taken_as_it_is_its_error_cut() -> None:
    found = read_result(MissionResult(FAILED, "x" * 9000, {"n": 1}))
    assert (found.status, len(found.error or ""), found.result) == (FAILED, MAX_ERROR, {"n": 1})


def test_a_result_of_things_that_have_a_text_then_it_is_what_json_says_of_them() -> None:
    """It is kept as JSON before it is published: what cannot be kept would be done again."""
    given = {"at": datetime(2026, 11, 20, tzinfo=UTC), "of": (1, 2), 3: b"x"}
    found = read_result(MissionResult(SUCCESS, None, given)).result
    assert json.loads(json.dumps(found)) == found == {"at": "2026-11-20T00:00:00Z", "of": [1, 2], "3": "eA=="}


def test_a_file_s_name_is_no_text_then_it_is_published_as_far_as_it_is_one() -> None:
    result = failed(f"no file {NOT_TEXT}", {"output": [NOT_TEXT]})
    fields = report(read_envelope(FIELDS), "mini-1", "", result).as_fields()
    made = Report.read({name.encode(): value.encode() for name, value in fields.items()})
    assert made
    assert (made.error, made.result) == ("no file caf?", {"output": ["caf?"]})


def test_published_then_it_is_read_as_it_was() -> None:
    made = report(
        read_envelope(FIELDS), "mini-1", "2026-11-20T12:00:00Z", failed("no", {"n": [1]}), "expired"
    )
    fields = {name.encode(): value.encode() for name, value in made.as_fields().items()}
    assert Report.read(fields) == made
    assert (made.rule, made.as_record()["result"]) == ("expired", {"n": [1]})


@pytest.mark.parametrize("entry", [{}, {b"\xff": b""}, {b"job_id": b"x", b"result": b"{"}])
def test_no_newleaf_wrote_it_then_it_is_no_result(entry: dict[bytes, Any]) -> None:
    assert Report.read(entry) is None


def test_t26_no_mission_then_the_result_says_which_rule_to_who_can_know_it_by_its_id() -> None:
    """threats.md T26"""
    error = MalformedMission(rule="unknown_field", reason="no mission has a field 'url'")
    entry = {b"job_id": b"job-1", b"target": b"mini-1", b"url": b"x"}
    told = report_malformed(entry, "mini-1", "t", error)
    assert told is not None
    assert (told.job_id, told.idempotency_key, told.target) == ("job-1", "job-1", "mini-1")
    assert (told.status, told.rule) == (FAILED, "unknown_field")
    assert "no mission has a field 'url'" in told.error
    assert report_malformed({b"url": b"x"}, "mini-1", "t", error) is None
