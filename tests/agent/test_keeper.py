"""How the daemon comes to run the new release, by each restart mode, with real processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from newleaf.agent.keeper import Keeper
from newleaf.core.errors import CommandFailed, CorruptFile, NewerSchema, NewleafError
from newleaf.core.job_errors import LauncherMissing
from newleaf.core.ports import Restarted
from newleaf.core.records import AttemptRecord, JournalRecord
from newleaf.core.settings.sections import Restart
from newleaf.core.states import State
from newleaf.system import planned_restart
from newleaf.system.commands import Runner
from newleaf.system.inside_lock import alone
from newleaf.system.restarts import read_flag, write_daemon
from tests.support.simulated_host import commit_of, release_of

A, B = release_of("a", "1.0.0"), release_of("b", "1.1.0")
RECORD = "daemon.pid"
DAEMON = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: exit(0))
print(flush=True)
time.sleep(60)
"""


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Stage:
    """A state directory, the daemons that were started for it, and its keeper."""

    state: Path
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def keeper(self, mode: str = "exit", **settings: object) -> Keeper:
        restart = msgspec.structs.replace(Restart(), mode=mode, **settings)
        environment = {"PATH": os.environ["PATH"]}
        return Keeper(self.state, restart, self.state, lambda: environment, Runner(), lambda *_: 3, now, 60)

    def start_daemon(self, commit: str | None = None, version: str | None = None) -> subprocess.Popen[bytes]:
        """A process that has reported itself."""
        daemon = subprocess.Popen([sys.executable, "-c", DAEMON], stdout=subprocess.PIPE)
        self.daemons.append(daemon)
        assert daemon.stdout
        daemon.stdout.readline()
        write_daemon(self.state, daemon.pid, commit, version)
        return daemon


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    for daemon in stage.daemons:
        daemon.kill()
        daemon.communicate()


def restarting(at: datetime) -> AttemptRecord:
    return AttemptRecord((JournalRecord("a-1", at, State.RESTART, A, B),))


AN_HOUR_AGO = now() - timedelta(hours=1)


def test_nothing_runs_until_a_process_has_reported(stage: Stage) -> None:
    """lessons.md L1"""
    keeper = stage.keeper()
    assert not keeper.daemon_runs()
    assert keeper.running() is None
    stage.start_daemon()
    assert keeper.daemon_runs()
    assert keeper.running() is None, "it said nothing of what it has loaded"


def test_what_runs_is_what_the_live_process_reported(stage: Stage) -> None:
    """lessons.md L1"""
    daemon = stage.start_daemon(commit_of("a"), "1.0.0")
    assert stage.keeper().running() == A
    daemon.kill()
    daemon.wait()
    assert stage.keeper().running() is None
    assert not stage.keeper().daemon_runs()


def test_a_record_that_cannot_be_read_is_unknown_and_fails_closed_before_a_restart(stage: Stage) -> None:
    """lessons.md L1, L35"""
    (stage.state / RECORD).write_text("4711")
    keeper = stage.keeper("sigterm")
    assert keeper.running() is None
    for act in (keeper.daemon_runs, lambda: keeper.restart(restarting(now()))):
        with pytest.raises(CorruptFile) as caught:
            act()
        assert "restart the daemon" in caught.value.advice


def test_a_newer_record_is_no_unknown(stage: Stage) -> None:
    (stage.state / RECORD).write_text('{"schema": 2}')
    with pytest.raises(NewerSchema):
        stage.keeper().running()


def test_mode_none_leaves_the_daemon_alone(stage: Stage) -> None:
    daemon = stage.start_daemon(commit_of("a"))
    assert stage.keeper("none").restart(restarting(now())).skipped
    assert daemon.poll() is None


def test_mode_command_runs_it_in_the_app_s_folder(stage: Stage) -> None:
    command = ("sh", "-c", 'pwd > "$PWD/where"')
    assert stage.keeper("command", command=command).restart(restarting(now())) == Restarted(
        "restart.command succeeded"
    )
    assert (stage.state / "where").read_text().strip() == os.path.realpath(stage.state)


def test_a_restart_command_that_fails_is_an_error(stage: Stage) -> None:
    """lessons.md L2"""
    with pytest.raises(CommandFailed, match=r"restart\.command failed \(exit 3\)"):
        stage.keeper("command", command=("sh", "-c", "exit 3")).restart(restarting(now()))


def test_mode_launcher_without_one_is_said(stage: Stage) -> None:
    with pytest.raises(LauncherMissing):
        stage.keeper("launcher").restart(restarting(now()))


@pytest.mark.parametrize("mode", ["exit", "sigterm"])
def test_where_no_daemon_runs_there_is_nothing_to_restart(stage: Stage, mode: str) -> None:
    assert stage.keeper(mode).restart(restarting(now())) == Restarted("no daemon runs", skipped=True)
    assert not (stage.state / "restart-requested").exists()


@pytest.mark.parametrize(
    ("mode", "is_asked"), [("exit", True), ("sigterm", True), ("command", False), ("none", False)]
)
def test_a_daemon_is_asked_to_leave_where_it_does_so_by_itself(
    stage: Stage, mode: str, *, is_asked: bool
) -> None:
    stage.keeper(mode).ask_to_leave(restarting(now()))
    assert (stage.state / "restart-requested").exists() is is_asked


def test_mode_sigterm_ends_the_daemon(stage: Stage) -> None:
    daemon = stage.start_daemon(commit_of("a"))
    restarted = stage.keeper("sigterm").restart(restarting(now()))
    assert daemon.wait(10) == 0
    assert (restarted.owed, str(daemon.pid) in restarted.detail) == (False, True)


def test_mode_sigterm_never_signals_a_process_that_got_the_number_later(stage: Stage) -> None:
    """lessons.md L35"""
    daemon = stage.start_daemon(commit_of("a"))
    record = msgspec.json.decode((stage.state / RECORD).read_bytes())
    (stage.state / RECORD).write_bytes(msgspec.json.encode({**record, "started": "another boot"}))
    assert stage.keeper("sigterm").restart(restarting(now())).skipped
    assert daemon.poll() is None


def test_mode_exit_asks_once_and_stays_owed(stage: Stage) -> None:
    """lessons.md L27, L29"""
    daemon = stage.start_daemon(commit_of("a"))
    write_daemon(stage.state, daemon.pid, commit_of("a"), None)
    keeper = stage.keeper("exit")
    later = now() + timedelta(seconds=5)
    keeper = msgspec.structs.replace(keeper, now=lambda: later)
    restarted = keeper.restart(restarting(now()))
    assert restarted.owed
    assert "exit code 42" in restarted.detail
    flag = read_flag(stage.state, later)
    assert flag is not None
    assert flag.commits == 3
    before = (stage.state / "restart-requested").stat().st_ino
    assert keeper.restart(restarting(now())).owed
    assert (stage.state / "restart-requested").stat().st_ino == before, "a good flag is not raised again"
    assert daemon.poll() is None


# --- the planned restart ----------------------------------------------------------------


@pytest.mark.parametrize("mode", ["exit", "sigterm", "command"])
def test_a_restart_is_announced_for_as_long_as_it_may_take(stage: Stage, mode: str) -> None:
    """lessons.md L31"""
    stage.start_daemon(commit_of("a"))
    began = now()
    stage.keeper(mode, command=("true",)).restart(restarting(now()))
    planned = planned_restart.read(stage.state, now())
    assert planned is not None
    assert planned.reason == "from 1.0.0 (aaaaaaaaa) to 1.1.0 (bbbbbbbbb)"
    assert planned.expires - planned.since == timedelta(seconds=60)
    assert planned.since >= began - timedelta(seconds=1)


def test_it_is_announced_before_anything_happens(stage: Stage) -> None:
    """lessons.md L31"""
    command = ("sh", "-c", "grep -q expires planned-restart")
    assert not stage.keeper("command", command=command).restart(restarting(now())).owed


def test_a_restart_that_is_asked_for_again_is_announced_again(stage: Stage) -> None:
    """lessons.md L27, L31: the daemon may leave long after it was first asked to."""
    stage.start_daemon(commit_of("a"))
    for minutes in (10, 20):
        later = now() + timedelta(minutes=minutes)
        msgspec.structs.replace(stage.keeper("exit"), now=lambda at=later: at).restart(restarting(now()))
        assert planned_restart.read(stage.state, later) is not None


@pytest.mark.parametrize("mode", ["none", "exit", "sigterm", "launcher"])
def test_where_nothing_restarts_nothing_is_announced(stage: Stage, mode: str) -> None:
    with contextlib.suppress(LauncherMissing):
        stage.keeper(mode).restart(restarting(now()))
    assert not (stage.state / "planned-restart").exists()


@pytest.mark.parametrize("command", [("false",), ("no-such-program",)], ids=" ".join)
def test_a_restart_that_failed_is_not_announced_any_longer(stage: Stage, command: tuple[str, ...]) -> None:
    """lessons.md L31: from then on a daemon that is away is down."""
    with pytest.raises(NewleafError):
        stage.keeper("command", command=command).restart(restarting(now()))
    assert not (stage.state / "planned-restart").exists()


@pytest.mark.parametrize("mode", ["none", "exit", "sigterm", "command"])
def test_a_daemon_that_has_started_since_is_not_restarted_again(stage: Stage, mode: str) -> None:
    """lessons.md L28"""
    daemon = stage.start_daemon(commit_of("b"))
    command = ("sh", "-c", f"kill {daemon.pid}")
    restarted = stage.keeper(mode, command=command).restart(restarting(AN_HOUR_AGO))
    assert f"has started anew (pid {daemon.pid})" in restarted.detail
    assert not restarted.owed
    assert daemon.poll() is None
    assert not (stage.state / "planned-restart").exists()


def test_a_report_is_awaited_until_it_comes(stage: Stage) -> None:
    """lessons.md L1"""
    timer = threading.Timer(0.2, lambda: stage.start_daemon(commit_of("b"), "1.1.0"))
    timer.start()
    assert stage.keeper().await_report(restarting(AN_HOUR_AGO), 20)
    timer.join()


@pytest.mark.parametrize(
    ("letter", "asked"),
    [("a", AN_HOUR_AGO), ("b", now() + timedelta(hours=1))],
    ids=["other commit", "older process"],
)
def test_what_is_no_report_of_the_target_after_the_restart_does_not_count(
    stage: Stage, letter: str, asked: datetime
) -> None:
    """lessons.md L1"""
    stage.start_daemon(commit_of(letter))
    assert not stage.keeper().await_report(restarting(asked), 0.2)


def test_a_process_that_died_after_its_report_does_not_count(stage: Stage) -> None:
    daemon = stage.start_daemon(commit_of("b"))
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    assert not stage.keeper().await_report(restarting(AN_HOUR_AGO), 0.2)


@pytest.mark.parametrize(
    ("keeper", "is_inside", "is_said"),
    [("none", True, True), ("none", False, False), ("systemd", True, False), (None, True, False)],
)
def test_a_daemon_that_will_stay_is_asked_to_leave_then_that_is_said(
    keeper: str | None, is_inside: bool, is_said: bool, stage: Stage
) -> None:
    """lessons.md L6: `why` tells; a daemon without an updater inside leaves as it thinks fit."""
    stage.start_daemon()
    record = json.loads((stage.state / RECORD).read_text())
    (stage.state / RECORD).write_text(json.dumps({**record, "keeper": keeper}))
    with contextlib.ExitStack() as stack:
        if is_inside:
            stack.enter_context(alone(stage.state))
        restarted = stage.keeper("exit").restart(restarting(now()))
    assert restarted.owed
    assert ("no keeper is seen" in restarted.detail) == is_said
