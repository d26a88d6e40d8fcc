"""Snapshots: whole or none, of data in use, within the room there is, removed by rule."""

from __future__ import annotations

import errno
import itertools
import json
import os
import signal
import socket
import sqlite3
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from newleaf.core.data.data_errors import SnapshotDamaged, SnapshotFailed, StatePathRefused
from newleaf.core.errors import CorruptFile, DiskFull, NewerSchema
from newleaf.system import databases, files
from tests.support.data import DataApp, dump, fill, look
from tests.support.kills import run_in_child, run_killed_at
from tests.support.permissions import binding_permissions


@pytest.fixture
def app(tmp_path: Path) -> DataApp:
    return DataApp(tmp_path)


# --- what is taken ----------------------------------------------------------------------


def test_all_that_is_declared_is_copied(app: DataApp) -> None:
    fill(app.data)
    before = app.look()
    taken = app.take()
    copied = look(taken.folder / "1")
    assert {name: value for name, value in before.items() if value[0] in ("file", "database")} == {
        name: value for name, value in copied.items() if value[0] != "folder"
    }
    links = {e.path: e.link for e in taken.manifest.roots[1].entries if e.kind == "link"}
    assert links == {
        str(app.data / "link"): "config.toml",
        str(app.data / "dangling"): "/nowhere/at/all",
    }
    assert app.look() == before
    assert app.snapshots.find("one") == taken


def test_it_is_for_this_user_alone(app: DataApp) -> None:
    app.data.chmod(0o755)
    taken = app.take()
    for folder in (app.snapshots.folder, taken.folder, taken.folder / "1"):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_the_record_of_applied_migrations_is_taken_too(app: DataApp) -> None:
    record = app.state / "migration_state.json"
    record.write_text('{"schema": 1, "applied": []}')
    taken = app.take()
    own = taken.manifest.roots[0]
    assert own.path == str(record)
    assert taken.copy_of(own.entries[0]).read_text() == record.read_text()


def test_what_is_missing_is_remembered_as_missing(app: DataApp) -> None:
    taken = app.take("not/there.db")
    assert [root.entries[0].kind for root in taken.manifest.roots] == ["missing", "missing"]
    assert taken.manifest.roots[1].path == str(app.folder / "not/there.db")


def test_a_database_that_a_daemon_writes_to_is_taken_with_its_newest_rows(app: DataApp) -> None:
    path = app.data / "app.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as daemon:
        daemon.execute("PRAGMA journal_mode = wal")
        daemon.execute("CREATE TABLE t (x)")
        daemon.execute("INSERT INTO t VALUES ('in the log only')")
        taken = app.take("data/app.db")
        assert Path(f"{path}-wal").stat().st_size > 0
    copy = taken.copy_of(taken.manifest.roots[1].entries[0])
    assert "in the log only" in "".join(dump(copy))


def test_the_log_of_a_database_is_no_file_of_its_own(app: DataApp) -> None:
    with closing(sqlite3.connect(app.data / "app.db", isolation_level=None)) as daemon:
        daemon.execute("PRAGMA journal_mode = wal")
        daemon.execute("CREATE TABLE t (x)")
        taken = app.take("data", "data/app.db-wal")
        kinds = {Path(entry.path).name: entry.kind for entry in taken.manifest.roots[1].entries}
    assert kinds == {"data": "folder", "app.db": "database"}


def test_paths_may_be_relative_absolute_or_in_the_home_folder(
    app: DataApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    found = app.snapshots.resolve(
        app.folder, ["data", "~/notes", str(tmp_path / "far" / ".." / "near"), "../up"]
    )
    assert found == [app.folder / "data", tmp_path / "home/notes", tmp_path / "near", tmp_path / "up"]


def test_a_path_inside_another_is_taken_once(app: DataApp) -> None:
    assert app.snapshots.resolve(app.folder, ["data/app.db", "data", "./data/"]) == [app.data]


def test_a_declared_link_counts_with_what_it_leads_to(app: DataApp, tmp_path: Path) -> None:
    shared = tmp_path / "state" / "shared"
    shared.mkdir()
    (shared / "file").write_text("text")
    (app.folder / "uploads").symlink_to(shared)
    taken = app.take("uploads")
    kinds = {entry.path: entry.kind for root in taken.manifest.roots[1:] for entry in root.entries}
    assert kinds == {
        str(app.folder / "uploads"): "link",
        str(shared): "folder",
        str(shared / "file"): "file",
    }


def test_links_inside_are_not_followed(app: DataApp, tmp_path: Path) -> None:
    """threats.md T20."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("text")
    (app.data / "link").symlink_to(tmp_path / "precious")
    assert [entry.kind for entry in app.take().manifest.roots[1].entries] == ["folder", "link"]


def test_sockets_and_pipes_are_left_out_and_named(app: DataApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(app.data)
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind("door")
        taken = app.take()
    assert [Path(entry.path).name for entry in taken.manifest.roots[1].entries] == ["data"]
    assert [note.split(" is ")[0] for note in taken.manifest.notes] == [
        str(app.data / "door"),
        str(app.data / "pipe"),
    ]


def test_a_file_that_is_written_to_meanwhile_is_copied_again_and_named(
    app: DataApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = app.data / "log"
    log.write_text("1")
    copies = 0

    def write_on(event: str, _path: Path) -> None:
        nonlocal copies
        if event == "copy":
            copies += 1
            log.write_text("1" * (copies + 1))

    monkeypatch.setattr(files, "observe", write_on)
    taken = app.take()
    assert copies == 3
    assert taken.manifest.notes == (f"{log} was written to while it was copied",)


def test_a_file_that_vanishes_meanwhile_is_no_failure(app: DataApp, monkeypatch: pytest.MonkeyPatch) -> None:
    (app.data / "a").write_text("stays")
    (app.data / "b").write_text("goes")

    def take_away(event: str, path: Path) -> None:
        if event == "copy" and path.name == "a":
            (app.data / "b").unlink()

    monkeypatch.setattr(files, "observe", take_away)
    assert [Path(e.path).name for e in app.take().manifest.roots[1].entries] == ["data", "a"]


def test_a_name_that_is_no_unicode_is_taken(app: DataApp) -> None:
    name = os.fsdecode(b"caf\xe9")
    try:
        (app.data / name).write_text("text")
    except OSError:
        pytest.skip("this filesystem wants Unicode")
    app.take()
    found = app.snapshots.find("one")
    assert found
    assert found.manifest.roots[1].entries[1].path == str(app.data / name)


# --- what is refused --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (".", "holds the app itself"),
        ("..", "holds the app itself"),
        ("/", "holds the app itself"),
        ("data/..", "holds the app itself"),
        ("../state", "holds newleaf's own state"),
        ("../state/snapshots", "lies among the snapshots"),
        ("../state/snapshots/one/1", "lies among the snapshots"),
        ("around", "holds the app itself"),
    ],
)
def test_what_is_more_than_data_is_refused(app: DataApp, path: str, reason: str) -> None:
    (app.folder / "around").symlink_to("..")
    with pytest.raises(StatePathRefused, match=f"update.state_paths: .* {reason}") as caught:
        app.take(path)
    assert caught.value.exit_code == 2
    assert not app.snapshots.folder.exists()


def test_an_attempt_cannot_name_a_path(app: DataApp) -> None:
    for attempt in ("../x", "/x", "", ".", "a/b", "a\n"):
        with pytest.raises(SnapshotDamaged, match="no attempt's name"):
            app.take(attempt=attempt)


# --- what goes wrong --------------------------------------------------------------------


def test_too_little_room_is_found_before_anything_is_copied(
    app: DataApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lessons.md L24."""
    with (app.data / "huge").open("wb") as file:
        file.truncate(1 << 43)
    events: list[str] = []
    monkeypatch.setattr(files, "observe", lambda event, _path: events.append(event))
    with pytest.raises(DiskFull, match=r"16384\.0 GiB needed"):
        app.take()
    assert "copy" not in events
    assert list(app.snapshots.folder.iterdir()) == []


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(app: DataApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """lessons.md L24."""
    fill(app.data)

    def fill_up(event: str, path: Path) -> None:
        if event == "copy" and path.name == "file":
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "observe", fill_up)
    with pytest.raises(DiskFull):
        app.take()
    assert list(app.snapshots.folder.iterdir()) == []


def test_a_file_that_cannot_be_read_is_named(app: DataApp) -> None:
    (app.data / "closed").write_text("x")
    (app.data / "closed").chmod(0)
    refused = f"{app.data}/closed cannot be kept safe .*: Permission denied"
    with binding_permissions(), pytest.raises(SnapshotFailed, match=refused):
        app.take()


def test_a_broken_database_is_named_before_anything_is_migrated(app: DataApp) -> None:
    (app.data / "app.db").write_bytes(databases.MAGIC + bytes(4096))
    with pytest.raises(SnapshotFailed, match=r"app\.db cannot be kept safe before migrating") as caught:
        app.take()
    assert caught.value.exit_code == 1
    assert list(app.snapshots.folder.iterdir()) == []


def test_a_database_that_stays_locked_is_named(app: DataApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases.copy_out, "__defaults__", (0.1,))
    with closing(sqlite3.connect(app.data / "app.db", isolation_level=None)) as daemon:
        daemon.execute("CREATE TABLE t (x)")
        daemon.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SnapshotFailed, match=r"app\.db .*locked"):
            app.take()


def test_killed_at_every_step_it_is_whole_or_none_and_is_taken_anew(tmp_path: Path) -> None:
    app = DataApp(tmp_path)
    fill(app.data)
    before = app.look()
    for event in range(1, 200):
        killed = run_killed_at(event, app.take)
        found = app.snapshots.find("one")
        assert app.look() == before
        if found:
            assert all(found.copy_of(e).exists() for root in found.manifest.roots for e in root.entries)
        taken = app.take()
        assert "1/app.db" in {entry.copy for entry in taken.manifest.roots[1].entries}
        if not killed:
            break
        app.snapshots.prune((), None, keep=0)
    assert event > 15


def test_taken_anew_it_holds_what_is_there_now(app: DataApp) -> None:
    (app.data / "old").write_text("1")
    app.take()
    (app.data / "old").rename(app.data / "new")
    taken = app.take()
    assert sorted(path.name for path in (taken.folder / "1").iterdir()) == ["new"]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", CorruptFile),
        (b"{", CorruptFile),
        (b"{}", SnapshotDamaged),
        (b'{"schema": 1, "attempt": "one", "taken_at": "", "roots": [[{"path": "x"}]]}', SnapshotDamaged),
        (b'{"schema": 2}', NewerSchema),
    ],
)
def test_a_manifest_that_cannot_be_read_is_an_error(
    app: DataApp, content: bytes, error: type[Exception]
) -> None:
    (app.take().folder / "manifest.json").write_bytes(content)
    with pytest.raises(error, match=str(app.snapshots.folder / "one")):
        app.snapshots.find("one")


# --- which are kept ---------------------------------------------------------------------


def names(app: DataApp) -> list[str]:
    return sorted(path.name for path in app.snapshots.folder.iterdir())


def take_dated(app: DataApp, *attempts: str) -> None:
    for day, attempt in enumerate(attempts, 1):
        manifest = app.take(attempt=attempt).folder / "manifest.json"
        record = json.loads(manifest.read_text())
        manifest.write_text(json.dumps(record | {"taken_at": f"2026-01-0{day}T00:00:00.000Z"}))


def test_old_snapshots_are_removed_by_the_rule(app: DataApp) -> None:
    """lessons.md L24."""
    fill(app.data)
    take_dated(app, "a", "b", "c", "d", "e")
    (app.snapshots.folder / "a" / "aside").mkdir()
    (app.snapshots.folder / "d" / "manifest.json").unlink()
    assert sorted(app.snapshots.prune({"b", "c", "d"}, "e", keep=1)) == ["b", "d"]
    assert names(app) == ["a", "c", "e"]


def test_pruning_an_empty_place_is_nothing(app: DataApp) -> None:
    assert app.snapshots.prune((), None, keep=3) == []


def test_what_is_no_snapshot_is_left_alone(app: DataApp, tmp_path: Path) -> None:
    """threats.md T20."""
    (tmp_path / "precious").mkdir()
    app.take()
    (app.snapshots.folder / "link").symlink_to(tmp_path / "precious")
    (app.snapshots.folder / "notes.txt").write_text("mine")
    app.snapshots.prune((), None, keep=0)
    assert names(app) == ["link", "notes.txt"]
    assert (tmp_path / "precious").is_dir()


def test_killed_while_removing_what_is_left_is_no_snapshot(app: DataApp) -> None:
    paths = [f"file{number}" for number in range(12)]
    for path in paths:
        (app.folder / path).write_text(path)

    def remove_killed_at(number: int) -> None:
        removals = itertools.count(1)

        def kill(event: str, _arguments: object) -> None:
            if event in ("os.remove", "os.rmdir") and next(removals) == number:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(kill)
        app.snapshots.prune((), None, keep=0)

    for number in range(1, 30):
        app.take(*paths)
        killed = run_in_child(partial(remove_killed_at, number)) == -signal.SIGKILL
        found = app.snapshots.find("one")
        roots = found.manifest.roots[1:] if found else ()
        assert all((app.snapshots.folder / "one" / root.entries[0].copy).exists() for root in roots)
        if not killed:
            break
    assert number > 8
    assert not (app.snapshots.folder / "one").exists()
