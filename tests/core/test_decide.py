"""Whether to move at all."""

from __future__ import annotations

from newleaf.core.decide import decide, suspension
from tests.support.simulated_host import commit_of, release_of

LIVE = commit_of("a")


def test_another_commit_is_moved_to() -> None:
    assert decide(LIVE, release_of("b"), "", {}).move


def test_no_target_is_up_to_date_with_the_channel_s_reason() -> None:
    decision = decide(LIVE, None, "no release is published yet", {})
    assert (decision.move, decision.outcome) == (False, "up_to_date")
    assert decision.reason == "no release is published yet"


def test_the_same_commit_is_up_to_date() -> None:
    assert decide(LIVE, release_of("a"), "", {}).outcome == "up_to_date"


def test_a_denied_commit_is_held_and_the_denial_named() -> None:
    """lessons.md L32, L42"""
    denied = {str(commit_of("b")): {"when": "noon", "why": "it crashed", "attempt": "a-1"}}
    decision = decide(LIVE, release_of("b", "1.1.0"), "", denied)
    assert (decision.move, decision.outcome) == (False, "held")
    assert "it crashed" in decision.reason
    assert "newleaf allow" in decision.reason


def test_a_denial_of_another_commit_is_no_obstacle() -> None:
    assert decide(LIVE, release_of("c"), "", {commit_of("b"): {}}).move


def test_a_suspension_by_hand_says_why_and_outranks_the_settings() -> None:
    said = suspension({"why": "the fair", "at": "noon"}, by_settings=True)
    assert said is not None
    assert "the fair" in said


def test_a_suspension_in_the_settings_counts() -> None:
    assert suspension(None, by_settings=True)
    assert suspension(None, by_settings=False) is None
