"""What the watcher remembers, and what becomes of it when it cannot be read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from newleaf.agent.watch_file import WatchFile
from newleaf.core.errors import NewerSchema
from tests.support.written_files import written

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def memory(tmp_path: Path) -> WatchFile:
    return WatchFile(tmp_path)


def test_changed_then_kept_beside_the_rest(memory: WatchFile, tmp_path: Path) -> None:
    memory.change(reached_at=NOW, alarms={"stale": "x"})
    memory.change(more=[1])
    memory.change(alarms=None)
    assert memory.moment("reached_at") == NOW
    assert memory.read()["more"] == [1]
    assert "alarms" not in memory.read()
    assert json.loads((tmp_path / "watch.json").read_text())["schema"] == 1


def test_nothing_changes_then_not_written(memory: WatchFile, tmp_path: Path) -> None:
    memory.change(reached_at=NOW)
    before = written(tmp_path / "watch.json")
    memory.change(reached_at=NOW, gone=None)
    assert written(tmp_path / "watch.json") == before


def test_key_of_a_later_newleaf_then_kept(memory: WatchFile, tmp_path: Path) -> None:
    (tmp_path / "watch.json").write_text('{"schema": 1, "later": {"a": 1}}')
    memory.change(reached_at=NOW)
    assert memory.read()["later"] == {"a": 1}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema": "x"}', "\x00"])
def test_unreadable_then_empty_and_written_anew(text: str, memory: WatchFile, tmp_path: Path) -> None:
    (tmp_path / "watch.json").write_text(text)
    assert memory.read() == {}
    assert memory.moment("reached_at") is None
    memory.change(reached_at=NOW)
    assert memory.moment("reached_at") == NOW


@pytest.mark.parametrize("value", ["5", '"yesterday"', '"2026-11-20T12:00:00"', "{}"])
def test_moment_that_is_none_then_none(value: str, memory: WatchFile, tmp_path: Path) -> None:
    (tmp_path / "watch.json").write_text(f'{{"schema": 1, "reached_at": {value}, "table": {value}}}')
    assert memory.moment("reached_at") is None
    assert memory.table("table") == {}


def test_newer_schema_then_left_alone(memory: WatchFile, tmp_path: Path) -> None:
    text = '{"schema": 2}'
    (tmp_path / "watch.json").write_text(text)
    with pytest.raises(NewerSchema):
        memory.read()
    with pytest.raises(NewerSchema):
        memory.change(reached_at=NOW)
    assert (tmp_path / "watch.json").read_text() == text


def test_symlink_in_its_place_then_the_other_file_is_untouched(memory: WatchFile, tmp_path: Path) -> None:
    """threats.md T20."""
    other = tmp_path / "other.json"
    other.write_text('{"schema": 1, "reached_at": "2026-01-01T00:00:00Z"}')
    before = other.read_bytes()
    (tmp_path / "watch.json").symlink_to(other)
    assert memory.read() == {}
    memory.change(reached_at=NOW)
    assert other.read_bytes() == before
    assert memory.moment("reached_at") == NOW
