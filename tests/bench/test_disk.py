from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bench import disk, run
from bench.disk import Measured, Taken

BLOCK = 4096


def write(path: Path, blocks: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * BLOCK * blocks)
    return path


def test_a_file_counts_in_whole_blocks(tmp_path: Path) -> None:
    write(tmp_path / "file", 3)
    before = disk.allocated(tmp_path)
    (tmp_path / "other").write_text("x")
    assert before >= 3 * BLOCK
    assert disk.allocated(tmp_path) - before > 1


def test_a_file_with_another_name_elsewhere_does_not_count(tmp_path: Path) -> None:
    shared = write(tmp_path / "cache" / "file", 5)
    write(tmp_path / "environment" / "own", 1)
    alone = disk.allocated(tmp_path / "environment")
    os.link(shared, tmp_path / "environment" / "file")
    assert disk.allocated(tmp_path / "environment") == alone


def test_a_file_with_two_names_inside_counts_once(tmp_path: Path) -> None:
    first = write(tmp_path / "first", 5)
    alone = disk.allocated(tmp_path)
    os.link(first, tmp_path / "second")
    assert disk.allocated(tmp_path) == alone


def test_a_commit_of_code_takes_no_environment_where_releases_share_it() -> None:
    shared, apart = Taken("slots", 1024, 2048, shares=True), Taken("copies", 1024, 2048)
    assert Measured([shared, apart]).lines()[1:] == [
        ["slots", "1 KiB", "2 KiB", "1 KiB"],
        ["copies", "1 KiB", "2 KiB", "3 KiB"],
    ]
    assert Measured().lines() == []
    assert Measured(failure="it rained").failures == ["disk: it rained"]


def test_one_more_of_each_is_printed_and_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "numbers.json"
    assert run.main(["--row", "disk", "--output", str(output)]) == 0
    assert "a commit of code alone" in capsys.readouterr().out
    record = json.loads(output.read_text())
    slots, worktree, copy = record["disk"]
    assert record["rows"] == []
    assert slots["code_alone_bytes"] == slots["release_bytes"] > 0
    assert slots["code_alone_bytes"] < worktree["code_alone_bytes"] < copy["code_alone_bytes"]
