"""The processes of one daemon: how many there may be, and what is announced of them."""

from __future__ import annotations

import pytest

from newleaf.core.launch import events as e
from newleaf.core.launch.child import INCOMING, LEAVING, SERVING
from newleaf.core.launch.children import AWAY_SECONDS, Children, how_it_ended
from newleaf.core.launch.counters import Counters
from newleaf.core.launch.plan import OVERLAP, SEQUENTIAL, Health
from tests.support.fake_daemon import counters_of, plan_of


def children_of(*roles: str, handover: str = SEQUENTIAL, counters: Counters | None = None) -> Children:
    children = Children(counters or Counters())
    for role in roles:
        children.start(plan_of(handover=handover), INCOMING if role == LEAVING else role)
        if role == LEAVING:
            children.dismiss(children.all[children.started])
    children.done = []
    return children


@pytest.mark.parametrize(
    ("roles", "handover", "new", "clear"),
    [
        ((), SEQUENTIAL, None, True),
        ((LEAVING,), SEQUENTIAL, None, False),
        ((LEAVING,), OVERLAP, None, True),
        ((LEAVING,), OVERLAP, OVERLAP, True),
        ((LEAVING,), OVERLAP, SEQUENTIAL, False),
        ((LEAVING,), SEQUENTIAL, OVERLAP, False),
        ((SERVING,), OVERLAP, OVERLAP, False),
        ((INCOMING,), OVERLAP, OVERLAP, True),
    ],
)
def test_who_is_there_then_whether_one_that_serves_may_be_started(
    roles: tuple[str, ...], handover: str, new: str | None, clear: bool
) -> None:
    """The exclusive are never two."""
    plan = plan_of(handover=new) if new else None
    assert children_of(*roles, handover=handover).are_clear(plan) is clear


@pytest.mark.parametrize(
    ("old", "new", "waits", "joins"),
    [
        (OVERLAP, OVERLAP, False, True),
        (SEQUENTIAL, SEQUENTIAL, False, False),
        (SEQUENTIAL, SEQUENTIAL, True, True),
        (OVERLAP, SEQUENTIAL, True, False),
        (SEQUENTIAL, OVERLAP, True, False),
    ],
)
def test_how_both_are_handed_over_then_whether_one_may_come_beside_the_other(
    old: str, new: str, waits: bool, joins: bool
) -> None:
    children = children_of(SERVING, handover=old, counters=counters_of("A", waits=waits))
    assert children.may_join(plan_of(handover=new)) is joins
    assert not children_of(handover=old).may_join(plan_of(handover=new))


def test_asked_to_leave_twice_then_it_is_told_once_and_keeps_its_time() -> None:
    children = children_of(SERVING)
    child = children.all[1]
    children.dismiss(child, 5.0)
    children.now = e.Now(3.0, 3.0)
    children.dismiss(child)
    assert children.done == [e.Terminate(1)]
    assert child.leaves_by == 5.0


def test_a_failed_one_is_given_no_longer_than_it_would_have_anyway() -> None:
    children = Children(Counters())
    children.start(plan_of(stop_seconds=1.0), SERVING)
    children.fail(children.all[1], "it answers 500")
    assert children.all[1].leaves_by == 1.0
    assert children.have_failed


def test_announced_then_for_as_long_as_the_slowest_may_take_to_stop_and_start() -> None:
    children = Children(Counters())
    children.announce("nobody runs")
    children.start(plan_of(stop_seconds=7.0, health=Health(ready=20.0)), SERVING)
    children.start(plan_of(stop_seconds=1.0, health=Health(ready=2.0)), INCOMING)
    children.announce("two run")
    assert [did.seconds for did in children.done if isinstance(did, e.Announce)] == [AWAY_SECONDS, 27.0]


@pytest.mark.parametrize(
    ("status", "said"), [(0, "it ended with exit code 0"), (-9, "it was ended by signal 9")]
)
def test_how_it_ended_is_said(status: int, said: str) -> None:
    assert how_it_ended(status) == said
