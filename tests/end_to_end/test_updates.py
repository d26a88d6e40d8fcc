"""`newleaf` as a program on a real checkout: what a person types, and what comes of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.deployment import DAEMON, Deployment, migration, settings_text, wait_until


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment.make(tmp_path)


@pytest.fixture
def daemons() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(10)


def test_a_new_commit_is_updated_to(deployment: Deployment) -> None:
    commit = deployment.release("1.1.0")
    answer = deployment.run("update")
    assert (answer.code, answer.outcome) == (0, "updated")
    assert answer.record["to"] == {"commit": commit, "version": "1.1.0"}
    assert answer.record["from"]["version"] == "1.0.0"
    assert answer.record["commits"]["count"] == 1
    assert answer.record["confirmed"] is None
    assert deployment.head() == commit
    assert deployment.checkout.changes() == []


def test_a_second_update_is_up_to_date_and_writes_nothing(deployment: Deployment) -> None:
    deployment.release("1.1.0")
    deployment.run("update")
    before = (deployment.state / "journal.jsonl").read_bytes()
    answer = deployment.run("update")
    assert (answer.code, answer.outcome) == (0, "up_to_date")
    assert (deployment.state / "journal.jsonl").read_bytes() == before


def test_status_stays_restarting_until_a_process_reports(deployment: Deployment) -> None:
    """lessons.md L1, L3"""
    deployment.release("1.1.0")
    deployment.run("update")
    deployment.run("update")
    status = deployment.run("status").record
    assert (status["status"], status["running"]) == ("restarting", None)


def test_a_daemon_that_reports_confirms_the_update(
    tmp_path: Path, daemons: list[subprocess.Popen[str]]
) -> None:
    """lessons.md L1, L3, L4: the successor tells the outcome, once."""
    deployment = Deployment.make(tmp_path, {"daemon.py": DAEMON})
    commit = deployment.release("1.1.0")
    deployment.run("update")
    daemons.append(deployment.start_daemon())
    wait_until(lambda: deployment.record("status.json")["status"] == "deployed")
    status = deployment.run("status").record
    assert status["running"] == {"commit": commit, "version": "1.1.0"}
    assert deployment.run("history").record["attempts"][-1]["confirmed"] is True
    daemons[0].terminate()
    daemons[0].wait(10)
    assert deployment.run("status").record["running"] is None


def test_in_mode_exit_the_daemon_leaves_by_itself_and_the_next_start_confirms(
    tmp_path: Path, daemons: list[subprocess.Popen[str]]
) -> None:
    """lessons.md L27"""
    deployment = Deployment.make(tmp_path, {"daemon.py": DAEMON}, restart={"mode": "exit"})
    deployment.host_settings("")
    daemons.append(deployment.start_daemon())
    commit = deployment.release("1.1.0")
    answer = deployment.run("update")
    assert (answer.code, answer.outcome) == (4, "waiting")
    assert [waiting["gate"] for waiting in answer.record["waiting_for"]] == ["restart"]
    assert daemons[0].wait(10) == 42
    daemons.append(deployment.start_daemon())
    wait_until(lambda: deployment.record("status.json")["status"] == "deployed")
    done = deployment.run("update")
    assert (done.code, done.outcome, done.record["confirmed"]) == (0, "updated", True)
    assert deployment.record("daemon.pid")["commit"] == commit
    assert deployment.run("history").record["attempts"][-1]["confirmed"] is True
    assert not (deployment.state / "restart-requested").exists()


def test_an_update_ends_while_a_daemon_is_on_its_way_up_then_that_leaves_for_it_once_it_reports(
    tmp_path: Path, daemons: list[subprocess.Popen[str]]
) -> None:
    """lessons.md L1: nobody was seen that could have been asked to leave."""
    waits = (
        "import os, time\n"
        "open(os.path.expanduser('~/loaded'), 'w').close()\n"
        "while not os.path.exists(os.path.expanduser('~/may-report')): time.sleep(0.01)\n"
    )
    deployment = Deployment.make(tmp_path, {"daemon.py": waits + DAEMON}, restart={"mode": "exit"})
    deployment.host_settings("")
    daemons.append(deployment.launch_daemon())
    wait_until((deployment.home / "loaded").exists)
    commit = deployment.release("1.1.0")
    answer = deployment.run("update")
    assert (answer.code, answer.outcome, answer.record["confirmed"]) == (0, "updated", None)
    (deployment.home / "may-report").touch()
    assert daemons[0].wait(20) == 42
    status = deployment.record("status.json")
    assert (status["status"], status["target"]["commit"]) == ("waiting", commit)
    daemons.append(deployment.start_daemon())
    assert deployment.record("daemon.pid")["commit"] == commit
    assert deployment.record("status.json")["status"] == "deployed"
    assert not (deployment.state / "restart-requested").exists()


def test_in_mode_sigterm_with_wait_the_update_is_confirmed(
    tmp_path: Path, daemons: list[subprocess.Popen[str]]
) -> None:
    deployment = Deployment.make(tmp_path, {"daemon.py": DAEMON}, restart={"mode": "sigterm"})
    deployment.host_settings("")
    daemons.append(deployment.start_daemon())
    deployment.release("1.1.0")
    update = deployment.start("update", "--wait", "20", "--json")
    assert daemons[0].wait(20) == 0
    daemons.append(deployment.start_daemon())
    output, _ = update.communicate(timeout=30)
    assert json.loads(output)["confirmed"] is True
    assert update.returncode == 0


def test_a_restart_command_that_fails_is_owed(deployment: Deployment) -> None:
    """lessons.md L27"""
    marker = deployment.folder / "works"
    script = f'[restart]\nmode = "command"\ncommand = ["test", "-e", "{marker}"]\n'
    deployment.host_settings(script)
    deployment.release("1.1.0")
    failed = deployment.run("update")
    assert (failed.code, failed.outcome) == (1, "failed")
    marker.touch()
    assert deployment.run("update").outcome == "updated"
    assert deployment.run("update").outcome == "up_to_date"


def test_migrations_run_once_and_in_order(tmp_path: Path) -> None:
    deployment = Deployment.make(tmp_path)
    note = deployment.folder / "ran"
    body = f"open({str(note)!r}, 'a').write(__file__[-8:-3] + ' ')"
    deployment.release(
        "1.1.0",
        {"migrations/v1.1.0/001_a.py": migration(body), "migrations/v1.1.0/002_b.py": migration(body)},
    )
    answer = deployment.run("update")
    assert answer.outcome == "failed", "check() still says False after migrate(): done nothing (L19)"
    checked = f"import os; return os.path.exists({str(note)!r})"
    deployment.release(
        "1.1.1",
        {
            "migrations/v1.1.0/001_a.py": migration(f"open({str(note)!r}, 'a').write('a')", checked),
            "migrations/v1.1.0/002_b.py": None,
        },
    )
    assert deployment.run("update").outcome == "updated"
    assert deployment.record("migration_state.json")["applied"] == ["1.1.0/001_a.py"]


def failing_release(deployment: Deployment, data: Path) -> str:
    body = f"open({str(data)!r}, 'w').write('half'); raise OSError('broken')"
    return deployment.release("1.1.0", {"migrations/v1.1.0/001_a.py": migration(body)})


def test_a_failed_migration_restores_the_declared_data(tmp_path: Path) -> None:
    """Promise 4, lessons.md L32, L42"""
    data = tmp_path / "data" / "file"
    data.parent.mkdir()
    data.write_text("whole")
    deployment = Deployment.make(tmp_path, update={"state_paths": [str(data.parent)]})
    before = deployment.head()
    commit = failing_release(deployment, data)
    answer = deployment.run("update")
    assert (answer.code, answer.outcome) == (6, "rolled_back")
    assert data.read_text() == "whole"
    assert deployment.head() == before
    assert commit in deployment.record("denied.json")
    held = deployment.run("update")
    assert (held.code, held.outcome) == (0, "held")
    assert deployment.run("status").record["status"] == "rolled_back"
    assert deployment.run("why").record["last_failure"]["outcome"] == "rolled_back"
    newer = deployment.release("1.2.0", {"migrations/v1.1.0/001_a.py": None})
    assert deployment.run("update").outcome == "updated"
    assert deployment.head() == newer


def test_a_failed_migration_without_declared_data_is_a_failure_that_resumes(tmp_path: Path) -> None:
    """lessons.md L19"""
    deployment = Deployment.make(tmp_path)
    data, marker = tmp_path / "data", tmp_path / "mended"
    body = f"import os; assert os.path.exists({str(marker)!r}); open({str(data)!r}, 'w').write('new')"
    checked = f"import os; return os.path.exists({str(data)!r})"
    commit = deployment.release("1.1.0", {"migrations/v1.1.0/001_a.py": migration(body, checked)})
    failed = deployment.run("update")
    assert (failed.code, failed.outcome) == (1, "failed")
    marker.touch()
    assert deployment.run("update").outcome == "updated"
    assert (deployment.head(), data.read_text()) == (commit, "new")


def test_rollback_goes_back_and_denies_what_it_left(deployment: Deployment) -> None:
    """lessons.md L33, L42"""
    before = deployment.head()
    commit = deployment.release("1.1.0")
    deployment.run("update")
    answer = deployment.run("rollback")
    assert (answer.code, answer.outcome) == (0, "ok")
    assert deployment.head() == before
    assert deployment.remote.heads() == {"main": commit}, "the remote is never touched"
    assert deployment.run("update").outcome == "held"
    assert deployment.run("allow", commit[:12]).outcome == "ok"
    assert deployment.run("update").outcome == "updated"


def test_pin_holds_an_older_version_and_unpin_returns(tmp_path: Path) -> None:
    deployment = Deployment.make(tmp_path)
    deployment.host_settings('[deployment]\nchannel = "beta"\n')
    first = deployment.head()
    second = deployment.release("1.1.0")
    assert deployment.run("update").record["to"]["version"] == "1.1.0"
    assert deployment.run("pin", "1.0.0").outcome == "ok"
    assert deployment.run("update").outcome == "updated"
    assert deployment.head() == first
    deployment.run("unpin")
    deployment.run("update")
    assert deployment.head() == second


def test_a_suspended_host_is_held_with_the_reason(deployment: Deployment) -> None:
    deployment.release("1.1.0")
    before = deployment.head()
    deployment.run("suspend", "--why", "the fair")
    held = deployment.run("update")
    assert (held.code, held.outcome) == (0, "held")
    assert "the fair" in deployment.run("why").record["suspended"]
    assert deployment.head() == before
    deployment.run("resume")
    assert deployment.run("update").outcome == "updated"


def test_a_running_job_is_waited_for(deployment: Deployment) -> None:
    """lessons.md L26"""
    deployment.release("1.1.0")
    before = deployment.head()
    started = deployment.folder / "started"
    script = f"touch {started}; exec sleep 60"
    deployment.host_settings("")
    job = deployment.start("busy", "--", "sh", "-c", script)
    try:
        wait_until(started.exists)
        waiting = deployment.run("update")
        assert (waiting.code, waiting.outcome) == (4, "waiting")
        assert waiting.record["waiting_for"][0]["gate"] == "idle"
        assert deployment.head() == before
        gates = {gate["gate"]: gate for gate in deployment.run("why").record["gates"]}
        assert gates["idle"]["holds"] is False
        forced = deployment.run("update", "--force-busy")
        assert forced.outcome == "updated"
    finally:
        os.killpg(job.pid, signal.SIGKILL)
        job.communicate()


def test_the_new_process_may_begin_a_job_before_it_reports(tmp_path: Path) -> None:
    """A restart command that waits for a daemon that waits for busy.lock would wait for ever."""
    deployment = Deployment.make(tmp_path)
    script = f"import newleaf\nwith newleaf.busy(state_dir={str(deployment.state)!r}):\n    pass\n"
    command = [sys.executable, "-c", script]
    deployment.host_settings(f'[restart]\nmode = "command"\ncommand = {json.dumps(command)}\n')
    deployment.release("1.1.0")
    assert deployment.run("update").outcome == "updated"


def test_while_another_update_runs_its_owner_is_named(deployment: Deployment) -> None:
    """lessons.md L35, L36"""
    gate = deployment.folder / "go"
    script = f"while [ ! -e {gate} ]; do sleep 0.02; done"
    deployment.host_settings(f'[restart]\nmode = "command"\ncommand = ["sh", "-c", {json.dumps(script)}]\n')
    deployment.release("1.1.0")
    first = deployment.start("update", "--json")
    wait_until(lambda: "restart" in deployment.states())
    second = deployment.run("update")
    assert (second.code, second.outcome) == (3, "locked")
    assert str(first.pid) in second.record["errors"][0]["message"]
    gate.touch()
    output, _ = first.communicate(timeout=30)
    assert json.loads(output)["outcome"] == "updated"


def test_local_changes_and_untracked_files_survive(deployment: Deployment) -> None:
    """lessons.md L7, L23"""
    secret = deployment.checkout.write(".env", "TOKEN=made-up\n")
    deployment.checkout.write("newleaf.toml", deployment.checkout.read("newleaf.toml") + "\n# local\n")
    before = (secret.read_bytes(), secret.stat().st_mtime_ns)
    deployment.release("1.1.0")
    assert deployment.run("update").outcome == "updated"
    assert deployment.checkout.read("newleaf.toml").endswith("# local\n")
    assert (secret.read_bytes(), secret.stat().st_mtime_ns) == before


def test_what_init_wrote_and_somebody_committed_is_no_obstacle(tmp_path: Path) -> None:
    """lessons.md L23"""
    deployment = Deployment.make(tmp_path, {"newleaf.toml": None})
    text = settings_text()
    deployment.checkout.write("newleaf.toml", text)
    deployment.remote.commit({"newleaf.toml": text}, "Say how newleaf deploys this")
    assert deployment.run("update").outcome == "updated"
    assert deployment.checkout.changes() == []
    assert deployment.run("rollback").outcome == "ok"
    assert deployment.checkout.changes() == ["?? newleaf.toml"]


def test_git_status_of_the_checkout_says_that_it_is_in_step(deployment: Deployment) -> None:
    deployment.release("1.1.0")
    deployment.run("update")
    assert deployment.checkout.git("rev-list", "--count", "origin/main..main") == "0"


def test_a_rewritten_branch_is_refused(deployment: Deployment) -> None:
    """lessons.md L8"""
    before = deployment.head()
    deployment.remote.commit({"newleaf.toml": deployment.checkout.read("newleaf.toml")}, parent="")
    answer = deployment.run("update")
    assert (answer.code, answer.outcome) == (5, "refused")
    assert deployment.head() == before


def test_another_app_s_tree_is_refused(deployment: Deployment) -> None:
    text = deployment.checkout.read("newleaf.toml").replace("sessions", "other")
    deployment.remote.commit({"newleaf.toml": text})
    answer = deployment.run("update")
    assert (answer.code, answer.record["errors"][0]["code"]) == (5, "wrong_app")


def test_an_unreachable_remote_is_no_success(deployment: Deployment) -> None:
    """lessons.md L2"""
    os.rename(deployment.remote.path, deployment.folder / "gone")
    answer = deployment.run("update")
    assert (answer.code, answer.outcome) == (1, "failed")
    assert deployment.run("status").record["status"] == "update_failed"


def test_an_explicit_version_or_commit_may_lie_behind(deployment: Deployment) -> None:
    first = deployment.head()
    deployment.release("1.1.0")
    deployment.run("update")
    assert deployment.run("update", "--to", "1.0.0").outcome == "updated"
    assert deployment.head() == first


def test_a_dry_run_changes_nothing(deployment: Deployment) -> None:
    before = deployment.head()
    commit = deployment.release("1.1.0")
    answer = deployment.run("update", "--dry-run")
    assert (answer.code, answer.outcome) == (0, "available")
    assert answer.record["to"]["commit"] == commit
    assert deployment.head() == before
    assert not (deployment.state / "journal.jsonl").exists()


def test_a_spent_restart_budget_stops_and_says_so(deployment: Deployment) -> None:
    """lessons.md L34"""
    deployment.host_settings('[restart]\nmode = "command"\ncommand = "true"\nbudget = "1 in 30m"\n')
    deployment.release("1.1.0")
    assert deployment.run("update").outcome == "updated"
    head = deployment.head()
    deployment.release("1.2.0")
    answer = deployment.run("update")
    assert (answer.code, answer.outcome) == (7, "inconsistent")
    assert deployment.head() == head


def test_a_wrong_setting_is_a_usage_error_in_one_object(deployment: Deployment) -> None:
    deployment.host_settings('[deployment]\nchanel = "beta"\n')
    answer = deployment.run("update")
    assert (answer.code, answer.outcome) == (2, "usage")
    assert "deployment.channel" in answer.record["errors"][0]["message"]
    assert "Traceback" not in answer.errors


def test_a_bad_window_is_a_usage_error_before_anything_begins(deployment: Deployment) -> None:
    deployment.host_settings('[gates]\nwindow = "Someday 01:00-05:00"\n')
    deployment.release("1.1.0")
    answer = deployment.run("update")
    assert (answer.code, answer.outcome) == (2, "usage")
    assert "gates.window" in answer.record["errors"][0]["message"]
    assert deployment.states() == []


def test_a_host_that_requires_signatures_takes_nothing_unverified(deployment: Deployment) -> None:
    signers = deployment.folder / "signers"
    signers.touch()
    deployment.host_settings(f'[security]\nrequire = "tags"\nsigners = "{signers}"\n')
    head = deployment.head()
    deployment.release("1.1.0")
    answer = deployment.run("update")
    assert (answer.code, answer.record["errors"][0]["code"]) == (5, "tag_required")
    assert deployment.head() == head


JOURNALED = 7
"""Records of the journal before the one that ends a plain update with a migration and a snapshot."""


@pytest.mark.parametrize("number", range(1, JOURNALED + 3))
def test_killed_at_any_journal_record_the_next_update_arrives(tmp_path: Path, number: int) -> None:
    """Promise 5, lessons.md L13: right commit, right dependencies, each migration exactly once."""
    data = tmp_path / "data" / "file"
    data.parent.mkdir()
    deployment = Deployment.make(tmp_path, update={"state_paths": [str(data.parent)]})
    checked = f"import os; return os.path.exists({str(data)!r})"
    body = f"open({str(data)!r}, 'a').write('ran ')"
    commit = deployment.release("1.1.0", {"migrations/v1.1.0/001_a.py": migration(body, checked)})
    killed = deployment.run("update", kill_at=f"append:journal.jsonl:{number}")
    assert killed.code in (-signal.SIGKILL, 0)
    answer = deployment.run("update")
    assert answer.outcome in ("updated", "up_to_date")
    assert deployment.head() == commit
    assert data.read_text() == "ran "
    assert deployment.record("migration_state.json")["applied"] == ["1.1.0/001_a.py"]
    assert deployment.run("update").outcome == "up_to_date"
    assert deployment.checkout.changes() == []
