"""newleaf killed again and again: it stops by itself and says so, or it arrives once the kills end.

design.md promise 5, "in bounded tries".
"""

from __future__ import annotations

import random

import pytest

from tests.kill_matrix.checks import check_ending, row
from tests.kill_matrix.scenarios import SCENARIOS
from tests.kill_matrix.story import Bench
from tests.kill_matrix.table import Table
from tests.support.repositories import Content

MOST_RUNS = 45
SEEDS = range(1, 7)
KILLS = 5
EVENTS = 60
FOR_EVER = [
    ("in_place", "good", "fetch", "git fetch"),
    ("in_place", "good", "install", "uv sync"),
    ("in_place", "failing migration", "revert", "uv sync"),
    ("slots", "good", "stage", "uv sync"),
]


@pytest.mark.parametrize(("layout", "scenario", "state", "command"), FOR_EVER)
def test_killed_at_one_step_for_ever(
    layout: str, scenario: str, state: str, command: str, bench: Bench, table: Table
) -> None:
    """As by a host that runs out of memory there each time."""
    fault = {"does": "kill", "state": state, "event": "run", "name": command, "nth": 1}
    with bench.story(layout, SCENARIOS[scenario]) as story:
        answer = story.hurt(fault)
        while answer.code == -9 and len(story.runs) < MOST_RUNS:
            answer = story.update(fault)
        assert (answer.code, answer.outcome) == (7, "inconsistent")
        (error,) = answer.record["errors"]
        assert error["code"] == "too_many_records"
        assert "newleaf why" in error["cure"], "it says what to do"
        assert story.states[-1] == "inconsistent"
        status = story.deployment.record("status.json")
        assert (status["status"], status["error"]) == ("inconsistent", error["message"])
        struck = f"killed in {state} at every {command}, then a newer release"
        told = row(story, struck, answer.outcome)
        assert story.update().outcome in {"held", "up_to_date"}, "and it does not begin again"
        newer: dict[str, Content] = {"app.py": "RELEASE = 'third'\n"}
        newer |= {path: None for path in story.base.scenario.files if path.startswith("migrations/")}
        third = story.deployment.remote.commit(newer, "Third release")
        assert story.arrive().outcome == "updated"
        assert (story.host.live(), story.host.halfway()) == (third, [])
        table.add(told)


def test_killed_before_every_restart_it_stays_owed(bench: Bench, table: Table) -> None:
    """lessons.md L27: all is installed, and only the restart is missing; nothing is made again."""
    with bench.story("in_place", SCENARIOS["good"]) as story:
        for _ in range(8):
            assert story.hurt({"does": "kill", "state": "restart", "nth": 2}).code == -9
        assert story.states.count("restart") == 1
        assert story.service.starts == [story.service.pid]
        assert story.arrive().outcome == "updated"
        check_ending(story, bench)
        table.add(row(story, "killed before the restart eight times", "updated"))


@pytest.mark.parametrize("layout", ["in_place", "slots"])
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_anywhere_again_and_again(layout: str, seed: int, bench: Bench, table: Table) -> None:
    dice = random.Random(seed)
    scenario = SCENARIOS[dice.choice(["good", "failing migration"])]
    with bench.story(layout, scenario) as story:
        for _ in range(KILLS):
            story.hurt({"does": "kill", "state": None, "nth": dice.randint(1, EVENTS)})
            story.let_daemon_follow()
        story.arrive()
        check_ending(story, bench)
        table.add(row(story, f"killed {KILLS} times at random (seed {seed})"))
