"""The restart edge: the daemon's record, a signal to that process alone, a command, and the flag's life."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from newleaf.core.errors import CommandFailed, CommandTimedOut, CorruptFile, NewerSchema
from newleaf.core.job_errors import NoDaemon
from newleaf.system import process_table, restarts
from newleaf.system.commands import Runner
from newleaf.system.restarts import (
    RestartFlag,
    clear_flag,
    drop_stale_flag,
    raise_flag,
    read_daemon,
    read_flag,
    run_restart_command,
    running_daemon,
    terminate_daemon,
    write_daemon,
)
from tests.support.children import python

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
COMMIT = "c0ffee" * 6 + "c0de"
DAEMON = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(42))
print("ready", flush=True)
signal.pause()
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


def record(state: Path, **fields: object) -> None:
    me = os.getpid()
    daemon = {
        "schema": 1,
        "pid": me,
        "started": process_table.start_time(me),
        "since": "2026-11-20T12:00:00Z",
    }
    (state / "daemon.pid").write_text(json.dumps(daemon | fields))


# --- the daemon -------------------------------------------------------------------------


def test_daemon_is_recorded_with_what_it_has_loaded(state: Path) -> None:
    written = write_daemon(state, os.getpid(), COMMIT, "1.3.0")
    found = running_daemon(state)
    assert found
    assert (found.pid, found.started, found.commit) == (written.pid, written.started, written.commit)
    assert (written.pid, written.commit, written.version) == (os.getpid(), COMMIT, "1.3.0")
    text = json.loads((state / "daemon.pid").read_text())
    assert text["schema"] == 1
    assert text["pid"] == os.getpid()


def test_daemon_may_not_know_its_release(state: Path) -> None:
    write_daemon(state, os.getpid(), None, None)
    daemon = running_daemon(state)
    assert daemon
    assert (daemon.commit, daemon.version) == (None, None)


def test_without_a_record_no_daemon_runs(state: Path) -> None:
    assert read_daemon(state) is None
    assert running_daemon(state) is None


def test_daemon_that_has_ended_does_not_run(state: Path) -> None:
    with python(DAEMON) as daemon:
        write_daemon(state, daemon.pid, COMMIT, "1.3.0")
        assert running_daemon(state)
    assert running_daemon(state) is None
    assert read_daemon(state)


def test_number_used_again_is_no_daemon(state: Path) -> None:
    """lessons.md L35"""
    record(state, started="another-boot/17")
    assert running_daemon(state) is None


def test_process_that_does_not_exist_is_not_recorded(state: Path) -> None:
    with pytest.raises(NoDaemon):
        write_daemon(state, 2**22 + 5, COMMIT, None)
    assert not (state / "daemon.pid").exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"pid": "12"},
        {"pid": True},
        {"pid": None},
        {"started": 5},
        {"since": "yesterday"},
        {"since": None},
        {"commit": 5},
        {"version": []},
    ],
)
def test_damaged_record_is_an_error_with_its_path(state: Path, fields: dict[str, object]) -> None:
    record(state, **fields)
    with pytest.raises(CorruptFile) as damaged:
        read_daemon(state)
    assert str(state / "daemon.pid") in damaged.value.message


def test_record_without_a_field_is_an_error(state: Path) -> None:
    (state / "daemon.pid").write_text('{"schema": 1, "pid": 5}')
    with pytest.raises(CorruptFile):
        read_daemon(state)


def test_record_of_a_newer_newleaf_is_not_overwritten(state: Path) -> None:
    record(state, schema=2)
    with pytest.raises(NewerSchema):
        write_daemon(state, os.getpid(), COMMIT, None)


def test_record_is_not_written_through_a_symlink(state: Path, tmp_path: Path) -> None:
    """threats.md T20"""
    other = tmp_path / "precious"
    other.write_text("precious")
    (state / "daemon.pid").symlink_to(other)
    with pytest.raises(CorruptFile):
        read_daemon(state)
    write_daemon(state, os.getpid(), COMMIT, None)
    assert other.read_text() == "precious"
    assert running_daemon(state)


# --- restart.mode sigterm and command ---------------------------------------------------


def test_daemon_is_told_to_end(state: Path) -> None:
    with python(DAEMON) as daemon:
        write_daemon(state, daemon.pid, COMMIT, "1.3.0")
        assert terminate_daemon(state).pid == daemon.pid
        assert daemon.wait(timeout=20) == 42


def test_process_with_the_daemons_number_is_not_told_to_end(state: Path) -> None:
    """lessons.md L35: the daemon died, and its number went to somebody innocent."""
    with python(DAEMON) as innocent:
        record(state, pid=innocent.pid, started="another-boot/17")
        with pytest.raises(NoDaemon):
            terminate_daemon(state)
        os.kill(innocent.pid, 0)
        assert innocent.poll() is None


def test_no_daemon_to_tell_is_said(state: Path) -> None:
    with pytest.raises(NoDaemon) as missing:
        terminate_daemon(state)
    assert "newleaf.ready()" in missing.value.advice


def test_command_restarts(state: Path) -> None:
    run_restart_command(Runner(), ["sh", "-c", 'echo "$WHO" > restarted'], state, {"WHO": "me"})
    assert (state / "restarted").read_text() == "me\n"


def test_command_that_fails_or_hangs_is_said(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """lessons.md L2, L22"""
    env = {"PATH": os.environ["PATH"]}
    with pytest.raises(CommandFailed) as failed:
        run_restart_command(Runner(), ["sh", "-c", "echo no such unit; exit 5"], state, env)
    assert "restart.command failed (exit 5): no such unit" in failed.value.message
    monkeypatch.setattr(restarts, "COMMAND_SECONDS", 0.1)
    with pytest.raises(CommandTimedOut):
        run_restart_command(Runner(), ["sleep", "60"], state, env)


# --- the flag ---------------------------------------------------------------------------


def flag(state: Path, text: str | bytes) -> Path:
    path = state / "restart-requested"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_flag_is_written_as_the_contract_says(state: Path) -> None:
    raise_flag(state, 3, NOW)
    assert (state / "restart-requested").read_text() == "2026-11-20T12:00:00Z 3 commit(s)\n"
    assert read_flag(state, NOW) == RestartFlag(NOW, 3)


def test_flag_without_its_line_end_is_good(state: Path) -> None:
    flag(state, "2026-11-20T12:00:00Z 3 commit(s)")
    assert read_flag(state, NOW)


def test_no_flag_is_no_request(state: Path) -> None:
    assert read_flag(state, NOW) is None
    assert not drop_stale_flag(state, NOW, NOW)
    clear_flag(state)


def test_flag_that_is_cleared_is_gone(state: Path) -> None:
    raise_flag(state, 1, NOW)
    clear_flag(state)
    assert read_flag(state, NOW) is None


def test_good_flag_survives_the_start_that_it_is_younger_than(state: Path) -> None:
    """lessons.md L27"""
    raise_flag(state, 1, NOW)
    assert not drop_stale_flag(state, NOW + timedelta(hours=1), NOW - timedelta(hours=1))
    assert read_flag(state, NOW, NOW - timedelta(hours=1))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "yes",
        "2026-11-20T12:00:00Z",
        "2026-11-20T12:00:00Z 3 commits",
        "2026-11-20T12:00:00Z x commit(s)",
        "2026-11-20T12:00:00Z -3 commit(s)",
        "2026-11-20T12:00:00Z 3 commit(s) and more",
        "2026-11-20T12:00:00Z 3 commit(s)\n2026-11-20T12:00:00Z 3 commit(s)\n",
        " 2026-11-20T12:00:00Z 3 commit(s)",
        "2026-11-20T12:00:00+01:00 3 commit(s)",
        "2026-13-20T12:00:00Z 3 commit(s)",
        "2026-11-20 12:00:00Z 3 commit(s)",
        "\uff12026-11-20T12:00:00Z 3 commit(s)",
        b"\xff\xfe\x00",
        "x" * 100_000,
    ],
)
def test_malformed_flag_is_removed_at_the_start(state: Path, text: str | bytes) -> None:
    """lessons.md L29: never a restart loop."""
    path = flag(state, text)
    assert read_flag(state, NOW) is None
    assert drop_stale_flag(state, NOW, NOW - timedelta(hours=1))
    assert not path.exists()


@pytest.mark.parametrize(("ahead_seconds", "is_good"), [(0, True), (1, True), (2, False), (86_400, False)])
def test_flag_from_the_future_is_removed_at_the_start(state: Path, ahead_seconds: int, is_good: bool) -> None:
    """lessons.md L29"""
    raise_flag(state, 1, NOW + timedelta(seconds=ahead_seconds))
    assert drop_stale_flag(state, NOW, NOW - timedelta(hours=1)) is not is_good


def test_flag_from_before_the_start_is_removed(state: Path) -> None:
    """lessons.md L29: the restart that it asked for has happened."""
    raise_flag(state, 1, NOW)
    assert read_flag(state, NOW, started_at=NOW + timedelta(milliseconds=400)) is None
    assert drop_stale_flag(state, NOW + timedelta(seconds=1), NOW + timedelta(milliseconds=400))
    assert not (state / "restart-requested").exists()


@pytest.mark.parametrize(
    ("started", "written", "is_good"),
    [(0.4, 0.7, True), (0.4, 0.3, False), (0.4, 1.2, False), (0.4, -5.0, False), (-0.1, 0.2, True)],
)
def test_flag_of_the_second_of_the_start_then_the_files_own_time_decides(
    started: float, written: float, is_good: bool, state: Path
) -> None:
    """lessons.md L27, L29: raised after the start it is not lost, and one from before makes no loop."""
    raise_flag(state, 1, NOW)
    moment = NOW.timestamp() + written
    os.utime(state / "restart-requested", (moment, moment))
    flag = read_flag(state, NOW + timedelta(seconds=1), NOW + timedelta(seconds=started))
    assert (flag is not None) == is_good


def test_symlink_as_flag_is_removed_and_the_other_file_untouched(state: Path, tmp_path: Path) -> None:
    """threats.md T20"""
    other = tmp_path / "precious"
    other.write_text("2026-11-20T12:00:00Z 3 commit(s)")
    link = state / "restart-requested"
    link.symlink_to(other)
    assert read_flag(state, NOW) is None
    raise_flag(state, 1, NOW)
    assert other.read_text() == "2026-11-20T12:00:00Z 3 commit(s)"
    link.unlink()
    link.symlink_to(other)
    assert drop_stale_flag(state, NOW, NOW - timedelta(hours=1))
    assert not os.path.lexists(link)
    assert other.read_text() == "2026-11-20T12:00:00Z 3 commit(s)"


def test_pipe_as_flag_is_removed_without_waiting_for_its_writer(state: Path) -> None:
    os.mkfifo(state / "restart-requested")
    assert drop_stale_flag(state, NOW, NOW - timedelta(hours=1))
    assert not os.path.lexists(state / "restart-requested")


def test_flag_raised_for_a_running_process_is_seen_by_it(state: Path) -> None:
    """lessons.md L27: by this process's own start time."""
    me = process_table.find(os.getpid())
    assert me
    now = datetime.now(UTC)
    raise_flag(state, 2, now)
    assert read_flag(state, now, me.started_at)


@pytest.mark.parametrize(("declared", "keeper"), [("1", "declared"), ("0", "none")])
def test_a_daemon_reports_itself_then_what_would_start_it_again_is_recorded(
    declared: str, keeper: str, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lessons.md L28"""
    monkeypatch.setenv("NEWLEAF_KEEPER", declared)
    write_daemon(state, os.getpid(), None, None)
    found = read_daemon(state)
    assert found
    assert found.keeper == keeper
