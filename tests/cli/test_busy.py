"""`newleaf busy -- COMMAND…`: the portable form of a job."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from newleaf.system.busy_lock import probe, quiet
from tests.support.children import read_line, started
from tests.support.kills import PATIENCE_SECONDS, wait_until

NEWLEAF = [sys.executable, "-c", "from newleaf.cli.main import main; main()"]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    monkeypatch.setenv("NEWLEAF_STATE_DIR", str(folder))
    return folder


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*NEWLEAF, *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_job_holds_the_lock_while_it_runs_and_no_longer(state: Path) -> None:
    """lessons.md L26"""
    with started(*NEWLEAF, "busy", "--", "sh", "-c", "echo ready; read line") as job:
        assert not probe(state).is_idle
        assert job.stdin
        job.stdin.write("\n")
        job.stdin.flush()
        assert job.wait(timeout=PATIENCE_SECONDS) == 0
    assert probe(state).is_idle


def test_job_goes_on_holding_the_lock_when_newleaf_is_killed(state: Path) -> None:
    """lessons.md L26, L35: the job has the descriptor, and as long as it runs it is a job."""
    with started(*NEWLEAF, "busy", "--", "sh", "-c", "echo ready; read line; read more") as newleaf:
        os.kill(newleaf.pid, signal.SIGKILL)
        newleaf.wait()
        assert not probe(state).is_idle
    wait_until(lambda: probe(state).is_idle, "the job to be gone")


@pytest.mark.parametrize(("command", "expected"), [("exit 3", 3), ("kill -TERM $$", 143)])
def test_exit_status_is_the_jobs_own(state: Path, command: str, expected: int) -> None:
    assert run("busy", "--", "sh", "-c", command).returncode == expected


def test_missing_program_is_127_with_a_word_on_it(state: Path) -> None:
    finished = run("busy", "--", "no-such-program")
    assert finished.returncode == 127
    assert finished.stderr == "newleaf: there is no program no-such-program\n"


def test_program_that_may_not_run_is_126_with_a_word_on_it(state: Path, tmp_path: Path) -> None:
    (tmp_path / "job").write_text("")
    finished = run("busy", "--", str(tmp_path / "job"))
    assert finished.returncode == 126
    assert "cannot be run" in finished.stderr


def test_without_a_command_the_use_is_wrong(state: Path) -> None:
    assert run("busy").returncode == 2
    assert run("busy", "--").returncode == 2


def test_arguments_after_the_dashes_are_the_commands_own(state: Path) -> None:
    finished = run("busy", "--", "echo", "--json", "--app", "-x")
    assert finished.stdout == "--json --app -x\n"


def test_signal_is_passed_on_to_the_job(state: Path) -> None:
    command = "trap 'echo stopped; exit 9' TERM; echo ready; while :; do sleep 0.02; done"
    with started(*NEWLEAF, "busy", "--", "sh", "-c", command) as job:
        os.kill(job.pid, signal.SIGTERM)
        assert read_line(job.stdout) == "stopped"
        assert job.wait(timeout=PATIENCE_SECONDS) == 9


def test_json_leaves_standard_output_to_one_object(state: Path) -> None:
    finished = run("busy", "--json", "--", "sh", "-c", "echo the job speaks; exit 4")
    assert json.loads(finished.stdout) == {"schema": 1, "outcome": "failed", "exit": 4}
    assert finished.stderr == "the job speaks\n"
    assert finished.returncode == 4


def test_job_waits_while_an_update_changes_the_tree_and_says_so_on_a_terminal(state: Path) -> None:
    """lessons.md L26"""
    assert run("busy", "--", "true").returncode == 0
    terminal, other_end = pty.openpty()
    with quiet(state):
        job = subprocess.Popen(
            [*NEWLEAF, "busy", "--", "sh", "-c", "echo begun"],
            stdout=subprocess.PIPE,
            stderr=other_end,
            text=True,
            env={**os.environ, "TERM": "xterm"},
        )
        os.close(other_end)
        assert b"waiting for the update to end" in os.read(terminal, 1024)
        assert job.poll() is None
    assert job.communicate(timeout=PATIENCE_SECONDS)[0] == "begun\n"
    os.close(terminal)


def test_job_that_waits_says_nothing_where_nobody_watches(state: Path) -> None:
    assert run("busy", "--", "true").returncode == 0
    with quiet(state):
        job = subprocess.Popen(
            [*NEWLEAF, "busy", "--", "true"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        with pytest.raises(subprocess.TimeoutExpired):
            job.wait(0.4)
    assert job.communicate(timeout=PATIENCE_SECONDS) == ("", "")


def test_state_directory_that_others_can_write_is_refused(state: Path) -> None:
    """threats.md T21"""
    state.mkdir()
    state.chmod(0o777)
    finished = run("busy", "--", "true")
    assert finished.returncode == 2
    assert f"chmod 700 {state}" in finished.stderr
