"""Errors instead of kills: the outcome says so, nothing is left half done, and the next update arrives."""

from __future__ import annotations

import os

import pytest

from tests.kill_matrix.checks import check_ending, row
from tests.kill_matrix.expected import EXPECTED
from tests.kill_matrix.expected_errors import HURTS, REFUSALS, Hurt, Refusal
from tests.kill_matrix.hurt_programs import hurt
from tests.kill_matrix.scenarios import GOOD, SCENARIOS
from tests.kill_matrix.story import Bench, Story
from tests.kill_matrix.table import Table
from tests.support.deployment import Answer

SHORT_LIMITS = {f"NEWLEAF_UPDATE__{name}_TIMEOUT": "2" for name in ("FETCH", "INSTALL", "MIGRATE")}
REFUSED = [(layout, refusal) for layout, refusals in REFUSALS.items() for refusal in refusals]
HURT = [(layout, case) for layout, cases in HURTS.items() for case in cases]


@pytest.mark.parametrize(
    ("layout", "case"), REFUSED, ids=[f"{layout}-{'-'.join(map(str, case[:4]))}" for layout, case in REFUSED]
)
def test_the_system_refuses(layout: str, case: Refusal, bench: Bench, table: Table) -> None:
    with bench.story(layout, SCENARIOS[case.scenario]) as story:
        fault = {"does": case.errno, "state": case.state, "nth": case.nth, "lasting": case.lasting}
        answer = story.hurt(fault)
        if answer.code == 4:
            story.let_daemon_follow()
            answer = story.hurt(fault)
        check_answer(answer, case)
        check_states(story, case)
        check_ending(story, bench, attempts_before="failed" in f"{case.then} {case.after}")
        lasting = " from then on" if case.lasting else ""
        what = f"{case.errno} in {case.state}, at its event {case.nth}{lasting}"
        table.add(row(story, what, answer.outcome))


@pytest.mark.parametrize(
    ("layout", "case"), HURT, ids=[f"{layout}-{'-'.join(case[:3])}" for layout, case in HURT]
)
def test_a_program_does_not_do_its_work(layout: str, case: Hurt, bench: Bench, table: Table) -> None:
    with bench.story(layout, GOOD) as story:
        limits = SHORT_LIMITS if "hang" in case.how else {}
        if case.program == "migration":
            changed = {"HURT": f"migration {case.how}"}
        else:
            folder = hurt(story.deployment.folder / "hurt", case.program, case.subcommand, case.how)
            changed = {"PATH": f"{folder}{os.pathsep}{story.deployment.variables['PATH']}"}
        answer = story.hurt(None, **changed, **limits)
        check_answer(answer, case)
        check_states(story, case)
        check_ending(
            story, bench, arrives=case.code != 6, attempts_before="failed" in f"{case.then} {case.after}"
        )
        what = " ".join(f"{case.program} {case.subcommand} {case.how}".split())
        table.add(row(story, what, "killed" if case.code == -9 else answer.outcome))


def check_answer(answer: Answer, case: Hurt | Refusal) -> None:
    """One outcome word, one exit code, and the error first in the list."""
    assert answer.code == case.code, answer
    assert "Traceback" not in answer.errors
    if case.code != -9:
        outcomes = {1: "failed", 2: "usage", 6: "rolled_back", 7: "inconsistent"}
        assert (answer.outcome, answer.record["errors"][0]["code"]) == (outcomes[case.code], case.error)


def check_states(story: Story, case: Hurt | Refusal) -> None:
    """What the journal says by then, what is true then, and what it says in the end."""
    expected = EXPECTED[story.host.layout, story.base.scenario.name]
    clean = expected.clean.split()
    reached = clean[: clean.index(case.until) + 1] if case.until else []
    assert story.states == [*reached, *case.then.split()]
    if case.then.endswith(("failed", "rolled_back")) or case.until in ("", "fetch", "verify", "stage"):
        at_first: object = (story.base.first, [], story.at_first)
        assert (story.host.live(), story.host.halfway(), story.look()) == at_first, "nothing half done"
    cut = len(story.states)
    story.arrive()
    assert story.states[cut:] == case.after.replace("*", expected.clean).split()
