"""The account of one attempt: what is published, told and remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from newleaf.core.errors import DiskFull
from newleaf.core.records import Status, Waiting
from newleaf.core.release import Release
from newleaf.core.requests import Request
from newleaf.core.states import State
from newleaf.update.account import Account
from newleaf.update.history import History
from newleaf.update.journal import Journal
from tests.support.simulated_host import START, Killed, SimulatedFailure, SimulatedHost, commit_of, release_of


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


# --- an end that was not told ---------------------------------------------------------------


def killed_while_telling(host: SimulatedHost, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    """An update that closed its attempt, and died before it had published so."""
    publish = SimulatedHost.publish

    def die(self: SimulatedHost, status: Status) -> None:
        if status.status == word:
            raise Killed
        publish(self, status)

    with monkeypatch.context() as patch:
        patch.setattr(SimulatedHost, "publish", die)
        with pytest.raises(Killed):
            host.transaction().update(Request())


@pytest.mark.parametrize("moment", ["publish", "release"])
def test_a_failure_that_a_kill_left_untold_is_told_by_the_next_update(
    host: SimulatedHost, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """lessons.md L3, L5"""
    host.migrations, host.declared = ("1",), True
    host.fails["migrate 1"] = SimulatedFailure(step="migrate")
    if moment == "publish":
        killed_while_telling(host, monkeypatch, "rolled_back")
    else:
        host.kill_at = moment
        with pytest.raises(Killed):
            host.transaction().update(Request())
    assert host.transaction().update(Request()).outcome == "held"
    assert host.words[-1] == "rolled_back"
    assert host.statuses[-1].error == "migrate failed, as told"
    (entry,) = host.history.entries()
    assert (entry.outcome, entry.line["errors"][0]["message"]) == ("rolled_back", "migrate failed, as told")


@pytest.mark.parametrize("reported", [None, release_of("b", "1.1.0")])
def test_an_arrival_that_a_kill_left_untold_is_told_by_the_next_update(
    host: SimulatedHost, reported: Release | None
) -> None:
    """lessons.md L3, L34: the restart counts, and `rollback` knows the way back."""
    host.kill_at, host.reported = "release", reported
    with pytest.raises(Killed):
        host.transaction().update(Request())
    assert host.transaction().update(Request()).outcome == "up_to_date"
    (entry,) = host.history.entries()
    assert (entry.outcome, entry.restarted) == ("updated", True)
    assert entry.confirmed is (True if reported else None)
    assert host.words[-1] == ("deployed" if reported else "restarting")
    assert host.transaction().rollback(Request(), with_data=False).outcome == "ok"


def test_what_was_told_is_told_once(host: SimulatedHost) -> None:
    host.transaction().update(Request())
    said = list(host.words)
    host.transaction().update(Request())
    assert host.words == said
    assert len(host.history.entries()) == 1


@pytest.mark.parametrize(("fails", "word"), [(False, "restarting"), (True, "rolled_back")])
def test_an_end_that_cannot_be_told_is_a_failure_and_is_told_by_the_next_update(
    host: SimulatedHost, monkeypatch: pytest.MonkeyPatch, fails: bool, word: str
) -> None:
    """A disk that is full just then: the attempt has ended, and no second end is tried."""
    host.migrations, host.declared = ("1",), True
    if fails:
        host.fails["migrate 1"] = SimulatedFailure(step="migrate")
    full = DiskFull(path="/", free="nothing", needed="more")

    def refuse(*_: object) -> None:
        raise full

    with monkeypatch.context() as patch:
        patch.setattr(History, "add", refuse)
        result = host.transaction().update(Request())
    assert (result.outcome, [error["code"] for error in result.errors]) == ("failed", ["disk_full"])
    assert host.transaction().update(Request()).outcome == ("held" if fails else "up_to_date")
    assert host.words[-1] == word
    (entry,) = host.history.entries()
    assert entry.outcome == ("rolled_back" if fails else "updated")


def test_a_way_back_that_cannot_be_closed_stays_open(
    host: SimulatedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.migrations, host.declared = ("1",), True
    host.fails["migrate 1"] = SimulatedFailure(step="migrate")
    append = Journal.append

    def refuse(self: Journal, state: str, **detail: object) -> None:
        if state == State.ROLLED_BACK:
            raise DiskFull(path="/", free="nothing", needed="more")
        append(self, state, **detail)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", refuse)
        assert host.transaction().update(Request()).outcome == "failed"
    assert host.transaction().update(Request()).outcome == "rolled_back"
