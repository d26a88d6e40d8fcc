"""The gatekeeper: facts are gathered and judged, the lease is taken last, and no job slips in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from newleaf.agent.gatekeeper import GateFacts, Gatekeeper
from newleaf.agent.idle import IdleSources, ask_idle
from newleaf.agent.jobs import busy
from newleaf.core.gates import ORDER, Unknown
from newleaf.core.job_errors import AppBusy, RestartBudgetSpent
from newleaf.core.records import AttemptRecord, JournalRecord
from newleaf.core.release import CommitId, Release
from newleaf.core.requests import Request
from newleaf.core.settings.sections import Gates
from newleaf.core.states import State
from newleaf.core.verdict import parse_budget
from newleaf.system.busy_lock import open_shared, probe, try_shared
from newleaf.system.commands import Runner
from newleaf.system.http import HttpClient
from newleaf.system.lease import LeaseClient
from tests.support.fleetlock_server import fleetlock
from tests.support.http_server import Answer, serving

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
OLD, NEW = Release(CommitId("a" * 40), "1.2.0"), Release(CommitId("b" * 40), "1.3.0")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


def attempt(*states: tuple[State, datetime], kind: str = "update") -> AttemptRecord:
    entered = states or ((State.STAGE, NOW),)
    return AttemptRecord(
        tuple(JournalRecord("a1", at, word, OLD, NEW, {"kind": kind}) for word, at in entered)
    )


def keeper(state: Path, lease: LeaseClient | None = None, **settings: object) -> Gatekeeper:
    """A gatekeeper for a release of an hour ago, on a host that never updated."""
    gates = Gates(**settings)  # type: ignore[arg-type]
    sources = IdleSources(state, gates, state, {"PATH": "/usr/bin:/bin"}, Runner(), HttpClient())
    facts = GateFacts(
        "mini-1",
        lambda is_quiet: ask_idle(sources, is_quiet=is_quiet),
        lambda _: NOW - HOUR,
        lambda: None,
        lambda: NOW,
    )
    return Gatekeeper(state, gates, facts, lease, print)


def gates_before(found: Gatekeeper, before: str, request: Request | None = None) -> list[str]:
    waiting = found.judge(attempt((State.WAIT, NOW - HOUR)), request or Request(), before)
    return [entry.gate for entry in waiting]


def may_begin(state: Path) -> bool:
    """Whether a job could begin now."""
    with open_shared(state) as job:
        return try_shared(job)


@contextmanager
def leased(
    state: Path, slots: int = 1, **settings: object
) -> Iterator[tuple[Gatekeeper, dict[str, set[str]]]]:
    with fleetlock(slots) as server:
        client = LeaseClient(server.url, "mini-1", HttpClient())
        yield keeper(state, client, lease_url=server.url, **settings), server.owners


# --- judging ----------------------------------------------------------------------------


def test_gates_that_hold_keep_nobody_waiting(state: Path) -> None:
    assert gates_before(keeper(state), "install") == []


def test_facts_reach_their_gates(state: Path) -> None:
    found = keeper(state)
    found.facts = replace(found.facts, last_update_at=lambda: NOW - HOUR)
    found.gates = Gates(window=("01:00-05:00",), min_age=7200.0, spread=3.6e9, cooldown=7200.0)
    with busy(state_dir=state):
        assert gates_before(found, "install") == ["idle", "window", "age", "cooldown", "spread"]
        assert gates_before(found, "install", Request(now=True, force_busy=True)) == ["spread"]


def test_fact_that_is_unknown_keeps_the_gate_shut(state: Path) -> None:
    """lessons.md L26"""
    found = keeper(state, min_age=60.0)
    found.facts = replace(found.facts, released_at=lambda _: Unknown("the remote cannot be reached"))
    waiting = found.judge(attempt(), Request(), "install")
    assert waiting[0].reason == "when the release appeared is not known: the remote cannot be reached"


def test_wait_counts_from_the_journal_across_processes(state: Path) -> None:
    """lessons.md L26, L27: each try of a timer is another process."""
    with busy(state_dir=state):
        assert gates_before(keeper(state, max_wait=3601.0), "install") == ["idle"]
        assert gates_before(keeper(state, max_wait=3600.0), "install") == []
        waits = attempt((State.WAIT, NOW - 5 * HOUR), (State.RESTART, NOW - HOUR))
        assert keeper(state, max_wait=3600.0).judge(waits, Request(), "restart") == ()
        assert keeper(state, max_wait=7200.0).judge(waits, Request(), "restart") != ()


def test_gate_says_since_when_it_has_held_the_attempt_back(state: Path) -> None:
    """lessons.md L6"""
    found = keeper(state)
    found.facts = replace(found.facts, not_holding_since=lambda _: {"idle": NOW - 3 * HOUR})
    with busy(state_dir=state):
        assert found.judge(attempt(), Request(), "install")[0].since == NOW - 3 * HOUR


@pytest.mark.parametrize("kind", ["rollback", "repair"])
def test_way_back_and_repair_wait_for_jobs_alone(state: Path, kind: str) -> None:
    found = keeper(state, window=("01:00-05:00",), min_age=7200.0, lease_url="http://127.0.0.1:1")
    assert found.judge(attempt(kind=kind), Request(), "install") == ()
    with busy(state_dir=state):
        waiting = found.judge(attempt(kind=kind), Request(), "install")
    assert [entry.gate for entry in waiting] == ["idle"]


def test_every_gate_is_surveyed_and_no_lease_taken(state: Path) -> None:
    """lessons.md L6"""
    with leased(state) as (found, owners):
        reports = found.survey(NEW, None)
        assert [report.gate for report in reports] == list(ORDER)
        assert [report.gate for report in reports if not report.holds] == ["lease"]
        assert owners == {}


# --- the budget -------------------------------------------------------------------------


def spent_keeper(state: Path) -> Gatekeeper:
    found = keeper(state)
    found.budget = parse_budget("2 in 30m")
    restarts = [NOW - timedelta(minutes=5), NOW - timedelta(minutes=20)]
    found.facts = replace(found.facts, restarts=lambda: restarts)
    return found


def test_spent_budget_stops_an_update_before_anything_is_touched(state: Path) -> None:
    """lessons.md L34: stop, alarm, stay put."""
    with pytest.raises(RestartBudgetSpent) as spent:
        spent_keeper(state).judge(attempt(), Request(), "install")
    assert spent.value.exit_code == 7
    assert "2 times in 30m: no more restarts before 2026-11-20T12:10:00Z" in spent.value.message


def test_spent_budget_lets_a_person_go_back_and_a_begun_restart_end(state: Path) -> None:
    """lessons.md L34"""
    assert spent_keeper(state).judge(attempt(kind="rollback"), Request(), "install") == ()
    assert gates_before(spent_keeper(state), "restart") == []


def test_spent_budget_is_named_by_why(state: Path) -> None:
    """lessons.md L6, L34"""
    report = spent_keeper(state).survey(NEW, None)[-1]
    assert (report.gate, report.holds) == ("restart", False)
    assert report.reason == "the restart budget is spent until 2026-11-20T12:10:00Z"


def test_budget_with_room_or_none_stops_nothing(state: Path) -> None:
    found = spent_keeper(state)
    found.budget = parse_budget("3 in 30m")
    assert gates_before(found, "install") == []
    found.budget = None
    assert gates_before(found, "install") == []


# --- quiet ------------------------------------------------------------------------------


def test_no_job_begins_from_the_install_to_the_restart(state: Path) -> None:
    """lessons.md L26"""
    found = keeper(state)
    assert gates_before(found, "install") == []
    with found.quiet():
        assert not may_begin(state)
        assert gates_before(found, "restart") == [], "what keeps jobs out is no job"
    assert may_begin(state)


def test_job_that_begins_after_the_judgement_is_waited_for(state: Path) -> None:
    """lessons.md L26: nothing has been touched yet."""
    found = keeper(state)
    assert gates_before(found, "install") == []
    with busy(state_dir=state), pytest.raises(AppBusy) as late, found.quiet():
        pytest.fail("the tree would be touched while a job runs")
    assert "busy.lock is held by" in late.value.message


def test_lease_is_given_back_when_a_job_was_first(state: Path) -> None:
    with leased(state) as (found, owners):
        assert gates_before(found, "install") == []
        assert owners == {"default": {"mini-1"}}
        with busy(state_dir=state), pytest.raises(AppBusy), found.quiet():
            pytest.fail("the tree would be touched while a job runs")
        assert owners == {"default": set()}


def test_app_that_is_never_idle_is_touched_once_the_longest_wait_is_over(state: Path) -> None:
    """lessons.md L26"""
    found = keeper(state, max_wait=60.0)
    with busy(state_dir=state):
        assert gates_before(found, "install") == []
        with found.quiet():
            pass


def test_resumed_attempt_goes_on_though_a_job_runs(state: Path) -> None:
    """design.md promise 5: a half-moved tree is worse for a job than a whole one."""
    found = keeper(state)
    with busy(state_dir=state), found.quiet():
        assert not probe(state).is_idle


def test_reversal_goes_on_though_a_job_slipped_in(state: Path) -> None:
    """The judgement counts once: what has been touched must be finished or undone."""
    found = keeper(state)
    assert gates_before(found, "install") == []
    with found.quiet():
        pass
    with busy(state_dir=state), found.quiet():
        assert not probe(state).is_idle


def test_failure_inside_lets_jobs_begin_again(state: Path) -> None:
    found = keeper(state)
    with pytest.raises(ZeroDivisionError), found.quiet():
        raise ZeroDivisionError
    assert may_begin(state)
    with busy(state_dir=state):
        assert gates_before(found, "install") == ["idle"]


# --- the lease --------------------------------------------------------------------------


def test_lease_is_taken_last_and_given_back(state: Path) -> None:
    with leased(state, window=("01:00-05:00",)) as (found, owners):
        assert gates_before(found, "install") == ["window", "lease"]
        assert owners == {}, "a host that waits for its window must not keep others from their lease"
        assert gates_before(found, "install", Request(now=True)) == []
        assert owners == {"default": {"mini-1"}}
        assert gates_before(found, "restart", Request(now=True)) == []
        found.release()
        assert owners == {"default": set()}


def test_lease_of_another_host_is_waited_for(state: Path) -> None:
    with leased(state) as (found, owners):
        owners["default"] = {"mini-2"}
        waiting = found.judge(attempt(), Request(), "install")
        assert [entry.gate for entry in waiting] == ["lease"]
        assert "all slots are taken" in waiting[0].reason


def test_lease_server_that_fails_grants_none(state: Path) -> None:
    """lessons.md L26: an error denies."""
    with serving(lambda _: Answer(500)) as server:
        found = keeper(state, LeaseClient(server.url, "mini-1", HttpClient()), lease_url=server.url)
        assert gates_before(found, "install") == ["lease"]


def test_lease_that_cannot_be_given_back_is_told(state: Path) -> None:
    said: list[str] = []
    with serving(lambda _: Answer(500)) as server:
        found = keeper(state, LeaseClient(server.url, "mini-1", HttpClient()), lease_url=server.url)
        found.on_problem = said.append
        found.release()
    assert said == ["the lease could not be given back: the lease server at 127.0.0.1 says no (500)"]


def test_without_a_lease_there_is_nothing_to_give_back(state: Path) -> None:
    keeper(state).release()
