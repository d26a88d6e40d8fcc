"""The docs: complete, up to date, and without dead links."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from newleaf.cli.main import HIDDEN, SUMMARIES, VERBS
from newleaf.core.gates import ORDER
from newleaf.core.records import EXIT_CODES
from newleaf.core.settings.model import KEYS
from newleaf.core.states import State

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
STATUS_WORDS = """checking updating migrating installing restarting deployed update_failed rolled_back
waiting held stale inconsistent""".split()
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
CALL = re.compile(r"`newleaf ([a-z]+)")


def reference(name: str) -> str:
    return (ROOT / "docs" / "reference" / name).read_text()


def links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for target in LINK.findall(page.read_text()):
            if "://" not in target:
                yield page, target


def test_generated_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "generate_docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("key", KEYS)
def test_every_setting_is_explained(key: str) -> None:
    assert f"`{key}`" in reference("settings.md")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_explained_and_summed_up(verb: str) -> None:
    assert f"## `newleaf {verb} " in reference("commands.md")
    assert verb in SUMMARIES


@pytest.mark.parametrize(("outcome", "code"), EXIT_CODES.items())
def test_every_exit_code_is_explained(outcome: str, code: int) -> None:
    row = next(line for line in reference("commands.md").splitlines() if line.startswith(f"| `{code}` |"))
    assert f"`{outcome}`" in row


@pytest.mark.parametrize("state", State)
def test_every_state_stands_in_the_diagram(state: State) -> None:
    assert f" {state} " in reference("states.md")


@pytest.mark.parametrize("word", STATUS_WORDS)
def test_every_status_word_is_named(word: str) -> None:
    assert f"`{word}`" in reference("files.md")


@pytest.mark.parametrize("gate", ORDER)
def test_every_gate_is_explained(gate: str) -> None:
    assert gate in (ROOT / "docs" / "explanation" / "idle-and-gates.md").read_text()


def test_no_link_is_dead() -> None:
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page, target in links()
        if not (page.parent / target).exists()
    ]
    assert not dead


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached = {(page.parent / target).resolve() for page, target in links()}
    lost = [page for page in PAGES[1:] if page not in reached and "adr" not in page.parts]
    assert not lost


def test_no_page_names_a_verb_that_is_not_there() -> None:
    unknown = {
        f"{page.relative_to(ROOT)}: newleaf {verb}"
        for page in PAGES
        for verb in CALL.findall(page.read_text())
        if verb not in {*VERBS, *HIDDEN}
    }
    assert not unknown


def test_no_page_speaks_of_a_machine() -> None:
    """No paths of the machine that a page was written on."""
    private = re.compile(r"(?<![\w.~])/(?:root|work)/")
    assert not [page for page in PAGES if private.search(page.read_text())]
