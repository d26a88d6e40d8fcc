"""`make test` lets tests write into memory, where there is enough of it and programs may run from there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "find_memory.sh"
ENOUGH = 4 * 1024 * 1024


def find(folder: Path, **environment: str) -> str:
    """What the script prints; nothing but that."""
    argv = ["sh", str(SCRIPT), str(folder)]
    found = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True, timeout=20)
    assert found.stderr == ""
    return found.stdout


@pytest.mark.parametrize(
    ("filesystem", "free", "is_found"),
    [("tmpfs", ENOUGH, True), ("tmpfs", ENOUGH - 1, False), ("/dev/sda1", ENOUGH, False)],
)
def test_a_folder_in_memory_with_room_is_found(
    tmp_path: Path, filesystem: str, free: int, *, is_found: bool
) -> None:
    programs, folder = tmp_path / "bin", tmp_path / "memory"
    programs.mkdir()
    folder.mkdir()
    listing = f"Filesystem 1024-blocks Used Available Capacity Mounted on\n{filesystem} 9 9 {free} 1% /memory"
    (programs / "df").write_text(f"#!/bin/sh\ncat <<'E'\n{listing}\nE\n")
    (programs / "df").chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}"}
    assert find(folder, **environment) == f"{folder}\n" * is_found
    assert find(folder, **environment, TMPDIR=str(tmp_path)) == "", "somebody has chosen"
    assert list(folder.iterdir()) == []


def test_no_such_folder_then_none_is_found(tmp_path: Path) -> None:
    assert find(tmp_path / "gone", PATH=os.environ["PATH"]) == ""
