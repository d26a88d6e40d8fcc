"""Reading a log while somebody else writes, rotates, empties or removes it: each line comes, and once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from newleaf.system import log_files
from newleaf.system.log_files import LogReader


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "LOOK_SECONDS", 0.005)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "daemon.log"


@pytest.fixture
def reader(path: Path) -> Iterator[LogReader]:
    path.touch()
    made = LogReader(path)
    yield made
    made.close()


def add(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


@pytest.mark.parametrize(
    ("text", "count", "lines"),
    [
        ("", 5, []),
        ("a\nb\nc\n", 2, ["b", "c"]),
        ("a\nb\nc\n", 20, ["a", "b", "c"]),
        ("a\nb\nc\n", 0, []),
        ("a\n\nunended", 2, ["", "unended"]),
        ("a\x0bb\u2028c\x1dd\n", 1, ["a\x0bb\u2028c\x1dd"]),
    ],
)
def test_the_last_lines_are_shown(path: Path, text: str, count: int, lines: list[str]) -> None:
    path.write_text(text)
    reader = LogReader(path)
    assert reader.last_lines(count) == lines
    reader.close()


def test_of_a_huge_file_the_end_is_read(path: Path) -> None:
    path.write_bytes(b"x" * 3_000_000 + b"\n\xff end\n")
    reader = LogReader(path)
    assert reader.last_lines(1) == ["� end"]
    assert len(reader.last_lines(9)[0]) < 2_000_000
    reader.close()


def test_what_comes_after_the_last_lines_is_followed_without_a_gap(path: Path, reader: LogReader) -> None:
    add(path, "one\n")
    assert reader.last_lines(5) == ["one"]
    add(path, "two\n")
    lines = reader.follow()
    assert next(lines) == "two"
    add(path, "th")
    add(path, "ree\nfour\n")
    assert list(islice(lines, 2)) == ["three", "four"]


def test_rotated_then_no_line_is_lost_not_even_one_across_two_files(path: Path, reader: LogReader) -> None:
    add(path, "one\n")
    lines = reader.follow()
    assert next(lines) == "one"
    add(path, "two\nthr")
    os.replace(path, path.with_name("daemon.log.1"))
    add(path, "ee\nfour\n")
    assert list(islice(lines, 3)) == ["two", "three", "four"]


def test_written_between_the_look_and_the_rotation_then_it_is_read(
    path: Path, reader: LogReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = reader.follow()
    add(path, "one\n")
    assert next(lines) == "one"
    looked = time.sleep

    def rotate(seconds: float) -> None:
        """While it sleeps: a last line comes, and the file gets another name."""
        monkeypatch.setattr(time, "sleep", looked)
        add(path, "last\n")
        os.replace(path, path.with_name("daemon.log.1"))
        add(path, "first\n")

    monkeypatch.setattr(time, "sleep", rotate)
    assert list(islice(lines, 2)) == ["last", "first"]


def test_emptied_then_what_comes_is_followed(path: Path, reader: LogReader) -> None:
    add(path, "one\n")
    lines = reader.follow()
    assert next(lines) == "one"
    path.write_text("")
    add(path, "2\n")
    assert next(lines) == "2"


def test_removed_then_its_successor_is_waited_for(
    path: Path, reader: LogReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = reader.follow()
    add(path, "one\n")
    assert next(lines) == "one"
    path.unlink()
    turns: list[float] = []

    def come_back(seconds: float) -> None:
        turns.append(seconds)
        if len(turns) == 3:
            add(path, "two\n")

    monkeypatch.setattr(time, "sleep", come_back)
    assert next(lines) == "two"
