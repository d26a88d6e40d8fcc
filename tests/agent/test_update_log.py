"""The log of attempts: lines with their times, rotated, never an update's undoing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from newleaf.agent import update_log
from newleaf.agent.update_log import KEPT, UpdateLog
from tests.support.simulated_host import START


@pytest.fixture
def log(tmp_path: Path) -> UpdateLog:
    return UpdateLog(tmp_path, lambda: START)


def lines(state: Path, name: str = "update.log") -> list[str]:
    return (state / "logs" / name).read_text().splitlines()


def test_every_line_carries_its_time(log: UpdateLog, tmp_path: Path) -> None:
    log.write("updating 1.1.0")
    log.write("two\n\nlines\n")
    assert lines(tmp_path) == [
        "2026-11-20T12:00:00Z updating 1.1.0",
        "2026-11-20T12:00:00Z two",
        "2026-11-20T12:00:00Z lines",
    ]


def test_it_is_its_user_s_alone(log: UpdateLog, tmp_path: Path) -> None:
    log.write("a line")
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "logs/update.log").stat().st_mode) == 0o600


def test_nothing_is_made_before_there_is_something_to_say(log: UpdateLog, tmp_path: Path) -> None:
    assert list(tmp_path.iterdir()) == []


def test_a_full_log_is_put_aside_and_only_so_many_are_kept(
    log: UpdateLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lessons.md L24"""
    monkeypatch.setattr(update_log, "MAX_BYTES", 1)
    for number in range(KEPT + 3):
        log.write(f"attempt {number}")
    names = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert names == ["update.log", *(f"update.log.{number}" for number in range(1, KEPT + 1))]
    assert lines(tmp_path)[-1].endswith(f"attempt {KEPT + 2}")
    assert [lines(tmp_path, name)[0][-1] for name in names[1:]] == ["5", "4", "3", "2"]


def test_bytes_that_are_no_text_are_told_as_well_as_can_be(log: UpdateLog, tmp_path: Path) -> None:
    log.write("file na\udcefve")
    assert lines(tmp_path) == ["2026-11-20T12:00:00Z file na?ve"]


def test_what_would_command_a_terminal_is_not_kept(log: UpdateLog, tmp_path: Path) -> None:
    log.write("\x1b[2J\x1b]0;title\x07 \x1b[32mdone\x1b[0m")
    assert lines(tmp_path) == ["2026-11-20T12:00:00Z ?[2J?]0;title? \x1b[32mdone\x1b[0m"]


def fill(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.symlink_to(path.parents[1] / "other")


@pytest.mark.parametrize("put", [fill, pipe, link])
def test_a_log_that_cannot_be_written_is_no_failure(log: UpdateLog, tmp_path: Path, put: object) -> None:
    """threats.md T20: whatever lies in its place is neither written nor waited for."""
    (tmp_path / "other").write_text("kept")
    (tmp_path / "logs").mkdir()
    assert callable(put)
    put(tmp_path / "logs/update.log")
    log.write("a line")
    assert (tmp_path / "other").read_text() == "kept"


def test_a_file_in_place_of_its_folder_is_no_failure(log: UpdateLog, tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("kept")
    log.write("a line")
    assert (tmp_path / "logs").read_text() == "kept"
