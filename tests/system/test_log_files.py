"""A log that is written and rotated while it is read."""

from __future__ import annotations

import threading
from pathlib import Path
from queue import Queue

import pytest

from newleaf.system.log_files import LogReader


@pytest.mark.parametrize(
    ("content", "count", "lines"),
    [
        ("a\nb\nc\n", 2, ["b", "c"]),
        ("a\nb\nunended", 2, ["b", "unended"]),
        ("a\n\n", 9, ["a", ""]),
        ("", 5, []),
        ("a\nb\n", 0, []),
    ],
)
def test_the_last_lines_are_shown(tmp_path: Path, content: str, count: int, lines: list[str]) -> None:
    path = tmp_path / "daemon.log"
    path.write_text(content)
    reader = LogReader(path)
    assert reader.last_lines(count) == lines
    reader.close()


def test_of_a_long_log_its_end_alone_is_read(tmp_path: Path) -> None:
    path = tmp_path / "daemon.log"
    path.write_bytes(b"x" * 3_000_000 + b"\nlast\n")
    reader = LogReader(path)
    assert reader.last_lines(1) == ["last"]
    reader.close()


def test_bytes_that_are_no_text_are_shown_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "daemon.log"
    path.write_bytes(b"\xff\xfe\n")
    reader = LogReader(path)
    assert len(reader.last_lines(5)) == 1
    reader.close()


def test_lines_are_followed_across_a_rotation_and_none_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "daemon.log"
    path.write_text("before\n")
    reader, seen = LogReader(path), Queue[str]()
    assert reader.last_lines(9) == ["before"]
    follow = reader.follow()

    def take_four() -> None:
        for _ in range(4):
            seen.put(next(follow))

    thread = threading.Thread(target=take_four, daemon=True)
    thread.start()
    with path.open("a") as file:
        file.write("one\ntw")
        file.flush()
        assert seen.get(timeout=10) == "one"
        file.write("o\nthree\n")
    path.rename(tmp_path / "daemon.log.1")
    path.write_text("four\n")
    assert [seen.get(timeout=10) for _ in range(3)] == ["two", "three", "four"]
    thread.join(10)
    reader.close()
