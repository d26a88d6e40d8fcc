"""What happens and what is done are plain values, and each is understood by who is told of it."""

from __future__ import annotations

from typing import get_args

import pytest

from newleaf.core.launch import events as e
from newleaf.core.launch.counters import Counters
from newleaf.core.launch.supervision import Supervision
from tests.support.fake_daemon import plan_of

EVENTS = {
    e.PlanMade: e.PlanMade(plan_of()),
    e.PlanFailed: e.PlanFailed("no command"),
    e.Exited: e.Exited(1, 0),
    e.StartFailed: e.StartFailed(1, "no such file"),
    e.Notified: e.Notified(1, {"READY": "1"}),
    e.Checked: e.Checked(1, None),
    e.Handover: e.Handover(1, "x", "c"),
    e.Hold: e.Hold(1, "x"),
    e.Reload: e.Reload(1),
    e.Settled: e.Settled(),
    e.Hung: e.Hung(1),
    e.Stop: e.Stop(),
    e.Tick: e.Tick(),
}


def test_there_is_one_of_every_kind() -> None:
    assert set(EVENTS) == set(get_args(e.Event))


@pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: type(event).__name__)
def test_event_that_comes_first_of_all_is_answered_by_actions(event: e.Event) -> None:
    done = Supervision(Counters()).handle(event, e.Now(1.0, 2.0))
    assert {type(action) for action in done} <= set(get_args(e.Action))
    assert done
