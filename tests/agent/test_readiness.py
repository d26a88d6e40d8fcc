"""What a daemon reports of itself: what it has loaded, what that confirms, and what is published of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from newleaf.agent.readiness import Readiness
from newleaf.core.confirmation import CHECKOUT_MOVES
from newleaf.core.errors import CorruptFile
from newleaf.core.records import AttemptRecord, Identity, JournalRecord, Status
from newleaf.core.release import Release
from newleaf.core.states import State
from newleaf.system import planned_restart, process_table, uptime
from newleaf.system.restarts import raise_flag, read_daemon
from newleaf.update.history import History
from tests.support.repositories import Checkout, Remote

OWN = process_table.find(os.getpid())
assert OWN
STARTED = OWN.started_at
SECOND = timedelta(seconds=1)
BEFORE, AFTER = STARTED - timedelta(hours=1), STARTED + timedelta(minutes=1)


@dataclass
class Daemon:
    """This process as the daemon of a checkout that is at its second commit."""

    state: Path
    checkout: Checkout
    commits: list[Release]
    moves: tuple[State, ...] = CHECKOUT_MOVES
    published: dict[str, Any] | None = None
    words: list[Status] = field(default_factory=list)
    cleared: list[Release] = field(default_factory=list)
    asked_to_leave: list[AttemptRecord] = field(default_factory=list)
    clock: datetime = AFTER + timedelta(minutes=1)

    @property
    def history(self) -> History:
        return History(self.state / "history.jsonl")

    def report(self, *attempts: AttemptRecord) -> Release | None:
        readiness = Readiness(
            self.state,
            self.checkout.path,
            self.moves,
            Identity("sessions", "mini-1", "beta"),
            self.history,
            self.version_of,
            lambda: self.published,
            self.words.append,
            self.cleared.append,
            self.asked_to_leave.append,
            lambda: self.clock,
        )
        return readiness.report(attempts)

    def version_of(self, commit: str) -> str | None:
        return next((release.version for release in self.commits if release.commit == commit), None)

    def attempt(self, *states: State, at: datetime = BEFORE, name: str = "a-1") -> AttemptRecord:
        """From the first commit to the second, a second from one record to the next."""
        start, target = self.commits
        records = [
            JournalRecord(name, at + timedelta(seconds=number), state, start, target)
            for number, state in enumerate(states)
        ]
        return AttemptRecord(tuple(records))


WAY = (State.FETCH, State.INSTALL, State.ACTIVATE, State.RESTART)


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    remote = Remote.make(tmp_path)
    commits = [Release(remote.commit({"app.py": f"{number}\n"}), f"1.{number}.0") for number in (0, 1)]
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    return Daemon(state, remote.clone(tmp_path / "app"), commits)


def test_the_process_is_recorded_with_what_it_has_loaded(daemon: Daemon) -> None:
    """lessons.md L1: taken from the tree, never from an environment variable."""
    os.environ["NEWLEAF_COMMIT"] = "f" * 40
    try:
        assert daemon.report() == daemon.commits[1]
    finally:
        del os.environ["NEWLEAF_COMMIT"]
    found = read_daemon(daemon.state)
    assert found is not None
    assert (found.pid, found.commit, found.version) == (os.getpid(), daemon.commits[1].commit, "1.1.0")


@pytest.mark.parametrize("state", [State.RESTART, State.CONFIRM, State.DONE])
def test_a_report_of_the_target_confirms_the_attempt(daemon: Daemon, state: State) -> None:
    """lessons.md L1, L3"""
    daemon.published = {"status": "restarting"}
    daemon.report(daemon.attempt(*WAY, state))
    word = daemon.words[-1]
    assert (word.status, word.running, word.attempt) == ("deployed", daemon.commits[1], "a-1")
    entry = daemon.history.entries()[-1]
    assert (entry.attempt, entry.outcome, entry.confirmed) == ("a-1", "updated", True)
    assert (entry.start, entry.target) == tuple(daemon.commits)
    assert daemon.cleared == [daemon.commits[1]]


def test_the_line_of_an_attempt_that_was_told_already_is_completed(daemon: Daemon) -> None:
    told = {
        "attempt": "a-1",
        "at": "2026-11-20T12:00:00.000Z",
        "outcome": "updated",
        "durations": {"fetch": 0.5},
    }
    daemon.history.add({**told, "confirmed": None, "restarted": True})
    daemon.report(daemon.attempt(*WAY, State.DONE))
    entries = daemon.history.entries()
    assert len(entries) == 1
    assert entries[0].confirmed is True
    assert entries[0].restarted, "the restart budget still counts it (L34)"
    assert entries[0].line["durations"] == {"fetch": 0.5}


def test_a_start_without_an_attempt_is_told_once(daemon: Daemon) -> None:
    """lessons.md L5"""
    for _ in range(3):
        daemon.report()
    entries = daemon.history.entries()
    assert [(entry.outcome, entry.confirmed, entry.target) for entry in entries] == [
        ("started", True, daemon.commits[1])
    ]
    assert daemon.words[-1].status == "deployed"


def test_a_process_that_is_older_than_the_move_has_what_lay_there_before(daemon: Daemon) -> None:
    """lessons.md L1, L25"""
    daemon.checkout.git("checkout", "-q", "--detach", daemon.commits[1].commit)
    loaded = daemon.report(daemon.attempt(*WAY, at=AFTER))
    assert loaded == daemon.commits[0]
    word = daemon.words[-1]
    assert (word.status, word.target) == ("waiting", daemon.commits[1]), "the restart is still owed"
    assert daemon.cleared == [daemon.commits[0]]
    assert daemon.history.entries()[-1].attempt is None, "nothing is confirmed by it"


@pytest.mark.parametrize("started", ["before the move", "in its middle"])
def test_an_update_ended_while_a_process_was_on_its_way_up_then_it_is_asked_to_leave_for_it(
    daemon: Daemon, started: str
) -> None:
    """lessons.md L1: what no report was seen of at the restart would run old code for ever."""
    daemon.checkout.git("checkout", "-q", "--detach", daemon.commits[1].commit)
    over = daemon.attempt(
        *WAY, State.DONE, at=AFTER if started == "before the move" else STARTED - 2 * SECOND
    )
    loaded = daemon.report(over)
    assert loaded == (daemon.commits[0] if started == "before the move" else None)
    word = daemon.words[-1]
    assert (word.status, word.running, word.target) == ("waiting", loaded, daemon.commits[1])
    assert daemon.asked_to_leave == [over]


@pytest.mark.parametrize("end", [State.RESTART, State.DONE, State.ROLLED_BACK])
def test_what_lies_there_was_loaded_or_an_attempt_goes_on_then_nobody_is_asked_to_leave(
    daemon: Daemon, end: State
) -> None:
    daemon.report(daemon.attempt(*WAY, end))
    daemon.report(daemon.attempt(State.FETCH, State.INSTALL, at=STARTED - SECOND / 2))
    assert daemon.asked_to_leave == []


def test_the_clock_was_set_back_since_the_update_then_what_was_loaded_is_known_all_the_same(
    daemon: Daemon,
) -> None:
    """lessons.md L1, L29: it said that the old release runs, and left for the new one at every start."""
    over = daemon.attempt(*WAY, State.DONE, at=STARTED + timedelta(hours=1))
    age = float((uptime.mark() or "/0").rpartition("/")[2]) - (datetime.now(UTC) - STARTED).total_seconds()
    for boot, seconds in ((uptime.boot(), age - 60), ("the boot before", age + 9000)):
        marked = [
            record._replace(mark=f"{boot}/{seconds + number}") for number, record in enumerate(over.records)
        ]
        assert daemon.report(AttemptRecord(tuple(marked))) == daemon.commits[1]
    assert daemon.history.entries()[-1].confirmed
    assert daemon.asked_to_leave == []


def test_the_clock_was_set_back_and_nothing_else_tells_the_order_then_that_is_unknown_and_nobody_leaves(
    daemon: Daemon,
) -> None:
    """lessons.md L1, L29"""
    assert daemon.report(daemon.attempt(*WAY, State.DONE, at=STARTED + timedelta(hours=1))) is None
    assert daemon.words[-1].status == "inconsistent"
    assert daemon.asked_to_leave == []


def test_a_process_that_started_in_mid_move_has_loaded_nobody_knows_what(daemon: Daemon) -> None:
    """lessons.md L1: unknown is shown as unknown."""
    moving = daemon.attempt(State.FETCH, State.INSTALL)
    assert daemon.report(moving) is None
    found = read_daemon(daemon.state)
    assert found is not None
    assert (found.pid, found.commit) == (os.getpid(), None)
    word = daemon.words[-1]
    assert (word.status, word.running) == ("inconsistent", None)
    assert "is not known" in (word.error or "")
    assert daemon.cleared == []
    assert daemon.history.entries() == []


def test_a_tree_that_says_nothing_is_unknown(daemon: Daemon) -> None:
    (daemon.checkout.path / ".git/HEAD").write_text("ref: refs/heads/none\n")
    assert daemon.report() is None
    assert daemon.words[-1].status == "inconsistent"


@pytest.mark.parametrize("failure", ["update_failed", "rolled_back", "inconsistent"])
def test_a_failure_stays_published_with_what_runs_until_an_attempt_succeeds(
    daemon: Daemon, failure: str
) -> None:
    """lessons.md L1, L2"""
    daemon.published = {"status": failure, "error": "it was no good"}
    daemon.checkout.git("checkout", "-q", "--detach", daemon.commits[0].commit)
    daemon.report(daemon.attempt(State.FETCH, State.INSTALL, State.REVERT, State.ROLLED_BACK))
    (word,) = daemon.words
    assert (word.status, word.error) == (failure, "it was no good")
    assert word.running is not None
    assert word.running.commit == daemon.commits[0].commit
    daemon.checkout.git("checkout", "-q", "--detach", daemon.commits[1].commit)
    daemon.report(daemon.attempt(*WAY, State.DONE, name="a-2"))
    assert daemon.words[-1].status == "deployed"


def test_a_flag_that_was_meant_for_the_process_before_goes(daemon: Daemon) -> None:
    """lessons.md L29"""
    raise_flag(daemon.state, 3, BEFORE)
    daemon.report()
    assert not (daemon.state / "restart-requested").exists()


def test_a_flag_that_is_meant_for_this_process_stays(daemon: Daemon) -> None:
    """lessons.md L27"""
    raise_flag(daemon.state, 3, AFTER)
    daemon.clock = AFTER + timedelta(minutes=1)
    daemon.report()
    assert (daemon.state / "restart-requested").exists()


@pytest.mark.parametrize("since", [BEFORE, STARTED], ids=["expired", "under way"])
def test_the_planned_restart_that_brought_this_process_is_over(daemon: Daemon, since: datetime) -> None:
    """lessons.md L31"""
    planned_restart.announce(daemon.state, "update", since, 600)
    daemon.report()
    assert not (daemon.state / "planned-restart").exists()


def test_it_is_over_with_a_broken_history_too(daemon: Daemon) -> None:
    (daemon.state / "history.jsonl").write_text("[]\n")
    planned_restart.announce(daemon.state, "update", STARTED, 600)
    with pytest.raises(CorruptFile):
        daemon.report()
    assert not (daemon.state / "planned-restart").exists()


def test_a_planned_restart_of_this_process_is_not_ended_by_its_own_report(daemon: Daemon) -> None:
    """lessons.md L31: it said again that it is ready, while it was asked to leave."""
    planned_restart.announce(daemon.state, "update", AFTER, 600)
    daemon.report()
    assert planned_restart.read(daemon.state, AFTER) is not None


def test_a_broken_record_of_the_process_before_is_written_anew(daemon: Daemon) -> None:
    (daemon.state / "daemon.pid").write_text("4711")
    daemon.report()
    found = read_daemon(daemon.state)
    assert found is not None
    assert found.pid == os.getpid()


def test_with_a_broken_history_the_process_is_recorded_all_the_same(daemon: Daemon) -> None:
    """lessons.md L1: who runs is known, whatever else is not."""
    (daemon.state / "history.jsonl").write_text("[]\n")
    with pytest.raises(CorruptFile):
        daemon.report()
    found = read_daemon(daemon.state)
    assert found is not None
    assert found.commit == daemon.commits[1].commit


def test_a_process_of_a_release_of_its_own_is_known_whatever_moves_meanwhile(daemon: Daemon) -> None:
    """lessons.md L1"""
    daemon.moves = ()
    moving = daemon.attempt(State.FETCH, State.MIGRATE, at=STARTED - timedelta(seconds=1))
    assert daemon.report(moving) == daemon.commits[1]
