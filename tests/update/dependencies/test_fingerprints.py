"""The mark inside an environment, and what it is compared with."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from newleaf.core.dependencies.install_errors import InstallFailed
from newleaf.core.errors import NewerSchema
from newleaf.update.dependencies.fingerprints import (
    REASONS,
    Interpreter,
    Mark,
    describe_interpreter,
    difference,
    read_mark,
    write_mark,
)
from newleaf.update.dependencies.inventories import Inventory, Package

MARK = Mark(
    "installed",
    "/srv/app/.venv",
    {"kind": "uv", "lock": "abc"},
    Interpreter("/usr/bin/python3", 1, 2, "3.11.7"),
    ("sessions",),
    Inventory(
        {"lib/leaflet-1.dist-info": Package(3, {"lib/leaflet": "__init__.py/a.py"})}, {"lib/leaflet": 4}
    ),
)


def test_a_mark_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_mark(tmp_path / "mark.json", MARK)
    assert read_mark(tmp_path / "mark.json") == MARK
    assert json.loads((tmp_path / "mark.json").read_text())["schema"] == 1


def test_fields_of_a_later_version_are_passed_over(tmp_path: Path) -> None:
    write_mark(tmp_path / "mark.json", MARK)
    record = json.loads((tmp_path / "mark.json").read_text()) | {"later": True}
    (tmp_path / "mark.json").write_text(json.dumps(record))
    assert read_mark(tmp_path / "mark.json") == MARK


@pytest.mark.parametrize(
    "text",
    ["", "nothing", "[]", "{}", '{"schema": 1, "state": "odd", "place": "", "parts": {}}', '{"schema": 0}'],
)
def test_a_mark_that_says_nothing_clear_is_no_mark(tmp_path: Path, text: str) -> None:
    (tmp_path / "mark.json").write_text(text)
    assert read_mark(tmp_path / "mark.json") is None


def test_where_there_is_no_mark_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert read_mark(tmp_path / "none" / "mark.json") is None
    assert read_mark(tmp_path / "file" / "mark.json") is None


def test_a_newer_mark_is_neither_read_nor_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mark.json").write_text('{"schema": 2}')
    with pytest.raises(NewerSchema):
        read_mark(tmp_path / "mark.json")
    with pytest.raises(NewerSchema):
        write_mark(tmp_path / "mark.json", MARK)


def test_a_linked_mark_is_no_mark_and_its_target_is_left_alone(tmp_path: Path) -> None:
    """threats.md T20."""
    write_mark(tmp_path / "other.json", MARK)
    (tmp_path / "mark.json").symlink_to(tmp_path / "other.json")
    before = (tmp_path / "other.json").read_bytes()
    assert read_mark(tmp_path / "mark.json") is None
    write_mark(tmp_path / "mark.json", Mark("installing", "", {}))
    assert (tmp_path / "other.json").read_bytes() == before


def test_a_mark_that_cannot_be_written_fails_the_installation(tmp_path: Path) -> None:
    with pytest.raises(InstallFailed, match="noting what is installed failed"):
        write_mark(tmp_path / "none" / "mark.json", MARK)


def test_equal_parts_leave_nothing_owed() -> None:
    assert difference(MARK.parts, dict(MARK.parts)) is None


@pytest.mark.parametrize("name", REASONS)
def test_each_part_has_its_words(name: str) -> None:
    assert difference({"kind": "uv", name: "1"}, {"kind": "uv", name: "2"}) == REASONS[name]
    assert difference({"kind": "uv"}, {"kind": "uv", name: "2"}) == REASONS[name]


def test_a_part_that_nobody_knows_still_differs() -> None:
    assert difference({"kind": "uv", "later": "1"}, {"kind": "uv"}) == "later changed"
    assert difference({}, {"kind": "uv"}) == "it was installed by None, and is now uv's to install"


def test_an_interpreter_is_known_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    assert describe_interpreter(tmp_path, "3.11.7") is None
    program = tmp_path / "python3.11"
    program.write_text("one")
    (tmp_path / "bin" / "python").symlink_to(program)
    first = describe_interpreter(tmp_path, "3.11.7")
    assert first == describe_interpreter(tmp_path, "3.11.7")
    assert first
    assert first.path == os.path.realpath(program)
    program.write_text("another")
    assert describe_interpreter(tmp_path, "3.11.7") != first
