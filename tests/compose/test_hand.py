"""`newleaf migrate` on a real host: the tree as it lies, the host's own version, the daemon, its jobs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from newleaf.system import busy_lock
from newleaf.system.locks import update_lock
from tests.support.deployment import DAEMON, Deployment
from tests.support.repositories import Content

MARKING = """\
{declared}
import os
from pathlib import Path

mark = Path(os.environ["NEWLEAF_STATE_DIR"]) / "{name}"

def check():
    return mark.exists()

def migrate():
    mark.write_text(f"{{os.environ['NEWLEAF_COMMIT']}} {{os.environ['NEWLEAF_VERSION']}} {{os.getcwd()}}")
    return True
"""


def script(name: str, declared: str = "") -> str:
    return MARKING.format(name=name, declared=declared)


@pytest.fixture
def host(tmp_path: Path) -> Deployment:
    files: dict[str, Content] = {
        "daemon.py": DAEMON,
        "migrations/v1.0.0/001_old.py": script("old"),
        "migrations/v1.1.0/001_a.py": script("a"),
    }
    return Deployment.make(tmp_path, files)


def lay(host: Deployment, path: str, text: str) -> None:
    """Writes a file into the checkout, tracked by nobody."""
    (host.checkout.path / path).parent.mkdir(parents=True, exist_ok=True)
    (host.checkout.path / path).write_text(text)


def set_version(host: Deployment, version: str) -> None:
    lay(host, "pyproject.toml", f'[project]\nname = "sessions"\nversion = "{version}"\n')


def test_files_count_as_they_lie_there(host: Deployment) -> None:
    set_version(host, "1.1.0")
    lay(host, "migrations/v1.1.0/002_b.py", script("b"))
    answer = host.run("migrate", "--from", "1.0.0")
    assert (answer.code, answer.outcome) == (0, "ok")
    assert answer.record["scripts"] == ["1.1.0/001_a.py", "1.1.0/002_b.py"]
    told = (host.state / "b").read_text().split()
    assert told == [host.head(), "1.1.0", str(host.checkout.path)]


def test_the_range_starts_where_newleaf_last_brought_this_host(host: Deployment) -> None:
    """lessons.md L21."""
    host.run("migrate")
    assert host.record("migration_state.json")["applied"] == ["1.0.0/001_old.py"]
    host.release("1.1.0", {"migrations/v1.1.0/002_b.py": script("b")})
    assert host.run("update").outcome == "updated"
    assert host.record("migration_state.json")["applied"][1:] == ["1.1.0/001_a.py", "1.1.0/002_b.py"]
    set_version(host, "1.2.0")
    lay(host, "migrations/v1.1.0/003_late.py", script("late"))
    lay(host, "migrations/v1.2.0/001_c.py", script("c"))
    answer = host.run("migrate", "--dry-run")
    assert (answer.record["from"], answer.record["to"]) == ("1.1.0", "1.2.0")
    assert answer.record["scripts"] == ["1.2.0/001_c.py"]
    assert answer.record["left"] == ["1.1.0/003_late.py"]


def test_one_that_needs_the_daemon_stopped_waits_until_none_runs(host: Deployment) -> None:
    lay(host, "migrations/v1.0.0/002_off.py", script("off", "OFFLINE = True"))
    host.state.mkdir(mode=0o700)
    daemon = host.start_daemon()
    try:
        answer = host.run("migrate")
        assert (answer.code, answer.outcome) == (4, "waiting")
        (waiting,) = answer.record["waiting_for"]
        assert waiting["gate"] == "restart"
        assert "1.0.0/002_off.py" in waiting["reason"]
        assert not (host.state / "old").exists(), "nothing of the plan has run"
    finally:
        daemon.terminate()
        daemon.wait()
    assert host.run("migrate").outcome == "ok"
    assert (host.state / "off").exists()


def test_beside_a_daemon_it_waits_for_running_jobs(host: Deployment) -> None:
    """lessons.md L26."""
    host.state.mkdir(mode=0o700)
    with busy_lock.open_shared(host.state) as job:
        assert busy_lock.try_shared(job)
        answer = host.run("migrate")
        assert (answer.code, answer.record["waiting_for"][0]["gate"]) == (4, "idle")
        assert str(os.getpid()) in answer.record["waiting_for"][0]["reason"]
        assert not (host.state / "old").exists()
    assert host.run("migrate").outcome == "ok"


def test_one_that_is_safe_beside_the_old_release_waits_for_nobody(host: Deployment) -> None:
    lay(host, "migrations/v1.0.0/001_old.py", script("old", "ONLINE = True"))
    host.state.mkdir(mode=0o700)
    with busy_lock.open_shared(host.state) as job:
        assert busy_lock.try_shared(job)
        assert host.run("migrate").outcome == "ok"


def test_a_daemon_that_says_it_is_busy_is_left_alone(tmp_path: Path) -> None:
    """lessons.md L26."""
    files: dict[str, Content] = {"daemon.py": DAEMON, "migrations/v1.0.0/001_old.py": script("old")}
    host = Deployment.make(tmp_path, files, gates={"idle_command": "sh -c 'exit 75'"})
    host.state.mkdir(mode=0o700)
    daemon = host.start_daemon()
    try:
        assert host.run("migrate").record["waiting_for"][0]["gate"] == "idle"
    finally:
        daemon.terminate()
        daemon.wait()
    assert host.run("migrate").outcome == "ok", "nobody is there whom to ask"


def test_no_job_starts_while_it_runs(host: Deployment) -> None:
    look = "from newleaf.system import busy_lock\nimport os\nfrom pathlib import Path\n"
    look += "idle = busy_lock.probe(Path(os.environ['NEWLEAF_STATE_DIR'])).is_idle\nchecked = []\n"
    look += "def check(): return bool(checked)\ndef migrate():\n    checked.append(1)\n    return not idle\n"
    lay(host, "migrations/v1.0.0/001_old.py", look)
    host.environment["NEWLEAF_UPDATE__MIGRATE_TIMEOUT"] = "20"
    assert host.run("migrate").outcome == "ok"


def test_one_update_at_a_time(host: Deployment) -> None:
    host.state.mkdir(mode=0o700)
    with update_lock(host.state, "newleaf update", "to move to 1.1.0"):
        answer = host.run("migrate")
        assert (answer.code, answer.outcome) == (3, "locked")
        assert host.run("migrate", "--dry-run").code == 0


def test_a_checkout_without_a_remote_can_be_migrated(host: Deployment) -> None:
    host.checkout.git("remote", "remove", "origin")
    assert host.run("migrate").outcome == "ok"
    assert (host.state / "old").exists()
