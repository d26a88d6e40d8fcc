"""The way back of an attempt; most of it is seen through test_attempt.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from newleaf.core.errors import DiskFull, InconsistentError, Unhealthy
from newleaf.core.states import State
from newleaf.update.account import Account
from newleaf.update.reversal import revert, revert_again
from tests.support.simulated_host import SimulatedFailure, SimulatedHost, commit_of, release_of


@pytest.fixture
def host(tmp_path: Path) -> SimulatedHost:
    return SimulatedHost(tmp_path)


def account_in(host: SimulatedHost, *states: State) -> Account:
    parts = host.transaction().parts
    parts.journal.begin("a-1", release_of("a"), release_of("b"), State.FETCH)
    for state in (State.VERIFY, State.STAGE, *states):
        parts.journal.append(state)
    host.live_release = release_of("b")
    host.dependencies = commit_of("b")
    return Account(parts)


def test_tree_and_dependencies_go_back(host: SimulatedHost) -> None:
    result = revert(account_in(host, State.INSTALL), SimulatedFailure(step="install"))
    assert result.outcome == "failed"
    assert (host.live_release.commit, host.dependencies) == (commit_of("a"), commit_of("a"))


def test_data_is_restored_only_when_a_migration_failed_after_a_snapshot(host: SimulatedHost) -> None:
    revert(account_in(host, State.SNAPSHOT, State.INSTALL), SimulatedFailure(step="install"))
    assert "restore" not in host.calls


def test_restored_data_denies_the_release(host: SimulatedHost) -> None:
    """lessons.md L42"""
    account = account_in(host, State.SNAPSHOT, State.INSTALL, State.MIGRATE)
    assert revert(account, SimulatedFailure(step="migrate")).outcome == "rolled_back"
    assert host.calls.index("restore") < host.calls.index("place a"), "data first, while its code is here"
    assert commit_of("b") in account.parts.decisions.denied


@pytest.mark.parametrize(
    "steps", [(State.INSTALL, State.MIGRATE, State.ACTIVATE), (State.MIGRATE, State.INSTALL)]
)
def test_a_failure_after_the_migrations_takes_the_data_back_and_denies_nothing(
    host: SimulatedHost, steps: tuple[State, ...]
) -> None:
    """Promise 4: old code on data that only the new one understands is no way back."""
    account = account_in(host, State.SNAPSHOT, *steps)
    assert revert(account, SimulatedFailure(step="git")).outcome == "failed"
    assert "restore" in host.calls
    assert not account.parts.decisions.denied


def test_what_the_host_refused_is_no_fault_of_the_release(host: SimulatedHost) -> None:
    account = account_in(host, State.SNAPSHOT, State.INSTALL, State.MIGRATE)
    assert revert(account, DiskFull(path="/", free="nothing", needed="more")).outcome == "failed"
    assert "restore" in host.calls
    assert not account.parts.decisions.denied


def test_a_reversal_that_fails_stays_open_and_is_finished_later(host: SimulatedHost) -> None:
    account = account_in(host, State.INSTALL)
    host.fails["place a"] = InconsistentError(reason="in the way")
    assert revert(account, SimulatedFailure(step="install")).outcome == "inconsistent"
    assert account.record.state is State.REVERT
    host.fails.clear()
    assert revert_again(account).outcome == "failed"
    assert host.live_release.commit == commit_of("a")


UNHEALTHY = Unhealthy(name="1.1.0", reason="it left with 1 in its probation")
INSTALLED = (State.INSTALL, State.MIGRATE, State.ACTIVATE, State.RESTART)


def test_an_unhealthy_release_goes_with_its_data_and_is_denied(host: SimulatedHost) -> None:
    """Promise 4, lessons.md L32"""
    account = account_in(host, State.SNAPSHOT, *INSTALLED, State.CONFIRM)
    result = revert(account, UNHEALTHY)
    assert (result.outcome, result.errors[0]["code"]) == ("rolled_back", "unhealthy")
    assert "restore" in host.calls
    assert host.live_release.commit == commit_of("a")
    assert commit_of("b") in account.parts.decisions.denied


def test_an_unhealthy_release_without_data_is_denied_too(host: SimulatedHost) -> None:
    account = account_in(host, *INSTALLED)
    assert revert(account, UNHEALTHY).outcome == "rolled_back"
    assert "restore" not in host.calls
    assert commit_of("b") in account.parts.decisions.denied


def test_killed_on_the_way_back_an_unhealthy_release_is_denied_all_the_same(host: SimulatedHost) -> None:
    """lessons.md L42"""
    account = account_in(host, *INSTALLED)
    host.fails["place a"] = InconsistentError(reason="in the way")
    revert(account, UNHEALTHY)
    host.fails.clear()
    assert revert_again(account).outcome == "rolled_back"
    assert commit_of("b") in account.parts.decisions.denied
