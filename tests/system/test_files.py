"""Files that survive a kill: what a reader sees at any moment, and whose files are never touched."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from newleaf.core.errors import (
    CorruptFile,
    DiskFull,
    FileLimited,
    NewerSchema,
    NewleafError,
    StateDirectoryUnsafe,
    StateDirectoryUnwritable,
)
from newleaf.system import files
from tests.support.kills import run_in_child, run_killed_at
from tests.support.torn_disk import TornDisk

WRITERS: list[Callable[[Path], None]] = [
    lambda path: files.write_whole(path, b"new"),
    lambda path: files.write_record(path, {"a": 1}),
    lambda path: files.append_line(path, {"a": 1}),
    lambda path: files.write_lines(path, [{"a": 1}]),
]


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was about to be done, in order."""
    seen: list[str] = []
    monkeypatch.setattr(files, "observe", lambda event, path: seen.append(f"{event} {path.name}"))
    return seen


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may become longer than 64 bytes: a full disk that needs no privileges."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- whole records ----------------------------------------------------------------------


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    assert files.read_record(path) is None
    files.write_record(path, {"status": "déployé", "none": None})
    assert files.read_record(path) == {"schema": 1, "status": "déployé", "none": None}
    assert json.loads(path.read_text("utf-8"))["status"] == "déployé"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names_in(tmp_path) == ["status.json"]


def test_unknown_fields_come_through(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_text('{"schema": 1, "later": {"x": [1]}}')
    assert files.read_record(path) == {"schema": 1, "later": {"x": [1]}}


def test_a_record_is_written_synced_renamed_and_its_folder_synced(tmp_path: Path, events: list[str]) -> None:
    files.write_whole(tmp_path / "status.json", b"x")
    assert events == [
        "write status.json",
        "fsync status.json",
        "rename status.json",
        f"fsync {tmp_path.name}",
    ]


@pytest.mark.parametrize("before", [b"", b'{"old": 1}\n'])
def test_killed_at_any_moment_the_old_or_the_new_is_there_whole(tmp_path: Path, before: bytes) -> None:
    """Promise 5."""
    path = tmp_path / "status.json"
    seen = set()
    for number in range(1, 6):
        path.unlink(missing_ok=True)
        if before:
            path.write_bytes(before)
        killed = run_killed_at(number, lambda: files.write_whole(path, b'{"new": 2}\n'))
        seen.add(path.read_bytes() if path.exists() else b"")
        assert killed is (number < 5)
    assert seen == {before, b'{"new": 2}\n'}


def test_what_a_killed_writer_left_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    run_killed_at(3, lambda: files.write_whole(tmp_path / "status.json", b"x"))
    (left,) = names_in(tmp_path)
    assert left.endswith(".tmp")
    living = tmp_path / f".status.json.{os.getppid()}.7.tmp"
    mine = tmp_path / ".notes.tmp"
    for path in (living, mine):
        path.write_text("")
    files.prepare_state_directory(tmp_path)
    assert names_in(tmp_path) == [".notes.tmp", living.name]


def test_what_a_killed_writer_left_is_removed_by_the_next_one_of_that_file(tmp_path: Path) -> None:
    """Also where nobody prepares the folder: an environment's mark, the record of a move."""
    for name in (".mark.json", "move.json"):
        run_killed_at(3, lambda name=name: files.write_whole(tmp_path / name, b"x"))  # type: ignore[misc]
    assert len(names_in(tmp_path)) == 2
    files.write_whole(tmp_path / ".mark.json", b"x")
    (left,) = [name for name in names_in(tmp_path) if name != ".mark.json"]
    assert left.startswith(".move.json.")


def test_two_threads_write_one_file_without_harm(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for _ in range(20):
                files.write_record(path, {"writer": number})
        except NewleafError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert files.read_record(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b'{"schema": 1, "sta', "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"3", "not a JSON object"),
        (b"[" * 100_000, "not JSON"),
        (b'{"schema": "1"}', "schema is '1'"),
        (b'{"schema": 0}', "schema is 0"),
        (b'{"schema": -3}', "schema is -3"),
        (b'{"schema": null}', "schema is None"),
    ],
)
def test_a_record_that_is_none_is_named_with_the_way_out(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "status.json"
    path.write_bytes(content)
    with pytest.raises(CorruptFile) as error:
        files.read_record(path)
    assert str(error.value) == f"{path} cannot be read: {reason}"
    assert error.value.exit_code == 7
    assert str(path) in error.value.advice
    files.write_record(path, {"mended": True})
    assert files.read_record(path) == {"schema": 1, "mended": True}


@pytest.mark.parametrize("found", [2, 99])
def test_a_newer_schema_is_never_overwritten(tmp_path: Path, found: int) -> None:
    path = tmp_path / "status.json"
    path.write_text(f'{{"schema": {found}}}')
    acts: list[Callable[[], object]] = [
        lambda: files.read_record(path),
        lambda: files.write_record(path, {"a": 1}),
    ]
    for act in acts:
        with pytest.raises(NewerSchema) as error:
            act()
        assert error.value.exit_code == 7
        assert f"schema {found}, this one knows 1" in error.value.message
    assert path.read_text() == f'{{"schema": {found}}}'


def test_texts_that_are_no_unicode_are_kept(tmp_path: Path) -> None:
    """Names of files are bytes."""
    name = os.fsdecode(b"caf\xe9")
    files.write_record(tmp_path / "status.json", {"file": name})
    files.append_line(tmp_path / "journal.jsonl", {"file": name})
    assert files.read_record(tmp_path / "status.json") == {"schema": 1, "file": name}
    assert files.read_lines(tmp_path / "journal.jsonl") == [{"schema": 1, "file": name}]


def test_a_folder_or_a_pipe_in_the_place_of_a_record_is_told(tmp_path: Path) -> None:
    """A pipe without a writer would be waited for, for ever."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("folder", "Is a directory"), ("pipe", "empty")):
        with pytest.raises(CorruptFile, match=reason):
            files.read_record(tmp_path / name)
    with pytest.raises(CorruptFile, match="Is a directory"):
        files.read_lines(tmp_path / "folder")


# --- lines ------------------------------------------------------------------------------


def test_lines_are_read_in_the_order_they_were_appended(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    assert files.read_lines(path) == []
    for number in range(3):
        files.append_line(path, {"number": number, "text": "a\r\nb\u2028c"})
    assert [line["number"] for line in files.read_lines(path)] == [0, 1, 2]
    assert path.read_bytes().count(b"\n") == 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_line_is_appended_and_synced_and_the_folder_with_the_first(
    tmp_path: Path, events: list[str]
) -> None:
    path = tmp_path / "journal.jsonl"
    files.append_line(path, {})
    assert events == ["append journal.jsonl", f"fsync {tmp_path.name}", "fsync journal.jsonl"]
    events.clear()
    files.append_line(path, {})
    assert events == ["append journal.jsonl", "fsync journal.jsonl"]


def test_the_folder_is_synced_also_when_the_files_maker_was_killed_before(
    tmp_path: Path, events: list[str]
) -> None:
    (tmp_path / "journal.jsonl").write_bytes(b'{"torn')
    files.append_line(tmp_path / "journal.jsonl", {})
    assert f"fsync {tmp_path.name}" in events


def test_a_file_whose_first_writer_was_killed_before_its_fsync_has_a_name_that_lasts(tmp_path: Path) -> None:
    """The next writer finds a whole line, and has no cause to sync the folder."""
    disk, path = TornDisk(tmp_path), tmp_path / "journal.jsonl"
    with disk.killed_in(4):
        files.append_line(path, {"number": 1})
    disk.start_anew()
    assert files.read_lines(path) == [{"schema": 1, "number": 1}]
    with disk.watching():
        files.append_line(path, {"number": 2})
    for seed in range(5):
        disk.cut_power(Random(seed))
        assert [line["number"] for line in files.read_lines(path)] == [1, 2]
    disk.close()


@pytest.mark.parametrize("refused", ["journal.jsonl", ""])
def test_a_line_that_cannot_be_synced_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """Whoever is told that a move could not be written must not find it written by the next start."""
    path = tmp_path / "journal.jsonl"

    def refuse(event: str, about: Path) -> None:
        if event == "fsync" and about.name == (refused or tmp_path.name):
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files, "observe", refuse)
    with pytest.raises(StateDirectoryUnwritable):
        files.append_line(path, {"number": 1})
    assert path.read_bytes() == b""


@pytest.mark.parametrize("torn", [b"{", b'{"schema":1,"state":"fetch"}', b"\x00" * 5000, b"x" * 200_000])
def test_a_torn_last_line_is_left_out_and_then_cut_off(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    files.append_line(path, {"number": 1})
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    assert [line["number"] for line in files.read_lines(path)] == [1]
    assert path.read_bytes() == whole + torn
    files.append_line(path, {"number": 2})
    assert [line["number"] for line in files.read_lines(path)] == [1, 2]
    assert path.read_bytes().startswith(whole)


def test_a_file_of_one_torn_line_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"schema"')
    assert files.read_lines(path) == []
    files.append_line(path, {"number": 1})
    assert files.read_lines(path) == [{"schema": 1, "number": 1}]


def test_a_damaged_line_before_the_last_fails_closed(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for damage in (b"{\n", b"\n", b"[]\n", b'{"schema": 0}\n'):
        path.write_bytes(b'{"schema":1}\n' + damage + b'{"schema":1}\n')
        with pytest.raises(CorruptFile):
            files.read_lines(path)


def test_a_newer_line_stops_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"schema":1}\n{"schema":2}\n')
    with pytest.raises(NewerSchema):
        files.read_lines(path)


def test_lines_written_whole_replace_the_file(tmp_path: Path, events: list[str]) -> None:
    path = tmp_path / "history.jsonl"
    files.append_line(path, {"number": 0})
    events.clear()
    files.write_lines(path, [{"number": 1}, {"number": 2}])
    assert files.read_lines(path) == [{"schema": 1, "number": 1}, {"schema": 1, "number": 2}]
    assert events[2] == "rename history.jsonl"
    files.write_lines(path, [])
    assert files.read_lines(path) == []


# --- whose files ------------------------------------------------------------------------


@pytest.mark.parametrize("write", WRITERS)
def test_nothing_is_ever_written_through_a_symlink(tmp_path: Path, write: Callable[[Path], None]) -> None:
    """threats.md T20."""
    other, path = tmp_path / "other", tmp_path / "state" / "file"
    other.write_text("theirs")
    path.parent.mkdir()
    path.symlink_to(other)
    with contextlib.suppress(StateDirectoryUnwritable):
        write(path)
        assert not path.is_symlink()
    assert other.read_text() == "theirs"


def test_a_line_is_not_appended_to_a_symlink(tmp_path: Path) -> None:
    """threats.md T20."""
    (tmp_path / "journal.jsonl").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StateDirectoryUnwritable, match=r"journal\.jsonl: it is a symlink"):
        files.append_line(tmp_path / "journal.jsonl", {})
    assert not (tmp_path / "nowhere").exists()


def test_a_symlink_is_not_read_and_removed_as_itself(tmp_path: Path) -> None:
    """threats.md T20."""
    other, path = tmp_path / "other", tmp_path / "file"
    other.write_text('{"schema": 1}')
    path.symlink_to(other)
    for read in (files.read_record, files.read_lines):
        with pytest.raises(CorruptFile, match="it is a symlink"):
            read(path)
    files.remove(path)
    assert not os.path.lexists(path)
    assert other.exists()


def test_a_planted_temporary_file_is_not_written_through(tmp_path: Path) -> None:
    """threats.md T20."""
    other = tmp_path / "other"
    other.write_text("theirs")
    planted = tmp_path / f".status.json.{os.getpid()}.{threading.get_native_id()}.tmp"
    planted.symlink_to(other)
    files.write_whole(tmp_path / "status.json", b"mine")
    assert other.read_text() == "theirs"
    assert (tmp_path / "status.json").read_bytes() == b"mine"


def test_a_state_directory_is_made_for_its_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "state"
    before = os.umask(0)
    try:
        files.prepare_state_directory(folder)
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files.prepare_state_directory(folder)


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_state_directory_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    """threats.md T21: with the command that mends it."""
    tmp_path.chmod(mode)
    with pytest.raises(StateDirectoryUnsafe, match="can be written by others") as error:
        files.prepare_state_directory(tmp_path)
    assert error.value.exit_code == 2
    assert error.value.advice == f"chmod 700 {tmp_path}"
    assert stat.S_IMODE(tmp_path.stat().st_mode) == mode


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o750])
def test_a_state_directory_that_others_can_only_read_will_do(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    files.prepare_state_directory(tmp_path)


def test_root_takes_somebody_elses_state_directory_only_where_it_asks_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """threats.md T21: for a service that runs as the owner."""
    tmp_path.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(tmp_path, 65_534, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    files.prepare_state_directory(tmp_path, of_owner=True)
    with pytest.raises(StateDirectoryUnsafe):
        files.prepare_state_directory(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 65_533)
    with pytest.raises(StateDirectoryUnsafe):
        files.prepare_state_directory(tmp_path, of_owner=True)


def test_a_state_directory_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """threats.md T21."""
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(StateDirectoryUnsafe, match="belongs to another user") as error:
        files.prepare_state_directory(tmp_path)
    assert error.value.exit_code == 2
    assert error.value.advice == f"chown -R 54321 {tmp_path}"


def test_a_file_in_the_place_of_the_state_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StateDirectoryUnwritable) as error:
            files.prepare_state_directory(folder)
        assert error.value.exit_code == 2
        assert "NEWLEAF_STATE_DIR" in error.value.advice


# --- what the system refuses ------------------------------------------------------------


@pytest.mark.parametrize("write", [*WRITERS, files.remove])
def test_a_read_only_folder_is_told_in_one_line(tmp_path: Path, write: Callable[[Path], None]) -> None:
    def act() -> None:
        os.chdir(tmp_path)
        if os.geteuid() == 0:
            os.setuid(65534)  # root may write everywhere
        with pytest.raises(
            StateDirectoryUnwritable, match=r"cannot be written: status\.json: Permission denied"
        ):
            write(Path("status.json"))

    tmp_path.joinpath("status.json").write_text("{}")
    tmp_path.joinpath("status.json").chmod(0o444)
    tmp_path.chmod(0o555)
    assert run_in_child(act) == 0
    tmp_path.chmod(0o700)
    assert tmp_path.joinpath("status.json").read_text() == "{}"


@pytest.mark.parametrize("write", WRITERS)
def test_a_missing_folder_is_told(tmp_path: Path, write: Callable[[Path], None]) -> None:
    with pytest.raises(StateDirectoryUnwritable, match="No such file or directory"):
        write(tmp_path / "gone" / "file")


def test_a_folder_cannot_be_removed_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StateDirectoryUnwritable, match="folder: "):
        files.remove(tmp_path / "folder")
    files.remove(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    files.remove(tmp_path / "file" / "below")


@pytest.mark.usefixtures("small_files")
def test_a_disk_that_fills_up_leaves_the_old_record_whole(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    files.write_whole(path, b"old")
    with pytest.raises(FileLimited, match=r"status\.json may not become as large"):
        files.write_whole(path, b"x" * 1000)
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["status.json"]


@pytest.mark.usefixtures("small_files")
def test_a_disk_that_fills_up_leaves_the_lines_before_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    files.append_line(path, {"number": 1})
    with pytest.raises(FileLimited):
        files.append_line(path, {"text": "x" * 1000})
    assert path.read_bytes() == b'{"schema":1,"number":1}\n'
    files.append_line(path, {"number": 2})
    assert len(files.read_lines(path)) == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is always full")
def test_a_full_disk_is_told_with_what_is_free_and_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "ftruncate", lambda descriptor, length: None)  # a device has no length
    monkeypatch.setattr(files, "_whole_lines_length", lambda descriptor: 0)
    with pytest.raises(DiskFull, match=r"not enough room on the disk of /dev: .* free, 19 B needed") as error:
        files.append_line(Path("/dev/full"), {"a": 1})
    assert error.value.exit_code == 1
    assert "free some space" in error.value.advice


def test_too_little_room_is_refused_before_anything_begins(tmp_path: Path) -> None:
    """lessons.md L24."""
    files.require_free(tmp_path / "not" / "yet", 1)
    with pytest.raises(DiskFull, match=r"needed$") as error:
        files.require_free(tmp_path / "not" / "yet", 10**18)
    assert str(tmp_path) in error.value.message


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536 * 1024, "1.5 MiB"), (5 * 1024**4, "5120.0 GiB")],
)
def test_sizes_are_for_people(count: int, text: str) -> None:
    assert files.size(count) == text


def test_removal_is_durable(tmp_path: Path, events: list[str]) -> None:
    (tmp_path / "flag").write_text("")
    files.remove(tmp_path / "flag")
    assert events == ["remove flag", f"fsync {tmp_path.name}"]


# --- links and folders ------------------------------------------------------------------


def test_a_link_is_made_and_replaced_by_rename(tmp_path: Path, events: list[str]) -> None:
    link = tmp_path / "current"
    files.replace_link(link, "releases/a")
    assert events == ["link current", "rename current", f"fsync {tmp_path.name}"]
    files.replace_link(link, "releases/b")
    assert os.readlink(link) == "releases/b"
    assert names_in(tmp_path) == ["current"]


def test_killed_at_any_moment_a_link_leads_to_the_old_or_the_new(tmp_path: Path) -> None:
    """design.md promise 5: `current` is never missing."""
    link, seen, number, killed = tmp_path / "current", set(), 0, True
    link.symlink_to("old")
    while killed:
        number += 1
        files.replace_link(link, "old")
        killed = run_killed_at(number, lambda: files.replace_link(link, "new"))
        seen.add(os.readlink(link))
        files.remove_leftovers(tmp_path)
        assert names_in(tmp_path) == ["current"]
    assert (seen, number) == ({"old", "new"}, 4)


def test_a_link_is_replaced_and_never_followed(tmp_path: Path) -> None:
    """threats.md T20."""
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / "current").symlink_to(other)
    planted = tmp_path / f".current.{os.getpid()}.{threading.get_native_id()}.tmp"
    planted.symlink_to(other)
    files.replace_link(tmp_path / "current", "releases/a")
    assert os.readlink(tmp_path / "current") == "releases/a"
    assert names_in(other) == []


def test_a_link_is_not_put_over_a_folder(tmp_path: Path) -> None:
    (tmp_path / "current" / "mine").mkdir(parents=True)
    with pytest.raises(StateDirectoryUnwritable, match="current: "):
        files.replace_link(tmp_path / "current", "releases/a")
    assert (tmp_path / "current" / "mine").is_dir()


def test_a_folder_is_renamed_durably(tmp_path: Path, events: list[str]) -> None:
    (tmp_path / "a" / "below").mkdir(parents=True)
    files.rename_folder(tmp_path / "a", tmp_path / "b")
    assert events == ["rename b", f"fsync {tmp_path.name}"]
    assert (tmp_path / "b" / "below").is_dir()
    (tmp_path / "c" / "full").mkdir(parents=True)
    with pytest.raises(StateDirectoryUnwritable):
        files.rename_folder(tmp_path / "b", tmp_path / "c")
    assert names_in(tmp_path) == ["b", "c"]


def test_a_child_that_fails_is_noticed(tmp_path: Path) -> None:
    """The helper of this file tells a failure from a kill."""
    assert run_in_child(lambda: files.write_whole(tmp_path / "x" / "y", b"")) == 1
