"""Sequential handovers, data, exit code 42, and updates that are killed while the launcher judges.

Promises 4 and 5; lessons.md L1, L3, L18, L29, L32, L34.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.deployment import migration, wait_until
from tests.support.launched import NOTHING, Launched, launched
from tests.support.repositories import Script

ALONE = ("alone",)
OFFLINE = Script(
    "import os\n\nOFFLINE = True\n\n\ndef check():\n    return os.path.exists('moved')\n\n\n"
    "def migrate():\n    with open(os.path.join(os.environ['NEWLEAF_STATE_DIR'], 'alone')) as held:\n"
    "        import fcntl\n        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
    "    open('moved', 'w').close()\n    return True\n"
)
"""Fails while the daemon runs: it needs the daemon's own lock."""
MIGRATION = migration(
    "import sqlite3\n    with sqlite3.connect('data/app.db') as database:\n"
    "        database.execute('ALTER TABLE written ADD COLUMN at TEXT')",
    "import sqlite3\n    with sqlite3.connect('data/app.db') as database:\n"
    "        return len(database.execute('SELECT * FROM written').description) == 2",
)


def twice(one: Launched) -> bool:
    """Whether a second process of the daemon ever ran while one did."""
    return (one.state / "twice").exists()


def kill(update: subprocess.Popen[str]) -> None:
    """With all that it has started in its own group."""
    os.killpg(update.pid, signal.SIGKILL)
    update.communicate()


# --- exclusive daemons ------------------------------------------------------------------


@pytest.mark.parametrize("slots", [True, False], ids=["slots", "in_place"])
def test_an_exclusive_daemon_then_it_never_runs_twice_and_a_bad_release_has_three_starts(slots: bool) -> None:
    """lessons.md L32; issue: decided within 3 s of the last exit."""
    with launched(NOTHING, slots=slots, first=ALONE) as one:
        commit = one.release("1.1.0", *ALONE)
        done = one.update()
        assert (done.outcome, done.record["confirmed"]) == ("updated", True), one.output
        assert one.confirmed(commit)
        one.release("1.2.0", "alone", "exits")
        done = one.update()
        ended = time.time()
        assert (done.code, done.outcome) == (6, "rolled_back"), one.output
        assert one.versions == ["1.0.0", "1.1.0", "1.2.0", "1.2.0", "1.2.0", "1.1.0"]
        assert one.times("starts")[-1] - one.times("ends")[-1] < 3
        assert ended - one.times("ends")[-1] < 3
        assert (one.deployment.head(), one.serving["version"]) == (commit, "1.1.0")
        assert not twice(one)
        assert one.verb("status").record["running"]["commit"] == commit


def test_an_exclusive_daemon_that_waits_for_go_then_it_is_up_beside_the_old_one_and_never_works_twice() -> (
    None
):
    with launched(NOTHING, first=("alone", "waits")) as one:
        for version in ("1.1.0", "1.2.0"):
            one.release(version, "alone", "waits")
            assert one.update().outcome == "updated", one.output
            assert one.serving["version"] == version
        one.release("1.3.0", "alone", "waits", "dies")
        done = one.update()
        assert (done.code, done.outcome) == (6, "rolled_back"), one.output
        assert one.versions[-5:] == ["1.2.0", "1.3.0", "1.3.0", "1.3.0", "1.2.0"]
        assert not twice(one)
        assert one.alive() == [one.serving["pid"]]


# --- data -------------------------------------------------------------------------------


def rows(one: Launched) -> list[tuple[str, ...]]:
    """What the database has."""
    with closing(sqlite3.connect(one.state / "shared" / "data" / "app.db")) as database:
        return database.execute("SELECT * FROM written").fetchall()


def with_data(folder: Path) -> bytes:
    """An empty database."""
    path = folder / "app.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE written (what TEXT)")
    return path.read_bytes()


def test_a_release_that_has_migrated_fails_then_the_data_is_back_and_what_it_wrote_is_kept_aside(
    tmp_path: Path,
) -> None:
    """design.md: stop first; snapshot; revert. lessons.md L32"""
    files = {"data/app.db": with_data(tmp_path)}
    with launched(
        NOTHING,
        first=("alone", "writes"),
        files=files,
        app={"shared": ["data"]},
        update={"state_paths": ["data"]},
    ) as one:
        assert rows(one) == [("1.0.0",)]
        bad = one.release("1.1.0", "alone", "writes", "dies", **{"migrations/v1.1.0/001_a.py": MIGRATION})
        done = one.update()
        assert (done.code, done.outcome) == (6, "rolled_back"), (done, one.output)
        assert bad in one.deployment.record("denied.json")
        assert one.serving["version"] == "1.0.0"
        # It wrote its own row when it was started again.
        assert rows(one) == [("1.0.0",), ("1.0.0",)]
        named = [Path(word.rstrip(":")) for note in done.record["notes"] for word in note.split()]
        (kept,) = [path for place in named if place.name == "aside" for path in place.rglob("app.db")]
        with closing(sqlite3.connect(kept)) as database:
            assert ("1.1.0", "now") in database.execute("SELECT * FROM written").fetchall()
        assert not twice(one)
        good = one.release("1.2.0", "alone", "writes")
        assert one.update().outcome == "updated", one.output
        assert rows(one)[-1] == ("1.2.0", "now")
        assert one.confirmed(good)


def test_an_offline_migration_then_it_runs_while_the_daemon_is_stopped() -> None:
    with launched(NOTHING, first=ALONE) as one:
        one.release("1.1.0", *ALONE, **{"migrations/v1.1.0/001_a.py": OFFLINE})
        done = one.update()
        assert (done.code, done.outcome) == (0, "updated"), (done, one.output)
        assert (one.deployment.app / "moved").exists()
        assert (one.versions, twice(one)) == (["1.0.0", "1.1.0"], False)


def test_killed_in_the_middle_of_a_migration_then_it_is_finished_and_the_release_judged(
    tmp_path: Path,
) -> None:
    """Promise 5: nothing is started on half-migrated data."""
    slow = migration(
        f"import os, time\n    open('{tmp_path}/begun', 'a').close()\n"
        f"    while not os.path.exists('{tmp_path}/may-end'):\n        time.sleep(0.01)",
        f"import os\n    return os.path.exists('{tmp_path}/may-end')",
    )
    with launched(
        NOTHING,
        first=ALONE,
        files={"data/kept": "1\n"},
        app={"shared": ["data"]},
        update={"state_paths": ["data"]},
    ) as one:
        one.release("1.1.0", *ALONE, **{"migrations/v1.1.0/001_a.py": slow})
        update = one.updating()
        wait_until((tmp_path / "begun").exists)
        assert one.alive() == [], "the daemon was stopped first"
        kill(update)
        (tmp_path / "may-end").touch()
        one.await_history("updated", "1.1.0")
        one.await_serving("1.1.0")
        assert one.versions == ["1.0.0", "1.1.0"]
        wait_until(lambda: one.published()["status"] == "deployed")
        assert one.update().outcome == "up_to_date"


# --- updates that are killed ------------------------------------------------------------


@pytest.mark.parametrize("listens", ["unix:app.sock", NOTHING], ids=["overlap", "sequential"])
def test_killed_while_it_waits_for_the_verdict_then_the_launchers_own_program_deals_with_it(
    listens: str,
) -> None:
    """lessons.md L3, L4"""
    with launched(listens) as one:
        good = one.release("1.1.0", **one.with_probation(0.7))
        update = one.updating()
        one.await_serving("1.1.0")
        kill(update)
        assert one.deployment.states()[-1] == "confirm"
        one.await_history("updated", "1.1.0")
        assert one.confirmed(good)
        wait_until(lambda: one.published()["status"] == "deployed")
        assert one.deployment.states()[-1] == "done"

        bad = one.release("1.2.0", **one.with_probation(30))
        update = one.updating()
        one.await_serving("1.2.0")
        kill(update)
        for _ in range(1 if listens else 3):
            one.await_serving("1.2.0")
            os.kill(one.serving["pid"], signal.SIGKILL)
            wait_until(lambda: one.serving.get("pid") != one.starts[-1][0] or "given up" in one.output)
        one.await_history("rolled_back", "1.2.0")
        one.await_serving("1.1.0")
        assert bad in one.deployment.record("denied.json")
        wait_until(lambda: one.published()["status"] == "rolled_back")
        wait_until(lambda: (one.published()["running"] or {}).get("version") == "1.1.0")
        assert one.update().outcome == "held"


# --- exit code 42 -----------------------------------------------------------------------


def test_the_daemon_leaves_with_42_then_it_runs_what_an_update_has_activated_and_that_is_confirmed() -> None:
    """restart.mode = exit under a launcher; lessons.md L1, L29"""
    with launched(restart={"mode": "exit"}) as one:
        commit = one.release("1.1.0")
        done = one.update()
        assert (done.code, [gate["gate"] for gate in done.record["waiting_for"]]) == (4, ["restart"]), done
        assert one.ask() == "1.0.0"
        began = time.monotonic()
        one.ask_in_vain("/leave")
        assert one.ask() == "1.1.0"
        assert time.monotonic() - began < 5
        one.await_history("updated", "1.1.0")
        one.await_confirmed(commit)
        wait_until(lambda: one.published()["status"] == "deployed")
        assert one.update().outcome == "up_to_date"
        assert one.deployment.states()[-1] == "done"


def test_it_leaves_with_42_again_and_again_then_the_budget_ends_that_and_somebody_is_told() -> None:
    """lessons.md L34"""
    with launched(restart={"budget": "3 in 30m"}, health={"probation": 0.1}) as one:
        for times in range(3):
            one.ask_in_vain("/leave")
            one.starts_of("1.0.0", times + 2)
            one.await_serving("1.0.0")
        assert "ALARM" not in one.output
        one.ask_in_vain("/leave")
        one.says("ALARM: it asked for more than 3 restarts in 1800 s")
        wait_until(lambda: one.published()["status"] == "inconsistent")
        assert not one.has_ended
        one.await_serving("1.0.0")


def test_a_release_asks_for_a_restart_at_each_start_then_it_is_given_up() -> None:
    """lessons.md L29, L32"""
    with launched(NOTHING) as one:
        one.release("1.1.0", "asks")
        done = one.update()
        assert (done.code, done.outcome) == (6, "rolled_back"), one.output
        assert one.versions == ["1.0.0", "1.1.0", "1.1.0", "1.1.0", "1.0.0"]
