from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from newleaf.core.settings.model import KEYS
from scripts import generate_docs

ROOT = Path(__file__).resolve().parents[2]


def test_pages_in_the_repository_are_what_the_code_says() -> None:
    assert list(generate_docs.find_outdated()) == []


def test_check_says_ok_by_its_exit_code() -> None:
    script = [sys.executable, "scripts/generate_docs.py", "--check"]
    finished = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


def test_pages_are_written_where_there_are_none(tmp_path: Path) -> None:
    assert [page.name for page in generate_docs.find_outdated(tmp_path)] == [
        Path(name).name for name in generate_docs.PAGES
    ]
    generate_docs.write_pages(tmp_path)
    assert list(generate_docs.find_outdated(tmp_path)) == []


def test_page_that_was_changed_by_hand_is_found(tmp_path: Path) -> None:
    generate_docs.write_pages(tmp_path)
    page = tmp_path / "reference" / "settings.md"
    page.write_text(page.read_text() + "by hand\n")
    assert list(generate_docs.find_outdated(tmp_path)) == [page]


def test_outdated_page_is_named_with_the_cure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    docs = tmp_path / "docs"
    assert generate_docs.main([], docs) == 0
    (docs / "reference" / "settings.md").unlink()
    assert generate_docs.main(["--check"], docs) == 1
    assert capsys.readouterr().err == "docs/reference/settings.md is out of date: make docs\n"


@pytest.mark.parametrize("key", list(KEYS))
def test_settings_page_says_all_of_each_key(key: str) -> None:
    page = generate_docs.make_settings_page()
    setting = KEYS[key]
    (row,) = [line for line in page.splitlines() if line.startswith(f"| `{key}`")]
    cells = row.strip("| ").replace("\\|", "¦").split(" | ")
    assert len(cells) == 5
    assert ("**H**" in cells[0]) == setting.host_only
    assert cells[1] == setting.kind.word
    assert cells[2]
    assert cells[3] == setting.meaning
    assert cells[4] == f"`{setting.variable}`"


def test_schema_page_is_the_schema() -> None:
    assert json.loads(generate_docs.make_settings_schema())["title"] == "newleaf's settings"
