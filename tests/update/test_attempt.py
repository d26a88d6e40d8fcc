"""One attempt: its order, its gates, its restart, its failures, and a kill at every step."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from newleaf.core.errors import InconsistentError, RefusedError
from newleaf.core.job_errors import RestartBudgetSpent
from newleaf.core.records import Waiting
from newleaf.core.release import Release
from newleaf.core.releases.slot_errors import PreflightFailed
from newleaf.core.requests import Request
from newleaf.core.states import State
from newleaf.update.journal import Journal
from tests.support.simulated_host import (
    START,
    Killed,
    SimulatedFailure,
    SimulatedHost,
    commit_of,
    release_of,
)

REQUEST = Request()
BUSY = Waiting("idle", "a job runs", START)


@pytest.fixture
def host(tmp_path: Path) -> SimulatedHost:
    return SimulatedHost(tmp_path)


def states_of(host: SimulatedHost) -> list[str]:
    journal = Journal(host.state / "journal.jsonl", host.now)
    return [record.state.value for attempt in journal.attempts for record in attempt.records]


def test_a_plain_update_walks_the_states_in_order(host: SimulatedHost) -> None:
    host.migrations = ("1.1.0/001_a.py",)
    result = host.transaction().update(REQUEST)
    assert result.outcome == "updated"
    assert result.confirmed is None
    assert states_of(host) == "fetch verify stage install migrate activate restart done".split()
    assert [step.name for step in result.steps] == "fetch verify install migrate activate restart".split()
    assert host.words == ["updating", "installing", "migrating", "restarting", "restarting"]
    assert host.live_release.commit == commit_of("b")


def test_a_code_only_update_skips_install_and_migrate(host: SimulatedHost) -> None:
    host.dependencies_change = False
    result = host.transaction().update(REQUEST)
    skipped = {step.name for step in result.steps if step.skipped}
    assert {"install", "migrate"} <= skipped
    assert "migrate" not in states_of(host)
    assert host.live_release.commit == commit_of("b")


def test_migrate_before_install_is_an_order_that_settings_give(host: SimulatedHost) -> None:
    host.steps = ("migrate", "install")
    host.migrations = ("1.1.0/001_a.py",)
    host.transaction().update(REQUEST)
    assert host.calls.index("place b") < host.calls.index("migrate 1.1.0/001_a.py")
    assert host.calls.index("migrate 1.1.0/001_a.py") < host.calls.index("install b")


def test_without_any_step_the_tree_still_moves(host: SimulatedHost) -> None:
    host.steps = ()
    assert host.transaction().update(REQUEST).outcome == "updated"
    assert host.live_release.commit == commit_of("b")


def test_a_gate_that_does_not_hold_leaves_everything_live_untouched(host: SimulatedHost) -> None:
    """lessons.md L26, L27"""
    host.gates["install"] = [BUSY]
    first = host.transaction().update(REQUEST)
    again = host.transaction().update(REQUEST)
    assert [first.outcome, again.outcome] == ["waiting", "waiting"]
    assert first.waiting_for == (BUSY,)
    assert host.live_release.commit == commit_of("a")
    assert states_of(host) == ["fetch", "verify", "stage", "wait"]
    assert first.attempt == again.attempt


def test_an_owed_attempt_goes_on_when_the_gate_holds(host: SimulatedHost) -> None:
    """lessons.md L27"""
    host.gates["install"] = [BUSY]
    waiting = host.transaction().update(REQUEST)
    host.gates.clear()
    done = host.transaction().update(REQUEST)
    assert done.outcome == "updated"
    assert done.attempt == waiting.attempt


def test_a_newer_target_supersedes_an_owed_attempt(host: SimulatedHost) -> None:
    """lessons.md L36"""
    host.gates["install"] = [BUSY]
    host.transaction().update(REQUEST)
    host.gates.clear()
    host.target = release_of("c", "1.2.0")
    result = host.transaction().update(REQUEST)
    assert result.outcome == "updated"
    assert result.target == host.target
    assert "superseded" in states_of(host)


def test_a_waiting_attempt_whose_target_is_gone_is_discarded(host: SimulatedHost) -> None:
    host.gates["install"] = [BUSY]
    host.transaction().update(REQUEST)
    host.target = None
    assert host.transaction().update(REQUEST).outcome == "up_to_date"
    assert states_of(host)[-1] == "discarded"


@pytest.mark.parametrize(("reported", "word"), [(None, "checking"), (release_of("a", "1.0.0"), "deployed")])
def test_when_nothing_is_owed_any_more_the_status_does_not_say_that_it_waits(
    host: SimulatedHost, reported: Release | None, word: str
) -> None:
    """lessons.md L3, L6"""
    host.gates["install"], host.reported = [BUSY], reported
    host.transaction().update(REQUEST)
    host.target = None
    host.transaction().update(REQUEST)
    last = host.statuses[-1]
    assert (last.status, last.target, last.waiting_for) == (word, None, ())


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize(("reported", "word"), [(None, "checking"), (release_of("a", "1.0.0"), "deployed")])
def test_after_a_repair_the_status_does_not_say_that_it_installs(
    host: SimulatedHost, reported: Release | None, word: str, killed: bool
) -> None:
    """lessons.md L3, L13; the next update tells what a kill has left untold."""
    host.target, host.dependencies, host.reported = None, "", reported
    if killed:
        host.kill_at = "release"
        with pytest.raises(Killed):
            host.transaction().update(REQUEST)
        host.words.append("installing")
    assert host.transaction().update(REQUEST).outcome == "up_to_date"
    assert host.words[-2:] == ["installing", word]
    assert host.statuses[-1].target is None


def test_the_restart_stays_owed_until_the_gate_before_it_holds(host: SimulatedHost) -> None:
    """lessons.md L27"""
    host.gates["restart"] = [BUSY]
    waiting = host.transaction().update(REQUEST)
    assert waiting.outcome == "waiting"
    assert states_of(host)[-1] == "restart"
    host.gates.clear()
    host.target = host.live_release
    done = host.transaction().update(REQUEST)
    assert done.outcome == "updated"
    assert host.calls.count("restart") == 1


def test_in_mode_exit_a_daemon_that_has_not_left_is_waited_for(host: SimulatedHost) -> None:
    host.mode, host.daemon = "exit", True
    waiting = host.transaction().update(REQUEST)
    assert (waiting.outcome, waiting.waiting_for[0].gate) == ("waiting", "restart")
    host.daemon = False
    assert host.transaction().update(REQUEST).outcome == "updated"


def test_a_daemon_that_reported_before_the_update_looked_again_confirms_it(host: SimulatedHost) -> None:
    """lessons.md L3"""
    host.mode, host.daemon = "exit", True
    host.transaction().update(REQUEST)
    host.reported, host.target = release_of("b"), None
    host.words.clear()
    done = host.transaction().update(REQUEST)
    assert (done.outcome, done.confirmed) == ("updated", True)
    assert host.words == ["deployed"], "the word does not go back to restarting"
    assert host.calls.count("restart") == 1


def test_an_update_that_waits_is_confirmed_by_the_report(host: SimulatedHost) -> None:
    """lessons.md L1"""
    host.mode, host.reported = "command", release_of("b")
    result = host.transaction().update(Request(wait_seconds=1))
    assert (result.outcome, result.confirmed) == ("updated", True)
    assert host.words[-1] == "deployed"
    assert not host.signal


def test_an_update_that_waits_in_vain_says_so_and_is_not_confirmed(host: SimulatedHost) -> None:
    """lessons.md L1"""
    host.mode = "command"
    result = host.transaction().update(Request(wait_seconds=1))
    assert (result.outcome, result.confirmed) == ("waiting", None)
    later = host.transaction().update(REQUEST)
    assert later.outcome == "updated"
    assert host.calls.count("restart") == 1


def test_an_update_that_waits_in_vain_for_the_daemon_to_leave_leaves_the_restart_owed(
    host: SimulatedHost,
) -> None:
    host.mode, host.daemon = "exit", True
    assert host.transaction().update(Request(wait_seconds=0.01)).outcome == "waiting"
    again = host.transaction().update(REQUEST)
    assert (again.outcome, again.waiting_for[0].gate) == ("waiting", "restart"), "the old process still runs"
    host.daemon = False
    assert host.transaction().update(REQUEST).outcome == "updated"


def test_after_the_restart_running_is_unknown_until_a_process_reports(host: SimulatedHost) -> None:
    """lessons.md L1"""
    host.reported = release_of("a")
    host.transaction().update(REQUEST)
    assert host.statuses[-1].status == "restarting"
    assert host.statuses[-1].running is None


def test_an_offline_migration_waits_while_a_daemon_runs(host: SimulatedHost) -> None:
    host.daemon, host.migrations, host.offline = True, ("1.1.0/001_a.py",), ("1.1.0/001_a.py",)
    waiting = host.transaction().update(REQUEST)
    assert (waiting.outcome, waiting.waiting_for[0].gate) == ("waiting", "restart")
    assert host.applied == []
    host.daemon = False
    assert host.transaction().update(REQUEST).outcome == "updated"


def test_a_failed_fetch_ends_the_attempt_and_changes_nothing(host: SimulatedHost) -> None:
    """lessons.md L2"""
    host.fails["fetch"] = SimulatedFailure(step="fetch")
    result = host.transaction().update(REQUEST)
    assert (result.outcome, result.exit_code) == ("failed", 1)
    assert host.words[-1] == "update_failed"
    assert host.live_release.commit == commit_of("a")
    assert states_of(host)[-1] == "failed"


def test_a_refused_target_is_refused_before_anything_live_is_touched(host: SimulatedHost) -> None:
    host.fails["verify"] = RefusedError(reason="not a descendant")
    result = host.transaction().update(REQUEST)
    assert (result.outcome, result.exit_code) == ("refused", 5)
    assert "place b" not in host.calls


def test_a_failed_install_goes_back_and_never_restarts(host: SimulatedHost) -> None:
    """lessons.md L16"""
    host.fails["install b"] = SimulatedFailure(step="install")
    result = host.transaction().update(REQUEST)
    assert (result.outcome, result.errors[0]["code"]) == ("failed", "simulated")
    assert "restart" not in host.calls
    assert host.live_release.commit == commit_of("a")
    assert commit_of("b") not in host.transaction().parts.decisions.denied


def test_a_failed_install_puts_the_old_dependencies_back(host: SimulatedHost) -> None:
    host.migrations = ("1.1.0/001_a.py",)
    host.fails["migrate 1.1.0/001_a.py"] = SimulatedFailure(step="migrate")
    host.transaction().update(REQUEST)
    assert host.dependencies == commit_of("a")
    assert host.calls.count("install a") == 1


def test_when_the_old_dependencies_cannot_be_put_back_both_failures_are_told(host: SimulatedHost) -> None:
    """lessons.md L5"""
    host.migrations = ("1.1.0/001_a.py",)
    host.fails["migrate 1.1.0/001_a.py"] = SimulatedFailure(step="migrate")
    host.fails["install a"] = SimulatedFailure(step="install a")
    result = host.transaction().update(REQUEST)
    assert [error["message"] for error in result.errors] == [
        "migrate failed, as told",
        "install a failed, as told",
    ]


def test_a_failed_migration_with_nothing_to_restore_is_retried_and_resumes(host: SimulatedHost) -> None:
    """lessons.md L19"""
    host.migrations = ("1.1.0/001_a.py", "1.1.0/002_b.py")
    host.fails["migrate 1.1.0/002_b.py"] = SimulatedFailure(step="migrate")
    failed = host.transaction().update(REQUEST)
    assert (failed.outcome, failed.exit_code) == ("failed", 1)
    assert host.applied == ["1.1.0/001_a.py"]
    host.fails.clear()
    done = host.transaction().update(REQUEST)
    assert done.outcome == "updated"
    assert host.calls.count("migrate 1.1.0/001_a.py") == 1


def test_a_failed_migration_with_declared_data_is_rolled_back_and_denied(host: SimulatedHost) -> None:
    """lessons.md L42"""
    host.declared, host.migrations = True, ("1.1.0/001_a.py", "1.1.0/002_b.py")
    host.fails["migrate 1.1.0/002_b.py"] = SimulatedFailure(step="migrate")
    result = host.transaction().update(REQUEST)
    assert (result.outcome, result.exit_code) == ("rolled_back", 6)
    assert (host.data, host.applied, host.live_release.commit) == ("a", [], commit_of("a"))
    assert any("aside" in note for note in result.notes)
    host.fails.clear()
    held = host.transaction().update(REQUEST)
    assert (held.outcome, held.exit_code) == ("held", 0)
    assert commit_of("b")[:12] in held.notes[0]


def test_a_denied_commit_makes_way_for_a_newer_target(host: SimulatedHost) -> None:
    """lessons.md L42"""
    host.transaction().parts.decisions.deny(commit_of("b"), "bad", None, START)
    assert host.transaction().update(REQUEST).outcome == "held"
    host.target = release_of("c", "1.2.0")
    assert host.transaction().update(REQUEST).outcome == "updated"


def test_a_restart_that_fails_stays_owed(host: SimulatedHost) -> None:
    """lessons.md L27"""
    host.mode = "command"
    host.fails["restart"] = SimulatedFailure(step="restart")
    failed = host.transaction().update(REQUEST)
    assert (failed.outcome, states_of(host)[-1]) == ("failed", "restart")
    host.fails.clear()
    host.target = host.live_release
    assert host.transaction().update(REQUEST).outcome == "updated"


def test_a_spent_restart_budget_stops_before_anything_live_is_touched(host: SimulatedHost) -> None:
    """lessons.md L34"""
    host.fails["gates before install"] = RestartBudgetSpent(count=5, span="30 m", until="13:00")
    result = host.transaction().update(REQUEST)
    assert (result.outcome, result.exit_code) == ("inconsistent", 7)
    assert host.live_release.commit == commit_of("a")
    host.fails.clear()
    assert host.transaction().update(REQUEST).outcome == "updated"


def test_a_way_back_that_cannot_be_finished_is_told_and_finished_by_the_next_update(
    host: SimulatedHost,
) -> None:
    host.fails["install b"] = SimulatedFailure(step="install")
    host.fails["place a"] = InconsistentError(reason="the tree is in the way")
    stuck = host.transaction().update(REQUEST)
    assert (stuck.outcome, stuck.exit_code) == ("inconsistent", 7)
    host.fails.clear()
    done = host.transaction().update(REQUEST)
    assert done.outcome == "failed"
    assert host.live_release.commit == commit_of("a")


FULL = (
    "fetch",
    "verify",
    "stage",
    "gates before install",
    "snapshot",
    "place b",
    "install b",
    "migrate 1.1.0/001_a.py",
    "migrate 1.1.0/002_b.py",
    "activate b",
    "gates before restart",
    "restart",
)


@pytest.mark.parametrize("step", FULL)
def test_killed_at_any_step_the_next_update_arrives(host: SimulatedHost, step: str) -> None:
    """Promise 5: each migration once, the right commit, the right dependencies."""
    host.declared, host.migrations = True, ("1.1.0/001_a.py", "1.1.0/002_b.py")
    host.kill_at = step
    with pytest.raises(Killed):
        host.transaction().update(REQUEST)
    assert host.transaction().update(REQUEST).outcome == "updated"
    assert host.live_release.commit == host.dependencies == commit_of("b")
    assert host.applied == list(host.migrations)
    assert states_of(host)[-1] == "done"


@pytest.mark.parametrize("step", ["fetch", "place b", "install b", "migrate 1.1.0/001_a.py", "activate b"])
def test_what_the_system_refuses_is_a_failure_like_any_other(host: SimulatedHost, step: str) -> None:
    """lessons.md L2, L24"""
    host.migrations = ("1.1.0/001_a.py",)
    host.fails[step] = OSError(errno.ENOSPC, "No space left on device", "/data/file")
    result = host.transaction().update(REQUEST)
    assert (result.outcome, result.errors[0]["code"]) == ("failed", "disk_full")
    assert states_of(host)[-1] == "failed"
    assert (host.live_release.commit, host.dependencies) == (commit_of("a"), commit_of("a"))
    assert host.words[-1] == "update_failed"


def test_a_way_back_that_the_system_refuses_is_for_a_person(host: SimulatedHost) -> None:
    host.fails["install b"] = SimulatedFailure(step="install b")
    host.fails["place a"] = OSError(errno.EACCES, "Permission denied", "/app/app.py")
    result = host.transaction().update(REQUEST)
    assert (result.outcome, result.errors[0]["code"]) == ("inconsistent", "host_refused")
    assert states_of(host)[-1] == "revert"
    del host.fails["place a"]
    assert host.transaction().update(REQUEST).outcome == "failed"
    assert host.live_release.commit == commit_of("a")


@pytest.mark.parametrize("step", ["restore", "place a", "install a", "activate a"])
def test_killed_on_the_way_back_the_next_update_finishes_it(host: SimulatedHost, step: str) -> None:
    host.declared, host.migrations = True, ("1.1.0/001_a.py",)
    host.fails["migrate 1.1.0/001_a.py"] = SimulatedFailure(step="migrate")
    host.kill_at = step
    with pytest.raises(Killed):
        host.transaction().update(REQUEST)
    result = host.transaction().update(REQUEST)
    assert result.outcome == "rolled_back"
    assert (host.data, host.live_release.commit, host.dependencies) == ("a", commit_of("a"), commit_of("a"))


def test_killed_for_ever_at_one_step_it_stops_by_itself(host: SimulatedHost) -> None:
    outcomes = []
    for _ in range(60):
        host.kill_at = "install b"
        try:
            outcomes.append(host.transaction().update(REQUEST).outcome)
        except Killed:
            host.dependencies = "half"
            continue
        break
    assert outcomes == ["inconsistent"]
    assert states_of(host)[-1] == State.INCONSISTENT.value
    host.kill_at = None
    assert host.transaction().update(REQUEST).outcome != "updated"


@pytest.mark.parametrize("step", ["fetch", "verify", "stage"])
def test_killed_for_ever_beside_the_live_release_it_stops_by_itself(host: SimulatedHost, step: str) -> None:
    """Promise 5: each attempt is begun anew, and their number is bounded all the same."""
    outcomes = []
    for _ in range(60):
        host.kill_at = step
        try:
            outcomes.append(host.transaction().update(REQUEST).outcome)
        except Killed:
            continue
        break
    assert outcomes == ["inconsistent"]
    host.kill_at = None
    assert host.transaction().update(REQUEST).outcome == "held"
    assert host.live_release == release_of("a", "1.0.0")
    host.target = release_of("c", "1.2.0")
    assert host.transaction().update(REQUEST).outcome == "updated"


def test_owed_dependencies_are_installed_though_nothing_is_new(host: SimulatedHost) -> None:
    """lessons.md L13"""
    host.target, host.dependencies = None, "half"
    result = host.transaction().update(REQUEST)
    assert (result.outcome, host.dependencies) == ("up_to_date", commit_of("a"))
    assert [step.name for step in result.steps if not step.skipped] == ["install", "activate"]
    assert "restart" not in host.calls


def test_owed_dependencies_that_cannot_be_installed_are_a_failure(host: SimulatedHost) -> None:
    """lessons.md L2"""
    host.target, host.dependencies = None, "half"
    host.fails["install a"] = SimulatedFailure(step="install")
    result = host.transaction().update(REQUEST)
    assert (result.outcome, host.calls.count("install a")) == ("failed", 1)


# --- releases beside each other -------------------------------------------------------------


@pytest.fixture
def beside(host: SimulatedHost) -> SimulatedHost:
    host.beside = True
    return host


def test_beside_the_live_release_a_new_one_is_installed_and_tried_before_any_gate(
    beside: SimulatedHost,
) -> None:
    result = beside.transaction().update(REQUEST)
    assert result.outcome == "updated"
    assert states_of(beside) == "fetch verify stage activate restart done".split()
    names = "fetch verify install preflight migrate activate restart".split()
    assert [step.name for step in result.steps] == names
    order = [beside.calls.index(call) for call in ("install b", "attach b", "preflight", "activate b")]
    assert order == sorted(order)
    assert beside.calls.index("preflight") < beside.calls.index("gates before install")


def test_a_release_that_cannot_be_started_is_denied_and_nothing_is_touched(beside: SimulatedHost) -> None:
    """Promise 4, lessons.md L42"""
    failure = PreflightFailed(name="1.1.0", commit="b", what="loading it", reason="ImportError", lines=["x"])
    beside.fails["preflight"] = failure
    result = beside.transaction().update(REQUEST)
    assert (result.outcome, result.exit_code) == ("failed", 1)
    assert (result.errors[0]["code"], result.errors[0]["lines"]) == ("preflight_failed", ["x"])
    assert beside.live_release.commit == commit_of("a")
    assert states_of(beside) == "fetch verify stage failed".split()
    beside.fails.clear()
    assert beside.transaction().update(REQUEST).outcome == "held"


def test_an_installation_that_fails_beside_is_only_tried_again(beside: SimulatedHost) -> None:
    beside.fails["install b"] = SimulatedFailure(step="install")
    assert beside.transaction().update(REQUEST).outcome == "failed"
    assert states_of(beside)[-1] == "failed"
    beside.fails.clear()
    assert beside.transaction().update(REQUEST).outcome == "updated"


@pytest.mark.parametrize("step", ["install b", "preflight"])
def test_killed_beside_the_live_release_an_attempt_is_started_over(beside: SimulatedHost, step: str) -> None:
    """Promise 5"""
    beside.kill_at = step
    with pytest.raises(Killed):
        beside.transaction().update(REQUEST)
    assert beside.live_release.commit == commit_of("a")
    assert beside.transaction().update(REQUEST).outcome == "updated"
    assert states_of(beside)[3] == "discarded"
    assert beside.live_release.commit == commit_of("b")


def test_what_waits_beside_the_live_release_goes_on_without_being_made_again(beside: SimulatedHost) -> None:
    """lessons.md L27"""
    beside.gates["install"] = [BUSY]
    assert beside.transaction().update(REQUEST).outcome == "waiting"
    beside.gates.clear()
    beside.calls.clear()
    assert beside.transaction().update(REQUEST).outcome == "updated"
    assert not {"install b", "preflight", "stage"} & set(beside.calls)


def test_dependencies_of_the_live_release_are_mended_where_it_lies(beside: SimulatedHost) -> None:
    """lessons.md L16"""
    beside.target = None
    beside.dependencies = commit_of("c")
    result = beside.transaction().update(REQUEST)
    assert result.outcome == "up_to_date"
    assert states_of(beside) == "wait install activate done".split()
    assert "install a" in beside.calls
    assert "attach a" in beside.calls


def test_a_failed_migration_leaves_the_link_where_it_was(beside: SimulatedHost) -> None:
    beside.migrations, beside.declared = ("1.1.0/001_a.py",), True
    beside.fails["migrate 1.1.0/001_a.py"] = SimulatedFailure(step="migrate")
    assert beside.transaction().update(REQUEST).outcome == "rolled_back"
    assert beside.live_release.commit == commit_of("a")
    assert "restore" in beside.calls
