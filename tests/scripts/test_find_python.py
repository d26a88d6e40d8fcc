"""`make setup` finds a Python that will do, or says which ones would not, and why."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "find_python.sh"

PRETEND = """#!/bin/sh
exec {python} -c '
import sys
{pretence}
exec(sys.argv[1])
' "$2"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def plant(path: Path, name: str, pretence: str = "") -> None:
    """A program `name` on PATH: this Python, after it was told something else about itself."""
    program = path / name
    program.write_text(PRETEND.format(python=sys.executable, pretence=pretence))
    program.chmod(0o755)


def find(path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(SCRIPT)],
        env={"PATH": str(path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


TOO_OLD = "sys.version_info = (3, 10, 13)"
WITHOUT_VENV = 'sys.version_info = (3, 11, 2); sys.modules["ensurepip"] = None'


def test_python3_is_taken_when_it_is_new_enough(path: Path) -> None:
    plant(path, "python3")
    plant(path, "python3.14", TOO_OLD)
    assert find(path).stdout == f"{sys.executable}\n"


def test_newer_one_is_taken_beside_an_old_python3(path: Path) -> None:
    plant(path, "python3", TOO_OLD)
    plant(path, "python3.12")
    found = find(path)
    assert (found.returncode, found.stdout, found.stderr) == (0, f"{sys.executable}\n", "")


def test_every_refused_one_is_named_with_its_reason(path: Path) -> None:
    plant(path, "python3", TOO_OLD)
    plant(path, "python3.11", WITHOUT_VENV)
    found = find(path)
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == (
        "newleaf needs Python 3.11 or newer. Seen:\n"
        "  python3: 3.10.13 is too old\n"
        "  python3.11: 3.11.2 has no venv module (Debian, Ubuntu: apt install python3-venv)\n"
        "Install one, or name it: make setup PYTHON=/path/to/python3\n"
    )


def test_none_at_all(path: Path) -> None:
    found = find(path)
    assert found.returncode == 1
    assert "  none on PATH\n" in found.stderr


def test_named_one_is_the_only_one_looked_at(path: Path, tmp_path: Path) -> None:
    plant(path, "python3")
    missing = tmp_path / "missing"
    found = find(path, PYTHON=str(missing))
    assert found.returncode == 1
    assert f"  none on PATH called {missing}\n" in found.stderr
    assert find(path, PYTHON="python3").returncode == 0
