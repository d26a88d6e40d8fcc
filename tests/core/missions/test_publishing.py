"""How an order is made, and made once more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from newleaf.core.missions.mission_errors import MalformedMission
from newleaf.core.missions.publishing import Wish, make_order, wish_again
from newleaf.core.missions.signatures import MissionKey, find_fault, sequence_of

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HQ = MissionKey("hq", b"h" * 32, broadcast=True)


def test_wished_then_all_of_it_is_in_the_order() -> None:
    made = make_order(
        Wish(kind="app:x", target="role=a", task="t", context={"n": 1}, priority=3, timeout_seconds=1.25,
             max_retries=0, life=timedelta(hours=1), idempotency_key="once"),
        "job-1", NOON, "p", None,
    )  # fmt: skip
    envelope = made.envelope
    assert (envelope.job_id, envelope.idempotency_key, envelope.mission_kind) == ("job-1", "once", "app:x")
    assert (envelope.priority, envelope.timeout_seconds, envelope.max_retries) == (3, 1.25, 0)
    assert (envelope.task, envelope.context, envelope.signature) == ("t", {"n": 1}, "")
    assert envelope.expires_at == NOON + timedelta(hours=1)


def test_signed_then_its_number_grows_with_the_time() -> None:
    first, second = (make_order(Wish(), "j", NOON + timedelta(microseconds=n), "p", HQ) for n in (0, 1))
    assert find_fault(first.fields, first.envelope, "p", {"hq": HQ}) is None
    numbers = [said[1] for made in (first, second) if (said := sequence_of(made.envelope))]
    assert numbers[0] + 1 == numbers[1]


@pytest.mark.parametrize(
    "wish", [Wish(target="a b"), Wish(kind="a b"), Wish(life=timedelta(days=15)), Wish(task="x" * 70_000)]
)
def test_no_host_would_take_it_then_it_is_not_even_published(wish: Wish) -> None:
    with pytest.raises(MalformedMission):
        make_order(wish, "job-1", NOON, "p", None)


def test_once_more_then_the_same_under_another_job_and_key() -> None:
    wish = Wish(kind="app:x", target="*", context={"n": 1}, priority=2, idempotency_key="once")
    again = make_order(
        wish_again(make_order(wish, "job-1", NOON, "p", None).envelope), "job-2", NOON, "p", None
    )
    assert (again.envelope.idempotency_key, again.envelope.context) == ("job-2", {"n": 1})
    assert (again.envelope.priority, again.envelope.target.text) == (2, "*")
