"""The marker of a planned restart: when it is believed, and that it ends by itself."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from newleaf.core.errors import NewerSchema
from newleaf.system.planned_restart import PLANNED_RESTART, PlannedRestart, announce, read, withdraw

NOW = datetime(2026, 11, 20, 12, 0, 0, 500_000, tzinfo=UTC)
GOOD = {
    "schema": 1,
    "reason": "update to 1.1.0",
    "since": "2026-11-20T12:00:00.000Z",
    "expires": "2026-11-20T12:01:00.000Z",
}


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def put(state: Path, text: str) -> None:
    (state / PLANNED_RESTART).write_text(text)


def test_what_was_announced_is_read_until_it_expires(tmp_path: Path) -> None:
    """lessons.md L31"""
    announce(tmp_path, "update to 1.1.0", NOW, 60)
    planned = PlannedRestart("update to 1.1.0", NOW, later(60))
    assert read(tmp_path, NOW) == planned
    assert read(tmp_path, later(59.9)) == planned
    assert read(tmp_path, later(60)) is None, "nothing is hidden for ever"


def test_the_record_is_whole_private_and_told_to_the_second(tmp_path: Path) -> None:
    announce(tmp_path, "update to 1.1.0", NOW, 60)
    path = tmp_path / PLANNED_RESTART
    assert json.loads(path.read_text()) == {
        "schema": 1,
        "reason": "update to 1.1.0",
        "since": "2026-11-20T12:00:00.500Z",
        "expires": "2026-11-20T12:01:00.500Z",
    }
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == [PLANNED_RESTART]
    found = read(tmp_path, NOW)
    assert found is not None
    assert found.as_record() == {
        "reason": "update to 1.1.0",
        "since": "2026-11-20T12:00:00Z",
        "expires": "2026-11-20T12:01:00Z",
    }


def test_a_newer_announcement_replaces_an_older_one(tmp_path: Path) -> None:
    announce(tmp_path, "update to 1.1.0", NOW, 60)
    announce(tmp_path, "back to 1.0.0", later(50), 60)
    assert read(tmp_path, later(100)) == PlannedRestart("back to 1.0.0", later(50), later(110))


def test_withdrawn_it_says_nothing_and_a_second_time_is_fine(tmp_path: Path) -> None:
    announce(tmp_path, "update to 1.1.0", NOW, 60)
    withdraw(tmp_path)
    withdraw(tmp_path)
    assert read(tmp_path, NOW) is None
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"reason": None},
        {"reason": 7},
        {"since": None},
        {"since": "yesterday"},
        {"since": "2026-11-20T12:00:00"},
        {"since": "0001-01-01T00:00:00+23:00"},
        {"since": "2026-11-20T12:00:02.000Z"},
        {"expires": 1},
        {"expires": "9999-12-31T23:59:59-23:00"},
        {"expires": "2026-11-20T12:00:00.500Z"},
        {"expires": "2026-11-20T11:00:00Z"},
        {"schema": 2},
        {"schema": "1"},
    ],
    ids=str,
)
def test_what_is_malformed_expired_newer_or_from_the_future_is_not_believed(
    tmp_path: Path, change: dict[str, object]
) -> None:
    """lessons.md L31"""
    put(tmp_path, json.dumps(GOOD))
    assert read(tmp_path, NOW) is not None
    put(tmp_path, json.dumps({**GOOD, **change}))
    assert read(tmp_path, NOW) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "\x00", "\ud800".encode("utf-8", "surrogatepass")])
def test_what_is_no_record_is_not_believed(tmp_path: Path, text: str | bytes) -> None:
    (tmp_path / PLANNED_RESTART).write_bytes(text.encode() if isinstance(text, str) else text)
    assert read(tmp_path, NOW) is None
    announce(tmp_path, "update", NOW, 60)
    assert read(tmp_path, NOW) is not None


@pytest.mark.parametrize("key", sorted(GOOD.keys() - {"schema"}))
def test_a_record_that_misses_a_field_is_not_believed(tmp_path: Path, key: str) -> None:
    put(tmp_path, json.dumps({name: value for name, value in GOOD.items() if name != key}))
    assert read(tmp_path, NOW) is None


def test_fields_that_are_not_known_do_not_matter(tmp_path: Path) -> None:
    put(tmp_path, json.dumps({**GOOD, "attempt": "a-1"}))
    assert read(tmp_path, NOW) is not None


def test_nothing_is_read_or_written_through_a_symlink(tmp_path: Path) -> None:
    """threats.md T20"""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(json.dumps(GOOD))
    (tmp_path / PLANNED_RESTART).symlink_to(elsewhere)
    assert read(tmp_path, NOW) is None
    announce(tmp_path, "update", NOW, 60)
    assert json.loads(elsewhere.read_text()) == GOOD
    assert not (tmp_path / PLANNED_RESTART).is_symlink()
    (tmp_path / PLANNED_RESTART).unlink()
    (tmp_path / PLANNED_RESTART).symlink_to(elsewhere)
    withdraw(tmp_path)
    assert elsewhere.exists()


def test_a_pipe_or_a_folder_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / PLANNED_RESTART)
    assert read(tmp_path, NOW) is None
    withdraw(tmp_path)
    (tmp_path / PLANNED_RESTART).mkdir()
    assert read(tmp_path, NOW) is None


def test_a_newer_record_is_never_overwritten(tmp_path: Path) -> None:
    put(tmp_path, json.dumps({**GOOD, "schema": 2}))
    with pytest.raises(NewerSchema):
        announce(tmp_path, "update", NOW, 60)
