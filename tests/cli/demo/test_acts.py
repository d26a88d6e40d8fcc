"""The story's ends and edges; the story itself is told by test_demo.py."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest

from newleaf.cli.demo import acts, under_load
from newleaf.cli.demo.acts import Demonstration
from newleaf.cli.demo.demo_host import Host
from newleaf.cli.demo.proofs import CLAIMS
from newleaf.cli.demo.sandbox import Sandbox, program_path
from newleaf.cli.demo.screen import Screen
from newleaf.core.errors import DemoStuck

NOTES: list[tuple[dict[str, Any], str]] = [
    ({"text": "buy milk", "letters": 7}, "buy milk (7 letters)"),
    ({"text": "buy milk", "words": 2}, "buy milk (2 words)"),
    ({"text": "buy milk", "words": 2, "tags": ["errand", "today"]}, "buy milk (2 words, errand, today)"),
]


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def demonstration(tmp_path: Path, lines: list[str]) -> Demonstration:
    (tmp_path / "tmp").mkdir()
    return Demonstration(Sandbox(tmp_path, program_path(os.environ)), Screen(lines.append, str(tmp_path)))


@pytest.mark.parametrize(("note", "said"), NOTES)
def test_answer_is_shown_with_as_much_as_the_release_knows(
    note: dict[str, Any], said: str, demonstration: Demonstration, lines: list[str]
) -> None:
    stage = acts.Stage(demonstration.screen, {}, *[None] * 4)  # type: ignore[arg-type]
    stage.shows({"version": "1.0.0", "pid": 7, "wordtally": "1.0.0", "notes": [note, note]})
    expected = f"  → GET / answers: version 1.0.0, pid 7, wordtally 1.0.0; {said}, {said}"
    assert [click.unstyle(line) for line in lines] == [expected]


def test_story_makes_only_checks_for_claims_that_are_judged(demonstration: Demonstration) -> None:
    source = Path(acts.__file__).read_text() + Path(under_load.__file__).read_text()
    # One claim or the other, by the release that is tried.
    source += 'check("kept", check("bad_gone", '.join(source.split("check(claim, f")[1:])
    made = {key for key in CLAIMS if f'check("{key}", ' in source}
    assert made == set(CLAIMS) - {"clean"}
    assert source.count('check("') == sum(source.count(f'check("{key}", ') for key in CLAIMS)


def test_first_update_that_fails_ends_the_demo_with_its_exit_code(
    demonstration: Demonstration, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import sys; sys.exit('no room' if 'update' in sys.argv else 0)"
    monkeypatch.setattr(acts, "Host", partial(Host, program=[sys.executable, "-c", code]))
    with pytest.raises(DemoStuck, match="the first `newleaf update` ended with exit code 1"):
        demonstration.perform()
    assert lines[-1] == "    no room"


@pytest.mark.parametrize("error", [KeyError("running"), OSError("gone"), ImportError("newleaf")])
def test_what_nobody_expected_ends_the_demo_and_no_traceback_is_seen(
    error: Exception, demonstration: Demonstration, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hire(_: Sandbox) -> None:
        raise error

    monkeypatch.setattr(acts, "hire", hire)
    with pytest.raises(DemoStuck, match=type(error).__name__):
        demonstration.perform()
