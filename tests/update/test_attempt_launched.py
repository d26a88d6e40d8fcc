"""An attempt whose daemon a launcher starts, stops and judges."""

from __future__ import annotations

from pathlib import Path

import pytest

from newleaf.core.launch.launcher_errors import LauncherLost, LauncherRefused, NoCommand
from newleaf.core.requests import Request
from newleaf.core.states import State
from tests.support.simulated_host import (
    Killed,
    SimulatedHost,
    SimulatedLauncher,
    commit_of,
    release_of,
)

REQUEST = Request()


@pytest.fixture
def launcher(tmp_path: Path) -> SimulatedLauncher:
    host = SimulatedHost(tmp_path)
    host.launcher = SimulatedLauncher(host)
    return host.launcher


@pytest.fixture
def host(launcher: SimulatedLauncher) -> SimulatedHost:
    return launcher.host


def states(host: SimulatedHost) -> list[str]:
    attempt = host.transaction().parts.journal.last
    return [record.state.value for record in attempt.records] if attempt else []


def deny(host: SimulatedHost) -> set[str]:
    return set(host.transaction().parts.decisions.denied)


def test_a_good_release_is_confirmed_by_the_launchers_verdict(host: SimulatedHost) -> None:
    """lessons.md L1"""
    result = host.transaction().update(REQUEST)
    assert (result.outcome, result.confirmed) == ("updated", True)
    assert states(host)[-3:] == ["restart", "confirm", "done"]
    assert host.words[-2:] == ["restarting", "deployed"]
    assert "restart" not in host.calls


def test_what_the_launcher_started_is_not_yet_confirmed_by_running(host: SimulatedHost) -> None:
    """lessons.md L1: it is pinned at its start, and may still fail."""
    host.reported = release_of("b")
    host.transaction().update(REQUEST)
    assert "hand over b" in host.calls


def test_jobs_are_let_go_only_when_the_old_process_has_stopped(host: SimulatedHost) -> None:
    """lessons.md L26"""
    host.transaction().update(REQUEST)
    assert host.calls.index("hand over b") < host.calls.index("let jobs go")


def test_an_unhealthy_release_is_left_denied_and_the_old_one_runs(
    host: SimulatedHost, launcher: SimulatedLauncher
) -> None:
    """lessons.md L32"""
    launcher.faults[commit_of("b")] = "it ended with exit code 3"
    result = host.transaction().update(REQUEST)
    assert (result.outcome, result.exit_code) == ("rolled_back", 6)
    assert "exit code 3" in result.errors[0]["message"]
    assert deny(host) == {commit_of("b")}
    assert host.live_release.commit == commit_of("a")
    assert host.calls.index("hand over b") < host.calls.index("free")


def test_data_is_changed_and_kept_only_while_the_daemon_is_stopped(host: SimulatedHost) -> None:
    host.migrations, host.declared = ("1.1.0/001_a.py",), True
    host.transaction().update(REQUEST)
    acts = [
        call for call in host.calls if call in ("hold", "snapshot", "migrate 1.1.0/001_a.py", "hand over b")
    ]
    assert acts == ["hold", "snapshot", "migrate 1.1.0/001_a.py", "hand over b"]


def test_an_offline_migration_is_not_waited_with_but_run_while_the_daemon_is_stopped(
    host: SimulatedHost,
) -> None:
    host.daemon, host.migrations, host.offline = True, ("1.1.0/001_a.py",), ("1.1.0/001_a.py",)
    assert host.transaction().update(REQUEST).outcome == "updated"
    assert host.calls.index("hold") < host.calls.index("migrate 1.1.0/001_a.py")


def test_a_migration_that_needs_no_stop_leaves_the_daemon_running(host: SimulatedHost) -> None:
    host.migrations, host.declared, host.online = ("1.1.0/001_a.py",), True, True
    host.transaction().update(REQUEST)
    assert "hold" not in host.calls


def test_data_is_put_back_only_while_nothing_uses_it(
    host: SimulatedHost, launcher: SimulatedLauncher
) -> None:
    host.migrations, host.declared, host.online = ("1.1.0/001_a.py",), True, True
    launcher.faults[commit_of("b")] = "no"
    host.transaction().update(REQUEST)
    acts = [call for call in host.calls if call in ("hold", "restore", "free")]
    assert acts[:3] == ["hold", "restore", "free"]


def test_a_failed_migration_starts_the_old_release_again(host: SimulatedHost) -> None:
    host.migrations, host.declared = ("1.1.0/001_a.py",), True
    host.fails["migrate 1.1.0/001_a.py"] = LauncherRefused(reason="simulated")
    result = host.transaction().update(REQUEST)
    assert result.outcome == "rolled_back"
    assert host.calls.index("restore") < host.calls.index("free")


def test_a_launcher_that_is_busy_leaves_the_restart_owed(host: SimulatedHost) -> None:
    """lessons.md L27"""
    host.fails["hand over b"] = LauncherRefused(reason="another handover is under way")
    waiting = host.transaction().update(REQUEST)
    assert (waiting.outcome, waiting.waiting_for[0].gate) == ("waiting", "restart")
    del host.fails["hand over b"]
    assert host.transaction().update(REQUEST).outcome == "updated"
    assert host.calls.count("place b") == 1


def test_a_launcher_that_is_lost_leaves_the_attempt_open(host: SimulatedHost) -> None:
    host.fails["hand over b"] = LauncherLost()
    result = host.transaction().update(REQUEST)
    assert (result.outcome, result.exit_code) == ("failed", 1)
    assert states(host)[-1] == "confirm"
    del host.fails["hand over b"]
    assert host.transaction().update(REQUEST).outcome == "updated"


def test_a_release_that_does_not_say_how_it_is_started_is_given_up(host: SimulatedHost) -> None:
    host.fails["hand over b"] = NoCommand()
    result = host.transaction().update(REQUEST)
    assert (result.outcome, host.live_release.commit) == ("rolled_back", commit_of("a"))
    assert deny(host) == {commit_of("b")}
    assert "app.command is not set" in str(result.errors[0])


def test_an_update_killed_while_it_waits_is_confirmed_without_it(host: SimulatedHost) -> None:
    host.kill_at = "hand over b"
    with pytest.raises(Killed):
        host.transaction().update(REQUEST)
    host.launcher, host.reported = None, release_of("b")
    confirmed = host.transaction().confirm(REQUEST)
    assert confirmed is not None
    assert (confirmed.outcome, confirmed.confirmed) == ("updated", True)
    assert host.transaction().confirm(REQUEST) is None


def test_another_release_than_the_one_that_runs_is_not_confirmed(host: SimulatedHost) -> None:
    host.kill_at = "hand over b"
    with pytest.raises(Killed):
        host.transaction().update(REQUEST)
    host.reported = release_of("a")
    assert host.transaction().confirm(REQUEST) is None
    assert states(host)[-1] == "confirm"


def test_an_update_killed_while_it_waits_is_given_up_without_it(host: SimulatedHost) -> None:
    host.kill_at = "hand over b"
    with pytest.raises(Killed):
        host.transaction().update(REQUEST)
    given_up = host.transaction().give_up(REQUEST, "it died")
    assert given_up is not None
    assert given_up.outcome == "rolled_back"
    assert deny(host) == {commit_of("b")}


def test_a_way_back_that_was_killed_is_finished_by_who_gives_up(host: SimulatedHost) -> None:
    launcher = host.launcher
    assert isinstance(launcher, SimulatedLauncher)
    launcher.faults[commit_of("b")] = "no"
    host.kill_at = "place a"
    with pytest.raises(Killed):
        host.transaction().update(REQUEST)
    assert states(host)[-1] == "revert"
    given_up = host.transaction().give_up(REQUEST, "no")
    assert given_up is not None
    assert given_up.outcome == "rolled_back"
    assert host.live_release.commit == commit_of("a")


def test_what_was_left_in_the_middle_is_taken_up_as_far_as_its_restart(host: SimulatedHost) -> None:
    host.migrations, host.kill_at = ("1.1.0/001_a.py",), "migrate 1.1.0/001_a.py"
    with pytest.raises(Killed):
        host.transaction().update(REQUEST)
    host.launcher, host.mode, host.daemon = None, "exit", True
    taken_up = host.transaction().take_up(REQUEST)
    assert taken_up is not None
    assert taken_up.outcome == "waiting"
    assert states(host)[-1] == State.RESTART.value


def test_a_rollback_that_restores_data_stops_the_daemon_first(host: SimulatedHost) -> None:
    host.migrations, host.declared = ("1.1.0/001_a.py",), True
    host.transaction().update(REQUEST)
    host.calls.clear()
    result = host.transaction().rollback(REQUEST, with_data=True)
    assert result.outcome == "ok"
    assert host.calls.index("hold") < host.calls.index("restore") < host.calls.index("hand over a")
