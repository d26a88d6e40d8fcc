"""A mission as an order keeps it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from newleaf.core.missions.kept import Kept, kept_of, key_of
from newleaf.core.missions.mission_errors import MalformedMission
from newleaf.core.missions.results import SUCCESS, MissionResult
from newleaf.core.orders import Order
from tests.core.missions.test_envelope import FIELDS, read

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize("result", [None, MissionResult(SUCCESS, None, {"n": 1})])
def test_kept_then_it_is_read_as_it_was(result: MissionResult | None) -> None:
    kept = Kept(FIELDS, "p:all/1-0", 2, result, "gave_up")
    order = Order("k", "job-1", "mission", "mission", NOON, mission=kept.as_record())
    assert kept_of(order) == kept
    assert kept_of(order).envelope.job_id == "job-1"


def test_ordered_again_under_one_idempotency_key_then_it_is_one_order() -> None:
    assert key_of(read(idempotency_key="once")) == key_of(read(job_id="job-2", idempotency_key="once"))


def test_nothing_is_kept_then_it_is_no_mission() -> None:
    with pytest.raises(MalformedMission):
        _ = kept_of(Order("k", "i", "mission", "mission", NOON)).envelope
