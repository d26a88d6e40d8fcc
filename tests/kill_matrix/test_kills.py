"""newleaf killed at every record, write, rename, fsync and command of an update: the host arrives all the same.

design.md promise 5; style.md, mender's kill matrix.
"""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.kill_matrix.expected import EXPECTED, MOMENTS, UNTOUCHED
from tests.kill_matrix.scenarios import SCENARIOS
from tests.kill_matrix.story import Bench, Story
from tests.kill_matrix.table import Row, Table

ONCE_MOVED = ("activate", "restart", "done")
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
    found = Counter(event["state"] for run in story.runs for event in run if event["kind"] == among)
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
        last = story.arrive()
        expected = EXPECTED[layout, scenario]
        cut = story.cut_at or 0
        assert story.states[cut:] == expected.following(state, migrated=migrated)
        assert without_waiting(story.words) == without_waiting(expected.words.split())
        check_ending(story, bench)
        event = story.struck_at
        table.add(row(story, f"killed in {state}, before {event['event']} {event['name']}", last.outcome))


def check_right_then(story: Story, state: str) -> None:
    """What must hold at the moment of the kill, before anything has mended anything."""
    base, host, here = story.base, story.host, story.look()
    data, keepsakes, leaflet = here
    assert host.live() in {base.first, base.second}
    assert data["notes.txt"] == story.at_first[0]["notes.txt"]
    assert "app.db" in data, "the database can be read at any time"
    if state in UNTOUCHED:
        assert (host.live(), host.halfway(), here) == (base.first, [], story.at_first)
    if state in ONCE_MOVED:
        assert (host.live(), host.halfway(), leaflet) == (base.second, [], base.scenario.leaflet)
    if state != "install" and state != "revert":
        assert keepsakes == story.at_first[1]
    assert keepsakes[".env"] == story.at_first[1][".env"]
    if state not in {"restart", "done"}:
        assert story.service.starts == [story.service.pid], "the daemon is left alone before the restart"
    status = story.deployment.record("status.json")
    daemon = story.deployment.record("daemon.pid")
    claimed = (status["running"] or {}).get("commit")
    assert claimed in {None, base.first, daemon["commit"]}, "no status tells of what no process has reported"


def check_ending(story: Story, bench: Bench) -> None:
    """Where every host ends, whatever befell it on the way."""
    base, ending, clean = story.base, story.ending, bench.clean(story.host.layout, story.base.scenario).ending
    expected = EXPECTED[story.host.layout, base.scenario.name]
    arrived = base.second if base.scenario.arrives else base.first
    assert (ending.live, ending.running) == (arrived, arrived)
    assert ending.status == expected.status
    assert ending.leaflet == (base.scenario.leaflet if base.scenario.arrives else "1.0.0")
    assert ending.data == (clean.data if base.scenario.arrives else story.at_first[0])
    assert ending.keepsakes == story.at_first[1]
    assert ending.halfway == []
    assert ending.leftovers == clean.leftovers
    assert ending.denied == (set() if base.scenario.arrives else {base.second})
    assert ending.outcomes == [(expected.outcome, True if base.scenario.arrives else None)]


def is_migrated(story: Story) -> bool:
    """Whether the release's migration is on record."""
    path = story.deployment.state / "migration_state.json"
    record = json.loads(path.read_text()) if path.exists() else {}
    return bool(record.get("applied"))


def without_waiting(words: list[str]) -> list[str]:
    """A daemon may have followed before anybody said that it is waited for."""
    return [word for word in words if word != "waiting"]


def row(story: Story, struck: str, outcome: str | None = None) -> Row:
    told = outcome or story.answers[-2].outcome
    return Row(story.host.layout, story.base.scenario.name, struck, story.told(), told, story.seconds)
