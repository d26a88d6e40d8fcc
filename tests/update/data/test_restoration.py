"""The way back of the data: as it was, nothing lost that was written since, after any kill."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from newleaf.core.data.data_errors import RestoreFailed, SnapshotDamaged, SnapshotMissing
from newleaf.system import copies, databases
from newleaf.update.data.restoration import Restored, put_back, restore
from newleaf.update.data.snapshots import Snapshot
from tests.support.data import DataApp, dump, fill, look, run_sql, spoil
from tests.support.kills import run_killed_at
from tests.support.other_disks import other_disk


@pytest.fixture
def app(tmp_path: Path) -> DataApp:
    return DataApp(tmp_path)


def aside_of(app: DataApp, taken: Snapshot, path: Path, run: str = "aside") -> Path:
    return taken.folder / run / path.relative_to("/")


# --- what comes back, and where the rest goes -------------------------------------------


def test_all_comes_back_and_what_was_written_since_is_kept(app: DataApp) -> None:
    fill(app.data)
    before = app.look()
    taken = app.take()
    spoil(app.data)
    spoilt = app.look()
    done = put_back(taken)
    assert app.look() == before
    kept = look(aside_of(app, taken, app.data))
    names = {"config.toml", "inner/empty", "link", "app.db", "added.db", "added", "added/file", "added.link"}
    assert {name: kept[name] for name in names - {"added"}} == {
        name: spoilt[name] for name in names - {"added"}
    }
    assert set(kept) == names | {"inner"}
    assert done.asides == (taken.folder / "aside",)
    assert set(done.kept) == {str(app.data / name) for name in names - {"added"}}
    assert {Path(path).name for path in done.changed} == {
        *("config.toml", "secret", "empty", "deep", "file", "link", "dangling"),
        *("app.db", "plain.db", "added.db", "added", "added.link"),
    }


def test_what_is_as_it_was_is_not_touched(app: DataApp) -> None:
    fill(app.data)
    taken = app.take()
    before = {path: path.lstat() for path in app.data.rglob("*")}
    assert put_back(taken) == Restored((), (), ())
    after = {path: path.lstat() for path in app.data.rglob("*")}
    assert {p: (s.st_ino, s.st_mtime_ns) for p, s in after.items()} == {
        p: (s.st_ino, s.st_mtime_ns) for p, s in before.items()
    }
    assert not (taken.folder / "aside").exists()


def test_a_second_time_it_has_nothing_to_do(app: DataApp) -> None:
    fill(app.data)
    taken = app.take()
    spoil(app.data)
    put_back(taken)
    again = put_back(taken)
    assert again.changed == ()
    assert again.asides == (taken.folder / "aside",)


def test_what_a_second_time_has_to_keep_gets_a_folder_of_its_own(app: DataApp) -> None:
    (app.data / "file").write_text("old")
    taken = app.take()
    for content in ("first", "second", "first"):
        (app.data / "file").write_text(content)
        put_back(taken)
    assert aside_of(app, taken, app.data / "file").read_text() == "first"
    assert aside_of(app, taken, app.data / "file", "aside-2").read_text() == "second"
    assert sorted(path.name for path in taken.asides) == ["aside", "aside-2"]


def test_what_was_missing_is_missing_again(app: DataApp) -> None:
    taken = app.take("new.txt", "new.db", "new")
    (app.folder / "new.txt").write_text("text")
    run_sql(app.folder / "new.db", "CREATE TABLE t (x)")
    (app.folder / "new").mkdir()
    (app.folder / "new" / "file").write_text("inner")
    put_back(taken)
    assert sorted(path.name for path in app.folder.iterdir()) == ["data"]
    kept = look(aside_of(app, taken, app.folder))
    assert {name for name in kept if kept[name][0] != "folder"} == {"new.db", "new.txt", "new/file"}


def test_a_declared_folder_that_is_gone_comes_back_with_its_parents(app: DataApp) -> None:
    inner = app.folder / "a" / "b" / "data"
    inner.mkdir(parents=True)
    inner.chmod(0o750)
    (inner / "file").write_text("text")
    taken = app.take("a/b/data")
    (inner / "file").unlink()
    for folder in (inner, inner.parent, inner.parent.parent):
        folder.rmdir()
    put_back(taken)
    assert look(inner) == {"file": ("file", (0o644, b"text"))}
    assert inner.stat().st_mode & 0o777 == 0o750


def test_what_changed_its_kind_is_moved_aside_whole(app: DataApp) -> None:
    (app.data / "file").write_text("file")
    (app.data / "folder").mkdir()
    (app.data / "folder" / "inner").write_text("inner")
    (app.data / "link").symlink_to("file")
    run_sql(app.data / "app.db", "CREATE TABLE t (x)")
    before = app.look()
    taken = app.take()
    (app.data / "file").unlink()
    (app.data / "file").mkdir()
    (app.data / "file" / "new").write_text("new")
    (app.data / "folder" / "inner").unlink()
    (app.data / "folder").rmdir()
    (app.data / "folder").symlink_to(app.folder)
    (app.data / "link").unlink()
    (app.data / "link").write_text("file now")
    (app.data / "app.db").write_text("{}")
    spoilt = app.look()
    put_back(taken)
    assert app.look() == before
    assert look(aside_of(app, taken, app.data)) == spoilt
    assert [path.name for path in app.folder.iterdir()] == ["data"], "nothing was written through the link"


def test_migrations_applied_since_are_due_again(app: DataApp) -> None:
    record = app.state / "migration_state.json"
    record.write_text('{"schema": 1, "applied": ["1.1.0/001_a.py"]}')
    taken = app.take()
    record.write_text('{"schema": 1, "applied": ["1.1.0/001_a.py", "1.2.0/001_b.py"]}')
    assert put_back(taken) == Restored((), (), ())
    assert json.loads(record.read_text())["applied"] == ["1.1.0/001_a.py"]


def test_where_nothing_had_been_applied_nothing_is(app: DataApp) -> None:
    taken = app.take()
    (app.state / "migration_state.json").write_text('{"schema": 1, "applied": ["1.1.0/001_a.py"]}')
    put_back(taken)
    assert not (app.state / "migration_state.json").exists()


def test_sockets_and_pipes_stay(app: DataApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(app.data)
    taken = app.take()
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind("door")
        assert put_back(taken).changed == ()
        assert sorted(os.listdir()) == ["door", "pipe"]


def test_a_file_goes_to_another_disk_and_back(app: DataApp, tmp_path: Path) -> None:
    with other_disk(tmp_path) as far:
        fill(far)
        before = look(far)
        taken = app.take(str(far))
        spoil(far)
        put_back(taken)
        assert look(far) == before
        assert (aside_of(app, taken, far) / "added" / "file").read_text() == "new"


# --- databases in use -------------------------------------------------------------------


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_daemon_that_still_runs_goes_on_with_what_was_put_back(app: DataApp, journal: str) -> None:
    """Without a launcher the old daemon runs on beside a failed migration."""
    path = app.data / "app.db"
    run_sql(path, f"PRAGMA journal_mode = {journal}", "CREATE TABLE t (x)", "INSERT INTO t VALUES ('old')")
    daemon = subprocess.Popen(
        [sys.executable, "-u", "-c", DAEMON, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert daemon.stdin
    assert daemon.stdout
    with daemon:
        assert daemon.stdout.readline() == "['old']\n"
        taken = app.take()
        run_sql(path, "DELETE FROM t", "INSERT INTO t VALUES ('migrated')")
        put_back(taken)
        daemon.stdin.write("\n")
        daemon.stdin.flush()
        assert daemon.stdout.readline() == "['old', 'by the daemon']\n"
        daemon.stdin.close()
    assert "by the daemon" in "".join(dump(path))
    assert "migrated" in "".join(dump(aside_of(app, taken, path)))


DAEMON = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
print([x for x, in connection.execute("SELECT x FROM t")])
sys.stdin.readline()
connection.execute("INSERT INTO t VALUES ('by the daemon')")
print([x for x, in connection.execute("SELECT x FROM t")])
sys.stdin.readline()
"""


def test_a_stale_log_is_never_left_beside_a_database_that_is_put_there_as_a_file(app: DataApp) -> None:
    path = app.data / "app.db"
    run_sql(path, "PRAGMA journal_mode = wal", "CREATE TABLE t (x)", "INSERT INTO t VALUES ('old')")
    taken = app.take()
    with closing(sqlite3.connect(path, isolation_level=None)) as daemon:
        daemon.execute("INSERT INTO t VALUES ('new')")
        path.unlink()
        put_back(taken)
        assert sorted(os.listdir(app.data)) == ["app.db"]
        assert sorted(os.listdir(aside_of(app, taken, app.data))) == ["app.db-shm", "app.db-wal"]
    assert "'old'" in "".join(dump(path))
    assert "'new'" not in "".join(dump(path))


def test_a_database_that_broke_is_kept_and_replaced(app: DataApp) -> None:
    path = app.data / "app.db"
    run_sql(path, "CREATE TABLE t (x)")
    taken = app.take()
    path.write_bytes(databases.MAGIC + b"\1" * 5000)
    put_back(taken)
    assert "CREATE TABLE t" in "".join(dump(path))
    assert aside_of(app, taken, path).stat().st_size == 5016


def test_a_database_that_came_since_moves_with_its_log(app: DataApp) -> None:
    taken = app.take()
    with closing(sqlite3.connect(app.data / "new.db", isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = wal")
        writer.execute("CREATE TABLE t (x)")
        put_back(taken)
        assert os.listdir(app.data) == []
        assert "CREATE TABLE t" in "".join(dump(aside_of(app, taken, app.data / "new.db")))


def test_a_database_that_stays_locked_is_an_error_and_is_put_back_the_next_time(
    app: DataApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = app.data / "app.db"
    run_sql(path, "CREATE TABLE t (x)")
    taken = app.take()
    run_sql(path, "DROP TABLE t")
    with closing(sqlite3.connect(path, isolation_level=None)) as daemon, monkeypatch.context() as patch:
        patch.setattr(databases.copy_out, "__defaults__", (0.1,))
        daemon.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RestoreFailed, match=r"app\.db cannot be put back: .*locked") as caught:
            put_back(taken)
    assert str(taken.folder) in caught.value.advice
    assert caught.value.exit_code == 7
    put_back(taken)
    assert "CREATE TABLE t" in "".join(dump(path))


# --- kills ------------------------------------------------------------------------------


def test_killed_at_every_step_the_next_run_finishes_and_nothing_is_lost(tmp_path: Path) -> None:
    for event in range(1, 300):
        folder = tmp_path / str(event)
        folder.mkdir()
        app = DataApp(folder)
        (app.state / "migration_state.json").write_text('{"schema": 1, "applied": []}')
        fill(app.data)
        before = app.look()
        taken = app.take()
        (app.state / "migration_state.json").write_text('{"schema": 1, "applied": ["1.1.0/001_a.py"]}')
        spoil(app.data)
        spoilt = {name: value for name, value in app.look().items() if value[0] != "folder"}
        killed = run_killed_at(event, lambda taken=taken: put_back(taken))  # type: ignore[misc]
        put_back(taken)
        assert app.look() == before
        kept: dict[str, object] = {}
        for aside in taken.asides:
            kept |= look(aside / app.data.relative_to("/"))
        assert not [path for aside in taken.asides for path in aside.rglob(copies.PROVISIONAL)]
        lost = {name for name, value in spoilt.items() if value not in (kept.get(name), before.get(name))}
        assert lost <= {"secret"}, "of that, the mode alone had changed"
        assert json.loads((app.state / "migration_state.json").read_text())["applied"] == []
        if not killed:
            break
    assert event > 25


# --- what cannot be put back ------------------------------------------------------------


@pytest.mark.parametrize("harm", ["is gone", "has another size"])
def test_a_damaged_snapshot_is_found_before_anything_is_touched(app: DataApp, harm: str) -> None:
    fill(app.data)
    taken = app.take()
    spoil(app.data)
    spoilt = app.look()
    copy = taken.folder / "1" / "secret"
    copy.unlink() if harm == "is gone" else os.truncate(copy, 0)
    with pytest.raises(SnapshotDamaged, match=f"snapshots/one is damaged: 1/secret {harm}"):
        put_back(taken)
    assert app.look() == spoilt


def test_a_snapshot_that_is_not_there_is_named(app: DataApp) -> None:
    with pytest.raises(SnapshotMissing, match="no whole snapshot of the attempt one"):
        restore(app.snapshots, "one")


# --- what people are told ---------------------------------------------------------------


def test_people_are_told_where_the_rest_lies(app: DataApp) -> None:
    for number in range(7):
        (app.data / f"file{number}").write_text("old")
    taken = app.take()
    assert restore(app.snapshots, "one") == "data was as it had been"
    (app.data / "file0").unlink()
    assert restore(app.snapshots, "one") == "data put back (1 changed)"
    (app.data / "file3").write_text("new")
    told = restore(app.snapshots, "one")
    aside = taken.folder / "aside"
    lies = f"what was written meanwhile lies in {aside}: {app.data}/file3"
    assert told == f"data put back (1 changed); {lies}"
    for number in range(7):
        (app.data / f"file{number}").write_text("newer")
    told = restore(app.snapshots, "one")
    assert told.startswith(
        f"data put back (7 changed); what was written meanwhile lies in {aside}, {aside}-2: "
    )
    assert told.endswith("/file4 and 2 more")
