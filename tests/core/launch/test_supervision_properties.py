"""Whatever happens in whatever order: one serves, nobody is let in too early, everybody gets an answer.

NEWLEAF_SOAK=N looks N times as long.
"""

from __future__ import annotations

from hypothesis.stateful import run_state_machine_as_test

from tests.support.properties import bounded
from tests.support.random_life import RandomLife


def test_anything_happens_then_the_rules_hold_and_in_the_end_a_healthy_process_serves() -> None:
    run_state_machine_as_test(RandomLife, settings=bounded(30, 25))
