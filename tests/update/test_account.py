"""The account of one attempt: what is published, told and remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from newleaf.core.records import Waiting
from newleaf.core.requests import Request
from newleaf.core.states import State
from newleaf.update.account import Account
from newleaf.update.history import History
from tests.support.simulated_host import START, SimulatedFailure, SimulatedHost, commit_of, release_of


@pytest.fixture
def host(tmp_path: Path) -> SimulatedHost:
    return SimulatedHost(tmp_path)


@pytest.fixture
def account(host: SimulatedHost) -> Account:
    parts = host.transaction().parts
    parts.journal.begin("a-1", release_of("a"), release_of("b"), State.FETCH, origin="test")
    return Account(parts)


def test_a_status_names_host_attempt_and_target(host: SimulatedHost, account: Account) -> None:
    account.publish("updating")
    status = host.statuses[-1]
    assert (status.computer, status.app, status.attempt) == ("mini-1", "app", "a-1")
    assert status.target is not None
    assert status.target.commit == commit_of("b")


def test_from_the_restart_on_what_runs_is_unknown(host: SimulatedHost, account: Account) -> None:
    """lessons.md L1"""
    host.reported = release_of("a")
    account.publish("updating")
    account.publish("restarting")
    assert [status.running for status in host.statuses] == [release_of("a"), None]


def test_an_end_is_remembered_with_every_error(host: SimulatedHost, account: Account) -> None:
    """lessons.md L5"""
    errors = [SimulatedFailure(step=step).as_record() for step in ("one", "two")]
    result = account.ends(State.FAILED, "failed", *errors)
    line = History(host.state / "history.jsonl").entries()[-1].line
    assert [error["message"] for error in line["errors"]] == ["one failed, as told", "two failed, as told"]
    assert (line["outcome"], line["origin"], line["kind"]) == ("failed", "test", "update")
    assert result.errors == tuple(errors)
    assert host.statuses[-1].error == "one failed, as told"


def test_an_end_gives_back_what_was_taken(host: SimulatedHost, account: Account) -> None:
    account.ends(State.FAILED, "failed")
    assert "release" in host.calls


def test_waiting_keeps_the_attempt_open(host: SimulatedHost, account: Account) -> None:
    result = account.waits(Waiting("idle", "a job runs", START))
    assert (result.outcome, result.waiting_for[0].gate) == ("waiting", "idle")
    assert account.record.is_open
    assert "release" not in host.calls


def test_a_rollback_has_no_migrations_before_it(host: SimulatedHost) -> None:
    host.migrations = ("1.1.0/001_a.py",)
    host.transaction().update(Request())
    parts = host.transaction().parts
    parts.journal.begin("a-9", release_of("b"), release_of("a"), State.FETCH, kind="rollback")
    host.applied.clear()
    assert Account(parts).pending.names == ()
