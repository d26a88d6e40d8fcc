"""The daemon's output in files: rotated, bounded, and never a reason for the daemon to wait or to end."""

from __future__ import annotations

import os
import resource
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from newleaf.launcher import logs
from newleaf.launcher.logs import KEPT_FILES, Log
from tests.support.children import started
from tests.support.kills import run_in_child


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    made = Log.open(tmp_path / "logs")
    yield made
    close(made)


def close(log: Log) -> None:
    log._close()
    os.close(log.source)
    os.close(log.sink)


def test_what_comes_is_in_the_file_of_this_user(log: Log) -> None:
    os.write(log.sink, b"one\ntwo")
    log.read()
    os.write(log.sink, b"\xff\n")
    log.read()
    assert log.path.read_bytes() == b"one\ntwo\xff\n"
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (log.path, log.path.parent)]
    assert modes == [0o600, 0o700]


def test_nothing_came_then_nothing_is_waited_for(log: Log) -> None:
    log.read()
    assert log.path.read_bytes() == b""


def test_opened_again_it_goes_on(log: Log) -> None:
    log.write(b"one\n")
    again = Log.open(log.path.parent)
    again.write(b"two\n")
    assert log.path.read_bytes() == b"one\ntwo\n"
    close(again)


def test_too_long_then_it_is_rotated_and_the_oldest_goes(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_FILE_BYTES", 10)
    for number in range(8):
        log.write(b"%d" % number * 6)
    found = {path.name: path.read_bytes() for path in log.path.parent.iterdir()}
    older = {f"daemon.log.{age}": b"%d" % (7 - age) * 6 for age in range(1, KEPT_FILES)}
    assert found == {"daemon.log": b"777777", **older}


def test_a_symlink_in_its_place_is_not_written_through(tmp_path: Path) -> None:
    """threats.md T20"""
    other = tmp_path / "other"
    other.write_text("kept")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "daemon.log").symlink_to(other)
    log = Log.open(tmp_path / "logs")
    log.write(b"lost")
    assert (other.read_text(), log.dropped_bytes) == ("kept", 4)
    assert log.reason
    (tmp_path / "logs" / "daemon.log").unlink()
    log.write(b"found")
    assert log.path.read_bytes() == b"found"
    close(log)


def test_no_folder_can_be_made_then_it_is_tried_with_each_write(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    log = Log.open(tmp_path / "logs")
    log.write(b"lost")
    (tmp_path / "logs").unlink()
    log.write(b"found")
    assert (log.path.read_bytes(), log.dropped_bytes) == (b"found", 4)
    close(log)


def test_the_disk_is_full_then_what_is_lost_is_counted_and_later_lines_are_kept(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk."""

    def check() -> None:
        log = Log.open(tmp_path / "logs")
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
        log.write(b"0123456789abc")
        log.write(b"def")
        assert (log.path.read_bytes(), log.dropped_bytes) == (b"0123456789", 6)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        log.write(b"\nroom\n")
        assert log.path.read_bytes() == b"0123456789\nroom\n"

    assert run_in_child(check) == 0


def test_a_flood_is_taken_a_bounded_part_at_a_time(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_FILE_BYTES", 1024 * 1024)
    flood = "import os\nwhile True: os.write(1, b'x' * 65536)"
    with started(sys.executable, "-I", "-S", "-c", flood, ready=False, stdout=log.sink):
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline:
            began = time.monotonic()
            log.read()
            assert time.monotonic() - began < 5
    files = list(log.path.parent.iterdir())
    assert 1 <= len(files) <= KEPT_FILES
    assert all(path.stat().st_size <= 1024 * 1024 for path in files)
