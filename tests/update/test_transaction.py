"""From a request to an outcome: staying, moving, going back."""

from __future__ import annotations

from pathlib import Path

import pytest

from newleaf.core.errors import AlreadyHere, NoSnapshot, NoWayBack, UsageError
from newleaf.core.records import Waiting
from newleaf.core.requests import Request
from tests.support.simulated_host import (
    START,
    Killed,
    SimulatedFailure,
    SimulatedHost,
    SimulatedLauncher,
    commit_of,
    release_of,
)

REQUEST = Request()


@pytest.fixture
def host(tmp_path: Path) -> SimulatedHost:
    return SimulatedHost(tmp_path)


def test_nothing_new_is_up_to_date_and_writes_no_attempt(host: SimulatedHost) -> None:
    host.target = None
    result = host.transaction().update(REQUEST)
    assert (result.outcome, result.exit_code) == ("up_to_date", 0)
    assert not (host.state / "journal.jsonl").exists()
    assert not host.signal


def test_up_to_date_is_confirmed_only_by_a_process_that_reported_it(host: SimulatedHost) -> None:
    """lessons.md L1"""
    host.target = None
    assert host.transaction().update(REQUEST).confirmed is None
    host.reported = release_of("a")
    assert host.transaction().update(REQUEST).confirmed is True


def test_a_suspended_host_does_not_even_ask(host: SimulatedHost) -> None:
    host.suspended = "suspended since noon: fair"
    result = host.transaction().update(REQUEST)
    assert (result.outcome, host.calls) == ("held", [])
    assert "fair" in result.notes[0]


def test_an_unreachable_remote_is_a_failure_that_is_told(host: SimulatedHost) -> None:
    """lessons.md L2"""
    host.origin_error = SimulatedFailure(step="ls-remote")
    result = host.transaction().update(REQUEST)
    assert (result.outcome, result.exit_code) == ("failed", 1)
    assert host.statuses[-1].error == "ls-remote failed, as told"


def test_an_explicit_branch_may_lie_beside_what_runs(host: SimulatedHost) -> None:
    host.transaction().update(Request(branch="feature"))
    assert "verify sideways" in host.calls


def test_a_poll_may_not_move_sideways(host: SimulatedHost) -> None:
    host.transaction().update(REQUEST)
    assert "verify" in host.calls
    assert "verify sideways" not in host.calls


def test_rollback_goes_to_where_the_last_attempt_came_from(host: SimulatedHost) -> None:
    host.transaction().update(REQUEST)
    result = host.transaction().rollback(REQUEST, with_data=False)
    assert (result.outcome, result.exit_code) == ("ok", 0)
    assert host.live_release.commit == host.dependencies == commit_of("a")


def test_rollback_denies_the_release_that_is_left(host: SimulatedHost) -> None:
    """lessons.md L42"""
    host.transaction().update(REQUEST)
    host.transaction().rollback(REQUEST, with_data=False)
    assert host.transaction().update(REQUEST).outcome == "held"
    host.transaction().parts.decisions.allow(commit_of("b"), host.now())
    assert host.transaction().update(REQUEST).outcome == "updated"


def test_rollback_prefers_the_last_confirmed_release(host: SimulatedHost) -> None:
    host.mode, host.reported = "command", release_of("b")
    host.transaction().update(Request(wait_seconds=1))
    host.mode, host.reported = "none", None
    for letter in "cd":
        host.target = release_of(letter)
        host.transaction().update(REQUEST)
    result = host.transaction().rollback(REQUEST, with_data=False)
    assert result.target is not None
    assert result.target.commit == commit_of("b")


def test_rollback_with_nowhere_to_go_says_so(host: SimulatedHost) -> None:
    with pytest.raises(NoWayBack):
        host.transaction().rollback(REQUEST, with_data=False)


def test_a_rollback_to_what_is_here_says_that_it_is(host: SimulatedHost) -> None:
    host.target = host.live_release
    with pytest.raises(AlreadyHere):
        host.transaction().rollback(Request(to="1.0.0"), with_data=False)


def test_rollback_restores_data_only_when_asked(host: SimulatedHost) -> None:
    host.declared, host.migrations = True, ("1.1.0/001_a.py",)
    host.transaction().update(REQUEST)
    assert host.transaction().rollback(REQUEST, with_data=True).outcome == "ok"
    assert host.data == "a"


def test_rollback_without_asking_leaves_the_data(host: SimulatedHost) -> None:
    host.declared, host.migrations = True, ("1.1.0/001_a.py",)
    host.transaction().update(REQUEST)
    host.transaction().rollback(REQUEST, with_data=False)
    assert host.data == "b"


def test_without_a_snapshot_there_is_no_data_to_restore(host: SimulatedHost) -> None:
    host.transaction().update(REQUEST)
    with pytest.raises(NoSnapshot):
        host.transaction().rollback(REQUEST, with_data=True)


def test_a_rollback_that_was_killed_is_finished_by_the_next_update(host: SimulatedHost) -> None:
    host.transaction().update(REQUEST)
    host.kill_at = "install a"
    with pytest.raises(Killed):
        host.transaction().rollback(REQUEST, with_data=False)
    assert host.transaction().update(REQUEST).outcome == "ok"
    assert host.live_release.commit == host.dependencies == commit_of("a")


def test_settings_that_are_not_sound_begin_no_attempt(host: SimulatedHost) -> None:
    host.fails["require sound"] = UsageError(reason="gates.window says nothing")
    with pytest.raises(UsageError):
        host.transaction().update(REQUEST)
    assert not (host.state / "journal.jsonl").exists()


def killed_at(host: SimulatedHost, moment: str) -> None:
    """An update that died there."""
    host.kill_at = moment
    with pytest.raises(Killed):
        host.transaction().update(REQUEST)


@pytest.mark.parametrize("moment", ["place b", "install b", "migrate 1", "activate b"])
def test_rollback_undoes_an_update_that_was_killed_on_its_way(host: SimulatedHost, moment: str) -> None:
    """lessons.md L42"""
    host.migrations = ("1",)
    killed_at(host, moment)
    result = host.transaction().rollback(REQUEST, with_data=False)
    assert (result.outcome, result.errors) == ("ok", ())
    assert (result.start, result.target) == (release_of("b", "1.1.0"), release_of("a", "1.0.0"))
    assert (host.live_release.commit, host.dependencies) == (commit_of("a"), commit_of("a"))
    assert list(host.transaction().parts.decisions.denied) == [commit_of("b")]
    assert host.transaction().update(REQUEST).outcome == "held"


def test_rollback_restores_data_that_was_half_migrated(host: SimulatedHost) -> None:
    host.migrations, host.declared = ("1", "2"), True
    killed_at(host, "migrate 2")
    assert host.data == "b"
    assert host.transaction().rollback(REQUEST, with_data=False).outcome == "ok"
    assert host.data == "a"


@pytest.mark.parametrize(("with_data", "data"), [(False, "b"), (True, "a")])
def test_rollback_restores_data_that_was_wholly_migrated_if_asked(
    host: SimulatedHost, with_data: bool, data: str
) -> None:
    host.migrations, host.declared = ("1",), True
    killed_at(host, "activate b")
    assert host.transaction().rollback(REQUEST, with_data=with_data).outcome == "ok"
    assert host.data == data


def test_rollback_to_a_named_release_goes_on_from_where_the_killed_update_began(host: SimulatedHost) -> None:
    killed_at(host, "install b")
    host.target = release_of("c", "0.9.0")
    result = host.transaction().rollback(Request(to="0.9.0"), with_data=False)
    assert result.outcome == "ok"
    assert (host.live_release.commit, host.dependencies) == (commit_of("c"), commit_of("c"))


def test_a_rollback_that_was_killed_is_finished_by_the_next(host: SimulatedHost) -> None:
    host.transaction().update(REQUEST)
    host.kill_at = "install a"
    with pytest.raises(Killed):
        host.transaction().rollback(REQUEST, with_data=False)
    assert host.transaction().rollback(REQUEST, with_data=False).outcome == "ok"
    assert (host.live_release.commit, host.dependencies) == (commit_of("a"), commit_of("a"))


def test_a_rollback_that_cannot_reinstall_says_so(host: SimulatedHost) -> None:
    """lessons.md L16"""
    killed_at(host, "activate b")
    host.fails["install a"] = SimulatedFailure(step="install a")
    result = host.transaction().rollback(REQUEST, with_data=False)
    assert (result.outcome, result.errors[1]["message"]) == ("failed", "install a failed, as told")


def test_while_a_restart_is_owed_the_way_back_is_where_the_update_came_from(host: SimulatedHost) -> None:
    host.transaction().update(REQUEST)
    host.target, host.mode, host.daemon = release_of("c", "1.2.0"), "exit", True
    assert host.transaction().update(REQUEST).outcome == "waiting"
    host.mode = "none"
    assert host.transaction().rollback(REQUEST, with_data=False).target == release_of("b", "1.1.0")


# --- a release that did not stay healthy ------------------------------------------------------


def test_a_release_that_fails_in_its_probation_is_left_with_its_data_and_denied(host: SimulatedHost) -> None:
    """Promise 4, lessons.md L32, L42"""
    host.migrations, host.declared, host.mode, host.daemon = ("1.1.0/001_a.py",), True, "exit", True
    assert host.transaction().update(REQUEST).outcome == "waiting"
    result = host.transaction().give_up(REQUEST, "it left with 1")
    assert result is not None
    assert (result.outcome, result.exit_code) == ("rolled_back", 6)
    assert (host.live_release.commit, host.data) == (commit_of("a"), "a")
    assert host.words[-1] == "rolled_back"
    assert host.transaction().update(REQUEST).outcome == "held"


def test_what_is_done_is_not_left_by_itself(host: SimulatedHost) -> None:
    assert host.transaction().update(REQUEST).outcome == "updated"
    assert host.transaction().give_up(REQUEST, "it left with 1") is None
    assert host.live_release.commit == commit_of("b")


# --- found by tests/update/test_transaction_properties.py --------------------------------


def test_a_rollback_whose_restart_is_owed_is_not_undone_by_the_next_update(host: SimulatedHost) -> None:
    """lessons.md L42"""
    host.transaction().update(REQUEST)
    host.mode, host.daemon = "exit", True
    assert host.transaction().rollback(REQUEST, with_data=False).outcome == "waiting"
    assert host.transaction().update(REQUEST).outcome == "waiting"
    assert host.live_release.commit == commit_of("a")
    host.daemon = False
    assert host.transaction().update(REQUEST).outcome == "ok"
    assert host.transaction().update(REQUEST).outcome == "held"


def test_a_rollback_that_waits_for_a_job_is_done_by_the_next_update(host: SimulatedHost) -> None:
    """lessons.md L27"""
    host.transaction().update(REQUEST)
    host.gates["install"] = [Waiting("idle", "a job runs", START)]
    assert host.transaction().rollback(REQUEST, with_data=False).outcome == "waiting"
    assert host.transaction().update(REQUEST).outcome == "waiting"
    host.gates.clear()
    assert host.transaction().update(REQUEST).outcome == "ok"
    assert host.live_release.commit == commit_of("a")


@pytest.mark.parametrize("moment", ["place a", "install a", "activate a"])
def test_what_a_killed_rollback_was_leaving_is_not_installed_again(host: SimulatedHost, moment: str) -> None:
    """lessons.md L42"""
    killed_at(host, "activate b")
    host.kill_at = moment
    with pytest.raises(Killed):
        host.transaction().rollback(REQUEST, with_data=False)
    assert host.transaction().update(REQUEST).outcome == "failed"
    assert host.transaction().update(REQUEST).outcome == "held"
    assert host.live_release.commit == commit_of("a")


def test_killed_while_data_was_kept_the_next_update_waits_for_a_job(host: SimulatedHost) -> None:
    """lessons.md L26: nothing live was touched yet."""
    host.declared, host.migrations = True, ("1.1.0/001_a.py",)
    killed_at(host, "snapshot")
    host.gates["install"] = [Waiting("idle", "a job runs", START)]
    assert host.transaction().update(REQUEST).outcome == "waiting"
    assert host.live_release.commit == commit_of("a")
    host.gates.clear()
    assert host.transaction().update(REQUEST).outcome == "updated"


@pytest.mark.parametrize("moment", ["install b", "migrate 1"])
def test_an_offline_migration_that_was_killed_waits_until_the_daemon_is_stopped(
    host: SimulatedHost, moment: str
) -> None:
    host.migrations = host.offline = ("1",)
    killed_at(host, moment)
    host.daemon = True
    assert [host.transaction().update(REQUEST).outcome for _ in range(50)] == ["waiting"] * 50
    assert not host.applied
    host.daemon = False
    assert host.transaction().update(REQUEST).outcome == "updated"


def test_killed_before_its_line_of_the_history_an_update_can_be_rolled_back(host: SimulatedHost) -> None:
    host.transaction().update(REQUEST)
    (host.state / "history.jsonl").unlink()
    result = host.transaction().rollback(REQUEST, with_data=False)
    assert (result.outcome, result.target) == ("ok", release_of("a", "1.0.0"))


def test_a_way_back_that_was_killed_and_is_finished_by_hand_denies_what_it_leaves(
    host: SimulatedHost,
) -> None:
    """lessons.md L42"""
    host.fails["install b"] = SimulatedFailure(step="install b")
    killed_at(host, "activate a")
    assert host.transaction().rollback(REQUEST, with_data=False).outcome == "ok"
    assert host.transaction().update(REQUEST).outcome == "held"


def test_data_that_could_not_be_kept_is_no_snapshot_to_go_back_to(host: SimulatedHost) -> None:
    host.declared, host.migrations = True, ("1",)
    host.fails["snapshot"] = SimulatedFailure(step="snapshot")
    assert host.transaction().update(REQUEST).outcome == "failed"
    host.migrations = ()
    assert host.transaction().update(REQUEST).outcome == "updated"
    with pytest.raises(NoSnapshot):
        host.transaction().rollback(REQUEST, with_data=True)
    assert host.live_release.commit == commit_of("b")


# --- room -----------------------------------------------------------------------------------


def test_room_is_made_when_the_host_has_arrived_and_nobody_waits_any_more(host: SimulatedHost) -> None:
    """lessons.md L24"""
    host.transaction().update(REQUEST)
    assert host.calls.index("restart") < host.calls.index("tidy")
    host.calls.clear()
    host.target = None
    assert host.transaction().update(REQUEST).outcome == "up_to_date"
    assert "tidy" in host.calls, "what a kill left is removed too"


def test_while_something_is_owed_nothing_is_removed(host: SimulatedHost) -> None:
    host.mode, host.daemon = "exit", True
    assert host.transaction().update(REQUEST).outcome == "waiting"
    host.gates["install"] = [Waiting("idle", "a job runs", START)]
    assert "tidy" not in host.calls


# --- a restart that is owed, and a newer target ------------------------------------------


@pytest.fixture(params=[False, True], ids=["in place", "beside"])
def owing(request: pytest.FixtureRequest, tmp_path: Path) -> SimulatedHost:
    """The new release is there, and its daemon has yet to be restarted."""
    host = SimulatedHost(tmp_path, beside=request.param, mode="command", reported=release_of("a", "1.0.0"))
    host.gates["restart"] = [Waiting("idle", "job 17 runs", START)]
    assert host.transaction().update(REQUEST).outcome == "waiting"
    host.gates.clear()
    return host


def restarts(host: SimulatedHost) -> int:
    return host.calls.count("restart")


def test_the_remote_is_away_then_a_restart_that_is_owed_is_made(owing: SimulatedHost) -> None:
    """lessons.md L27: a host may be without a network for days."""
    owing.origin_error = SimulatedFailure(step="ls-remote")
    result = owing.transaction().update(REQUEST)
    assert (result.outcome, restarts(owing)) == ("updated", 1)
    assert "ls-remote failed, as told" in result.notes
    assert owing.transaction().update(REQUEST).outcome == "failed"


def test_what_was_asked_for_cannot_be_found_then_that_is_told_and_nothing_is_restarted(
    owing: SimulatedHost,
) -> None:
    owing.origin_error = SimulatedFailure(step="ls-remote")
    assert owing.transaction().update(Request(to="9.9.9")).outcome == "failed"
    assert restarts(owing) == 0


def test_a_newer_target_fails_then_the_restart_that_it_put_off_is_made(owing: SimulatedHost) -> None:
    """lessons.md L27: an old process would have gone on beside a new tree, with nothing owed."""
    owing.target, owing.fails["fetch"] = release_of("c", "1.2.0"), SimulatedFailure(step="fetch")
    result = owing.transaction().update(REQUEST)
    assert (result.outcome, restarts(owing)) == ("failed", 1)
    assert result.notes[-1].endswith("was owed is made")
    owing.transaction().update(REQUEST)
    assert restarts(owing) == 1


def test_a_newer_target_fails_and_the_restart_has_to_wait_then_that_stays_owed(owing: SimulatedHost) -> None:
    """lessons.md L27"""
    owing.target, owing.fails["fetch"] = release_of("c", "1.2.0"), SimulatedFailure(step="fetch")
    owing.gates["restart"] = [Waiting("idle", "job 18 runs", START)]
    result = owing.transaction().update(REQUEST)
    assert (result.outcome, result.target, restarts(owing)) == ("waiting", release_of("b", "1.1.0"), 0)
    assert result.notes[-1] == "fetch failed, as told"
    owing.gates.clear()
    owing.transaction().update(REQUEST)
    assert restarts(owing) == 1


def test_killed_before_the_restart_was_taken_up_then_the_next_update_makes_it(owing: SimulatedHost) -> None:
    """lessons.md L27: the newer target is gone again."""
    owing.target, owing.kill_at = release_of("c", "1.2.0"), "fetch"
    with pytest.raises(Killed):
        owing.transaction().update(REQUEST)
    owing.target = release_of("b", "1.1.0")
    assert (owing.transaction().update(REQUEST).outcome, restarts(owing)) == ("updated", 1)
    assert (owing.transaction().update(REQUEST).outcome, restarts(owing)) == ("up_to_date", 1)


def test_a_restart_that_waits_to_be_taken_up_goes_on_waiting(owing: SimulatedHost) -> None:
    """lessons.md L27: its longest wait counts from its beginning."""
    owing.target, owing.fails["fetch"] = release_of("c", "1.2.0"), SimulatedFailure(step="fetch")
    owing.gates["install"] = [Waiting("idle", "job 18 runs", START)]
    waiting = owing.transaction().update(REQUEST)
    owing.target = release_of("b", "1.1.0")
    assert owing.transaction().update(REQUEST).attempt == waiting.attempt
    owing.gates.clear()
    assert owing.transaction().update(REQUEST).attempt == waiting.attempt
    assert restarts(owing) == 1


def test_the_daemon_has_the_new_release_already_then_a_newer_target_puts_off_nothing(
    owing: SimulatedHost,
) -> None:
    owing.reported = owing.live_release
    owing.target, owing.fails["fetch"] = release_of("c", "1.2.0"), SimulatedFailure(step="fetch")
    assert owing.transaction().update(REQUEST).outcome == "failed"
    assert restarts(owing) == 0


def test_a_newer_target_has_failed_then_the_way_back_is_still_where_what_is_live_came_from(
    owing: SimulatedHost,
) -> None:
    owing.target, owing.fails["restart"] = release_of("c", "1.2.0"), SimulatedFailure(step="restart")
    owing.fails["verify"] = SimulatedFailure(step="verify")
    owing.transaction().update(REQUEST)
    owing.fails.clear()
    assert owing.transaction().rollback(REQUEST, with_data=False).target == release_of("a", "1.0.0")


def test_a_release_whose_restart_was_put_off_is_not_healthy_then_its_data_goes_back_too(
    tmp_path: Path,
) -> None:
    """lessons.md L32"""
    host = SimulatedHost(tmp_path, declared=True, migrations=("1.1.0/001_a.py",))
    host.launcher = SimulatedLauncher(host, {commit_of("b"): "it answers 500"})
    host.gates["restart"] = [Waiting("idle", "job 17 runs", START)]
    host.transaction().update(REQUEST)
    host.gates.clear()
    host.target, host.fails["fetch"] = release_of("c", "1.2.0"), SimulatedFailure(step="fetch")
    result = host.transaction().update(REQUEST)
    assert (result.outcome, result.start, host.data) == ("rolled_back", release_of("a", "1.0.0"), "a")
