"""Release slots as typed: updates, refusals, failures, the way back; the live release untouched meanwhile."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.deployment import DAEMON, SlotDeployment, migration, wait_until
from tests.support.repositories import Link, Script

BROKEN = {"app.py": "import a_package_that_nobody_has\n"}
COMMAND = [sys.executable, "app.py"]
GUARDED = "if __name__ == '__main__':\n    print({!r})\n"


def make(folder: Path, **tables: object) -> SlotDeployment:
    app = {"command": COMMAND, **dict(tables.pop("app", {}))}  # type: ignore[call-overload]
    return SlotDeployment.make(folder, {"app.py": GUARDED.format("1.0.0")}, app=app, **tables)


def steps_of(record: dict[str, object]) -> dict[str, bool]:
    """The steps of an answer, each with whether something was done."""
    steps = record["steps"]
    assert isinstance(steps, list)
    return {step["name"]: not step["skipped"] for step in steps}


def test_a_push_becomes_a_release_of_its_own_and_current_leads_to_it(tmp_path: Path) -> None:
    deployment = make(tmp_path)
    first = deployment.head()
    live = deployment.app.resolve()
    before = {path: path.stat().st_mtime_ns for path in live.rglob("*") if path.is_file()}
    second = deployment.release("1.1.0", {"run.sh": Script("#!/bin/sh\n"), "link": Link("app.py")})

    done = deployment.run("update")

    assert (done.code, done.outcome) == (0, "updated")
    assert (done.record["from"]["commit"], done.record["to"]["commit"]) == (first, second)
    assert list(steps_of(done.record)) == "fetch verify install preflight migrate activate restart".split()
    assert os.readlink(deployment.app) == f"releases/{second}"
    assert os.readlink(deployment.state / "previous") == f"releases/{first}"
    assert (deployment.app / "app.py").read_text() == "print('1.1.0')\n"
    assert os.access(deployment.app / "run.sh", os.X_OK)
    assert (deployment.app / "link").readlink() == Path("app.py")
    assert {path: path.stat().st_mtime_ns for path in before} == before, "the old release is never changed"
    record = deployment.record("current/.newleaf-release.json")
    assert {key: record[key] for key in ("commit", "version", "tag", "channel", "environment")} == {
        "commit": second,
        "version": "1.1.0",
        "tag": None,
        "channel": "alpha",
        "environment": None,
    }
    assert deployment.run("update").outcome == "up_to_date"


def test_a_release_that_cannot_be_loaded_never_becomes_live(tmp_path: Path) -> None:
    """Promise 4, lessons.md L42: refused in preflight, denied on every way, and a newer one goes on."""
    deployment = make(tmp_path)
    first = deployment.head()
    broken = deployment.release("1.1.0", BROKEN)

    failed = deployment.run("update")

    assert (failed.code, failed.outcome) == (1, "failed")
    error = failed.record["errors"][0]
    assert error["code"] == "preflight_failed"
    assert "a_package_that_nobody_has" in error["message"]
    assert any("ModuleNotFoundError" in line for line in error["lines"])
    assert deployment.head() == first
    assert deployment.record("status.json")["status"] == "update_failed"
    assert broken in deployment.record("denied.json")
    assert broken[:12] in error["cure"]
    for arguments in (["update"], ["update", "--now"], ["update", "--to", broken]):
        held = deployment.run(*arguments)
        assert (held.code, held.outcome) == (0, "held"), arguments
    assert deployment.run("check").outcome != "available"
    assert not (deployment.state / "update_available.json").exists()
    third = deployment.release("1.2.0", {"app.py": GUARDED.format("1.2.0")})
    assert deployment.run("update").outcome == "updated"
    assert deployment.head() == third


def with_update(deployment: SlotDeployment, lines: str) -> str:
    """The newleaf.toml that is live, with more lines in [update]."""
    return (deployment.app / "newleaf.toml").read_text().replace("[update]\n", f"[update]\n{lines}\n")


def test_a_denied_release_is_tried_again_once_a_person_allows_it(tmp_path: Path) -> None:
    deployment = make(tmp_path)
    table = with_update(deployment, 'preflight_command = ["sh", "-c", "test -e ../../mended"]')
    commit = deployment.release("1.1.0", {"newleaf.toml": table})
    assert deployment.run("update").record["errors"][0]["code"] == "preflight_failed"
    (deployment.state / "mended").touch()
    assert deployment.run("update").outcome == "held"
    assert deployment.run("allow", commit[:12]).outcome == "ok"
    assert deployment.run("update").outcome == "updated"
    assert deployment.head() == commit


def test_a_preflight_that_hangs_is_stopped_at_its_deadline(tmp_path: Path) -> None:
    """lessons.md L22"""
    deployment = make(tmp_path)
    pid = tmp_path / "pid"
    hanging = f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)\n"
    files = {
        "newleaf.toml": with_update(deployment, "preflight_timeout = 0.5"),
        "app.py": hanging + GUARDED.format("1.1.0"),
    }
    deployment.release("1.1.0", files)
    failed = deployment.run("update")
    assert failed.record["errors"][0]["code"] == "preflight_failed"
    assert "preflight_timeout" in failed.record["errors"][0]["message"]
    wait_until(lambda: not Path(f"/proc/{pid.read_text()}/stat").exists())


def test_what_is_shared_goes_from_release_to_release(tmp_path: Path) -> None:
    """lessons.md L23"""
    deployment = make(tmp_path, app={"shared": [".env", "data"]})
    (deployment.app / ".env").write_text("TOKEN=canary\n")
    (deployment.app / "data" / "kept.txt").write_text("kept")
    deployment.release("1.1.0")
    assert deployment.run("update").outcome == "updated"
    assert (deployment.app / ".env").read_text() == "TOKEN=canary\n"
    assert (deployment.app / "data" / "kept.txt").read_text() == "kept"
    assert (deployment.app / "data").resolve() == deployment.state / "shared" / "data"


def rows(deployment: SlotDeployment) -> list[tuple[str]]:
    with sqlite3.connect(deployment.state / "shared/data/app.db") as database:
        return database.execute("select text from notes").fetchall()


def with_database(folder: Path) -> SlotDeployment:
    deployment = make(folder, update={"state_paths": ["data"]})
    with sqlite3.connect(deployment.app / "data/app.db") as database:
        database.execute("create table notes (text)")
        database.execute("insert into notes values ('first')")
    return deployment


OPEN = "import sqlite3; db = sqlite3.connect('data/app.db')"
WRITES = f"{OPEN}; db.execute(\"insert into notes values ('new')\"); db.commit()"
MIGRATION = migration(WRITES, f"{OPEN}; return db.execute('select count(*) from notes').fetchone()[0] > 1")


def test_declared_data_lies_outside_of_every_release_and_is_migrated(tmp_path: Path) -> None:
    """No data lost: what `update.state_paths` names is shared whether app.shared names it or not."""
    deployment = with_database(tmp_path)
    deployment.release("1.1.0", {"migrations/v1.1.0/001_a.py": MIGRATION})
    assert deployment.run("update").outcome == "updated"
    assert rows(deployment) == [("first",), ("new",)]


def test_a_migration_that_fails_leaves_the_data_as_it_was_and_the_old_release_live(tmp_path: Path) -> None:
    """Promise 4, lessons.md L19, L42"""
    deployment = with_database(tmp_path)
    first = deployment.head()
    failing = migration(f"{WRITES}; raise RuntimeError('no')")
    broken = deployment.release("1.1.0", {"migrations/v1.1.0/001_a.py": failing})
    done = deployment.run("update")
    assert (done.code, done.outcome) == (6, "rolled_back")
    assert rows(deployment) == [("first",)]
    assert deployment.head() == first
    aside = [note for note in done.record["notes"] if "written meanwhile" in note]
    assert aside
    assert list((deployment.state / "snapshots").glob("*/aside*/**/*.db")), "kept aside, and named"
    assert broken in deployment.record("denied.json")
    assert deployment.run("update").outcome == "held"


def test_a_person_goes_back_and_forth_without_building_anything_again(tmp_path: Path) -> None:
    """lessons.md L33, L42"""
    deployment = with_database(tmp_path)
    first = deployment.head()
    second = deployment.release("1.1.0", {"migrations/v1.1.0/001_a.py": MIGRATION})
    deployment.run("update")
    inode = deployment.slot(first).stat().st_ino
    heads = deployment.remote.heads()

    back = deployment.run("rollback", "--data")

    assert (back.code, back.outcome, deployment.head()) == (0, "ok", first)
    assert deployment.slot(first).stat().st_ino == inode
    assert rows(deployment) == [("first",)]
    assert os.readlink(deployment.state / "previous") == f"releases/{second}"
    assert deployment.remote.heads() == heads
    assert deployment.run("update").outcome == "held"
    assert deployment.run("allow", second).outcome == "ok"
    assert deployment.run("update").outcome == "updated"
    assert rows(deployment) == [("first",), ("new",)]


def test_on_alpha_a_branch_that_was_rewritten_is_refused(tmp_path: Path) -> None:
    """threats.md § verification, lessons.md L8"""
    deployment = make(tmp_path)
    first = deployment.head()
    other = deployment.remote.commit({"app.py": GUARDED.format("x")}, parent="", message="Another history")
    refused = deployment.run("update")
    assert (refused.code, refused.outcome) == (5, "refused")
    assert refused.record["errors"][0]["code"] in ("not_descendant", "tree_refused", "settings_invalid")
    assert deployment.head() == first
    assert other not in deployment.slots()


def test_only_releases_that_are_needed_stay(tmp_path: Path) -> None:
    """lessons.md L24"""
    deployment = make(tmp_path, update={"keep_releases": 1})
    commits = [deployment.head()]
    for number in range(1, 5):
        commits.append(deployment.release(f"1.{number}.0"))
        assert deployment.run("update").outcome == "updated"
    assert deployment.slots() == {*commits[-2:]}


def test_a_release_that_a_process_uses_stays(tmp_path: Path) -> None:
    """lessons.md L24"""
    deployment = make(tmp_path, update={"keep_releases": 1})
    used = deployment.head()
    process = subprocess.Popen(["sleep", "60"], cwd=deployment.slot(used))
    try:
        for number in range(1, 5):
            deployment.release(f"1.{number}.0")
            deployment.run("update")
        assert used in deployment.slots()
        assert len(deployment.slots()) == 3
    finally:
        process.kill()
        process.wait()
    deployment.release("1.9.0")
    deployment.run("update")
    assert used not in deployment.slots()


def test_what_an_app_wrote_into_its_release_is_kept_and_named(tmp_path: Path) -> None:
    """Promise 2, lessons.md L23"""
    deployment = make(tmp_path, update={"keep_releases": 1})
    first = deployment.head()
    (deployment.app / "journal.txt").write_text("precious")
    notes: list[str] = []
    for number in range(1, 4):
        deployment.release(f"1.{number}.0")
        notes += deployment.run("update").record["notes"]
    assert (deployment.state / "left" / first / "journal.txt").read_text() == "precious"
    assert any("journal.txt" in note and "app.shared" in note for note in notes)


def test_the_truth_is_what_the_process_has_loaded(tmp_path: Path) -> None:
    """lessons.md L1: a daemon in its own release says that one, whatever `current` leads to."""
    deployment = SlotDeployment.make(
        tmp_path, {"daemon.py": DAEMON, "app.py": GUARDED.format("1")}, restart={"mode": "exit"}
    )
    first = deployment.head()
    daemon = deployment.start_daemon()
    try:
        assert deployment.run("status").record["running"]["commit"] == first
        second = deployment.release("1.1.0")
        waiting = deployment.run("update")
        assert (waiting.code, [each["gate"] for each in waiting.record["waiting_for"]]) == (4, ["restart"])
        assert daemon.wait(20) == 42
    finally:
        daemon.kill()
        daemon.wait()
    again = deployment.start_daemon()
    try:
        wait_until(lambda: deployment.run("status").record["status"] == "deployed")
        assert deployment.run("status").record["running"]["commit"] == second
        assert deployment.run("history").record["attempts"][-1]["confirmed"] is True
    finally:
        again.kill()
        again.wait()


@pytest.mark.parametrize("place", ["home", "release", "elsewhere"])
def test_verbs_find_the_app_wherever_one_stands(tmp_path: Path, place: str) -> None:
    deployment = make(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    folder = {"home": deployment.home, "release": deployment.app, "elsewhere": tmp_path / "elsewhere"}[place]
    for verb in (
        ["status"],
        ["why"],
        ["history"],
        ["check"],
        ["config"],
        ["version"],
        ["migrate", "--dry-run"],
    ):
        answer = deployment.run(*verb, folder=folder)
        assert answer.code == 0, (verb, answer)
    assert deployment.run("version", folder=folder).record["app"]["commit"] == deployment.head()


def test_settings_of_the_target_govern_the_target_and_those_of_the_live_release_the_gates(
    tmp_path: Path,
) -> None:
    deployment = make(tmp_path)
    text = (deployment.app / "newleaf.toml").read_text()
    closed = text.replace("[restart]", '[gates]\nwindow = "Mon 00:00-00:01 UTC"\n[restart]')
    deployment.release("1.1.0", {"newleaf.toml": closed})
    assert deployment.run("update").outcome == "updated", "the window comes with the release, and holds later"
    deployment.release("1.2.0")
    waiting = deployment.run("update")
    if waiting.outcome == "waiting":
        assert [each["gate"] for each in waiting.record["waiting_for"]] == ["window"]
        assert deployment.run("update", "--now").outcome == "updated"
