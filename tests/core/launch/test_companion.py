"""The agent beside the daemon comes back, later each time it fails early."""

from __future__ import annotations

from newleaf.core.launch.companion import Companion


def test_wanted_then_it_is_due_until_it_runs() -> None:
    agent = Companion(wanted=True)
    assert agent.is_due(0.0)
    agent.started(0.0)
    assert agent.runs
    assert not agent.is_due(100.0)


def test_not_wanted_then_it_is_never_due() -> None:
    assert not Companion(wanted=False).is_due(1e9)


def test_it_fails_early_again_and_again_then_its_pauses_grow_to_a_minute() -> None:
    agent, now, pauses = Companion(wanted=True), 0.0, []
    for _ in range(30):
        agent.started(now)
        agent.ended(now + 1.0)
        pauses.append(agent.start_at - now - 1.0)
        assert not agent.is_due(agent.start_at - 0.01)
        now = agent.start_at
    assert pauses[:8] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]
    assert set(pauses[8:]) == {60.0}


def test_it_lived_a_while_then_it_comes_back_soon() -> None:
    agent = Companion(wanted=True)
    for now in (0.0, 10.0, 20.0):
        agent.started(now)
        agent.ended(now + 1.0)
    agent.started(100.0)
    agent.ended(110.0)
    assert (agent.short_lives, agent.start_at) == (0, 110.5)


def test_it_could_not_be_started_then_that_counts_as_failing_early() -> None:
    agent = Companion(wanted=True)
    agent.ended(0.0)
    agent.ended(1.0)
    assert (agent.short_lives, agent.start_at) == (2, 2.0)
