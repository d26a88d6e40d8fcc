"""A process as plain data."""

from __future__ import annotations

import json

import pytest

from newleaf.core.launch.child import INCOMING, SERVING, Child
from newleaf.core.launch.plan import OVERLAP, SEQUENTIAL, Health
from tests.support.fake_daemon import commit_of, plan_of


@pytest.mark.parametrize(
    ("role", "handover", "gated", "health"),
    [
        (SERVING, SEQUENTIAL, False, False),
        (SERVING, OVERLAP, False, False),
        (INCOMING, SEQUENTIAL, True, False),
        (INCOMING, OVERLAP, True, True),
    ],
)
def test_who_comes_beside_another_is_gated_and_in_an_overlap_has_its_own_socket(
    role: str, handover: str, gated: bool, health: bool
) -> None:
    child = Child(1, plan_of(handover=handover), role, 5.0)
    assert (child.is_gated, child.has_health) == (gated, health)
    assert child.commit == commit_of("A")


def test_let_in_then_it_has_the_time_of_a_start_from_then_on() -> None:
    child = Child(1, plan_of(health=Health(ready=10.0)), INCOMING, 5.0)
    assert child.ready_by == 15.0
    child.let_in(100.0)
    assert (child.began, child.ready_by, child.is_gated) == (100.0, 110.0, False)


def test_written_down_and_read_again_then_it_is_the_same() -> None:
    child = Child(3, plan_of("B", handover=OVERLAP, listen=("127.0.0.1:80",)), INCOMING, 5.0)
    child.ready_at, child.reason, child.passed = 6.5, "it answers 500", 2
    again = Child.read(json.loads(json.dumps(child.as_record())))
    assert vars(again) == vars(child)
    assert again.plan == child.plan


def test_a_record_of_before_a_field_was_known_then_the_field_begins_as_with_a_new_process() -> None:
    record = Child(3, plan_of(), SERVING, 5.0).as_record()
    assert Child.read(record).fault == ""
    assert Child.read({**record, "of_a_newer_newleaf": 1}).number == 3
