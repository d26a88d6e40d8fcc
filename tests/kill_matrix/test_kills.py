"""newleaf killed at every record, write, rename, fsync and command of an update: the host arrives.

design.md promise 5; style.md, mender's kill matrix.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.kill_matrix.checks import check_ending, check_right_then, check_words, is_migrated, row
from tests.kill_matrix.expected import EXPECTED, MOMENTS
from tests.kill_matrix.scenarios import SCENARIOS
from tests.kill_matrix.story import Bench
from tests.kill_matrix.table import Table

CASES = [
    (layout, scenario, state, among, nth)
    for (layout, scenario, among), states in MOMENTS.items()
    for state, count in states.items()
    for nth in range(1, count + 1)
]


@pytest.mark.parametrize(("layout", "scenario"), EXPECTED)
def test_nothing_disturbed(layout: str, scenario: str, bench: Bench, table: Table) -> None:
    story, expected = bench.clean(layout, SCENARIOS[scenario]), EXPECTED[layout, scenario]
    assert story.states == expected.clean.split()
    assert story.words == expected.words.split()
    check_ending(story, bench)
    table.add(row(story, "nothing"))


@pytest.mark.parametrize(("layout", "scenario", "among"), MOMENTS)
def test_every_moment_has_its_case(layout: str, scenario: str, among: str, bench: Bench) -> None:
    """A number that is too small here: raise it in MOMENTS, so that the new write gets its kill."""
    story = bench.clean(layout, SCENARIOS[scenario])
    # A state may last longer than a run; moments are numbered in each.
    found: Counter[str] = Counter()
    for run in story.runs:
        found |= Counter(event["state"] for event in run if event["kind"] == among)
    declared = MOMENTS[layout, scenario, among]
    assert {state: found[state] for state in declared if found[state] > declared[state]} == {}


@pytest.mark.parametrize(("layout", "scenario", "state", "among", "nth"), CASES)
def test_killed(
    layout: str, scenario: str, state: str, among: str, nth: int, bench: Bench, table: Table
) -> None:
    with bench.story(layout, SCENARIOS[scenario]) as story:
        fault = {"does": "kill", "state": state, "among": among, "nth": nth}
        killed = story.hurt(fault)
        if killed.code == 4:
            # The restart is owed: what follows it is told by the next update.
            story.let_daemon_follow()
            killed = story.hurt(fault)
        if killed.code != -9:
            pytest.skip("there is no such moment on this machine")
        check_right_then(story, state)
        migrated = is_migrated(story)
        last = story.arrive(is_over=nth > 1)
        expected = EXPECTED[layout, scenario]
        cut = story.cut_at or 0
        assert story.states[cut:] == expected.following(state, migrated=migrated)
        check_words(story, state)
        check_ending(story, bench)
        event = story.struck_at
        table.add(row(story, f"killed in {state}, before {event['event']} {event['name']}", last.outcome))
