"""A supervision as a record, and back. That it goes on alike from every state: `FakeDaemon` sees to it."""

from __future__ import annotations

import json

import pytest

from newleaf.core.launch import events as e
from newleaf.core.launch.companion import Companion
from newleaf.core.launch.counters import Counters
from newleaf.core.launch.plan import OVERLAP, SEQUENTIAL
from newleaf.core.launch.resumption import (
    companion_record,
    read_companion,
    read_supervision,
    supervision_record,
)
from newleaf.core.launch.supervision import Supervision
from tests.support.fake_daemon import Behaviour, FakeDaemon, commit_of, counters_of, plan_of


@pytest.mark.parametrize(
    "order", [e.Handover(7, "to B", commit_of("B")), e.Handover(None, "x", "c"), e.Reload(8), e.Hold(9, "x")]
)
def test_an_order_that_is_waited_for_then_it_still_is(order: e.Handover | e.Reload | e.Hold) -> None:
    supervision = Supervision(Counters())
    if isinstance(order, e.Hold):
        supervision.holder = order
    else:
        supervision.order = order
    again = read_supervision(json.loads(json.dumps(supervision_record(supervision))))
    assert (again.order, again.holder) == (supervision.order, supervision.holder)


@pytest.mark.parametrize("handover", [OVERLAP, SEQUENTIAL])
def test_loaded_anew_in_the_middle_of_a_handover_then_it_goes_on(handover: str) -> None:
    daemon = FakeDaemon(counters_of("A"), handover=handover)
    daemon.behaves["A"] = Behaviour(stops=2.0)
    daemon.begin(1).hand_over("B").pass_time(0.1)
    assert daemon.supervision.order
    daemon.supervision = daemon.supervision_again()
    assert daemon.until("tell 7 confirmed") < 10


def test_everything_a_supervision_knows_is_in_its_record() -> None:
    supervision = Supervision(Counters())
    supervision.next, supervision.watchers, supervision.verdict = plan_of(), [1, 2], "it answers 500"
    for number, name in enumerate(vars(supervision)):
        if isinstance(vars(supervision)[name], bool):
            setattr(supervision, name, True)
        elif isinstance(vars(supervision)[name], int | float):
            setattr(supervision, name, 100 + number)
    again = read_supervision(json.loads(json.dumps(supervision_record(supervision))))
    for name in set(vars(supervision)) - {"children", "counters"}:
        assert getattr(again, name) == getattr(supervision, name)
    assert again.children.counters is again.counters


def test_a_record_of_another_newleaf_then_what_it_does_not_know_begins_anew() -> None:
    record = supervision_record(Supervision(Counters()))
    del record["plain"]["in_a_row"]
    again = read_supervision({**record, "plain": {**record["plain"], "of_a_newer_newleaf": 1}})
    assert again.in_a_row == 0
    assert not hasattr(again, "of_a_newer_newleaf")


def test_an_agent_is_read_again_as_it_was() -> None:
    agent = Companion(wanted=True)
    agent.started(1.0)
    agent.ended(2.0)
    record = json.loads(json.dumps(companion_record(agent)))
    assert vars(read_companion(record)) == vars(agent)
    assert read_companion({"wanted": False, "of_a_newer_newleaf": 1}).start_at == 0.0
