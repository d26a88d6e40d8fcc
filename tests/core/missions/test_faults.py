"""A fault names its rule."""

from __future__ import annotations

from newleaf.core.missions.faults import Fault


def test_two_of_one_rule_and_reason_are_one() -> None:
    assert Fault("expired", "why") == Fault("expired", "why")
