"""What is given up is kept as it was."""

from __future__ import annotations

import pytest

from newleaf.core.missions.dead_letters import DeadLetter
from newleaf.core.missions.envelope import MAX_BYTES
from tests.core.missions.test_envelope import FIELDS

MISSION = {name.encode(): value.encode() for name, value in FIELDS.items()}


def written(letter: DeadLetter) -> dict[bytes, bytes]:
    return {name.encode(): value.encode() for name, value in letter.as_fields().items()}


@pytest.mark.parametrize("fields", [MISSION, {b"\xff": b"\x00"}, {}])
def test_buried_then_it_is_read_as_it_was(fields: dict[bytes, bytes]) -> None:
    letter = DeadLetter("p:all", "1-0", "mini-1", "2026-11-20T12:00:00Z", "gave_up", "why", fields)
    assert DeadLetter.read(written(letter)) == letter


def test_a_mission_then_it_can_be_ordered_once_more_and_nonsense_cannot() -> None:
    letter = DeadLetter("p:all", "1-0", "mini-1", "t", "gave_up", "why", MISSION)
    assert letter.envelope is not None
    assert letter.envelope.job_id == "job-1"
    assert DeadLetter("p:all", "1-0", "mini-1", "t", "payload", "why", {b"a": b"b"}).envelope is None


def test_written_then_who_looks_for_his_own_finds_its_names() -> None:
    letter = DeadLetter("p:all", "1-0", "mini-1", "t", "unknown_field", "why", MISSION | {b"url": b"x"})
    found = letter.as_fields()
    assert (found["job_id"], found["mission_kind"], found["target"]) == ("job-1", "app:resize", "mini-1")


def test_t24_too_large_then_its_fields_are_not_carried_on() -> None:
    """threats.md T24"""
    letter = DeadLetter("p:all", "1-0", "mini-1", "t", "too_large", "why", {b"a": b"x" * MAX_BYTES})
    found = DeadLetter.read(written(letter))
    assert found is not None
    assert found.fields == {}


@pytest.mark.parametrize("entry", [{}, {b"fields": b"[]"}, {b"fields": b"{}"}, {b"\xff": b""}])
def test_no_newleaf_wrote_it_then_it_is_no_dead_letter(entry: dict[bytes, bytes]) -> None:
    assert DeadLetter.read(entry) is None
