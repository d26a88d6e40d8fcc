"""What a host decides for itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from newleaf.core.errors import AmbiguousCommit, CorruptFile, NewerSchema, NotDenied
from newleaf.update.decisions import Decisions
from tests.support.simulated_host import START, commit_of


@pytest.fixture
def decisions(tmp_path: Path) -> Decisions:
    return Decisions(tmp_path)


def test_nothing_is_decided_at_first(decisions: Decisions) -> None:
    assert (decisions.pin, decisions.suspended, decisions.denied) == (None, None, {})


def test_a_pin_is_kept_and_taken_away(decisions: Decisions, tmp_path: Path) -> None:
    decisions.set_pin("1.2.0")
    assert Decisions(tmp_path).pin == "1.2.0"
    decisions.set_pin(None)
    assert Decisions(tmp_path).pin is None


def test_a_suspension_keeps_its_reason(decisions: Decisions, tmp_path: Path) -> None:
    decisions.set_pin("1.2.0")
    decisions.suspend("the fair", START)
    assert Decisions(tmp_path).suspended == {"why": "the fair", "at": "2026-11-20T12:00:00Z"}
    decisions.resume()
    assert Decisions(tmp_path).suspended is None
    assert Decisions(tmp_path).pin == "1.2.0"


def test_a_denial_says_when_why_and_by_which_attempt(decisions: Decisions, tmp_path: Path) -> None:
    """lessons.md L42"""
    decisions.deny(commit_of("b"), "it crashed", "a-1", START)
    entry = {"when": "2026-11-20T12:00:00Z", "why": "it crashed", "attempt": "a-1"}
    assert Decisions(tmp_path).denied == {commit_of("b"): entry}
    assert json.loads((tmp_path / "denied.json").read_text()) == {"schema": 1, commit_of("b"): entry}


def test_allow_lifts_by_the_first_digits_and_remembers_it(decisions: Decisions, tmp_path: Path) -> None:
    decisions.deny(commit_of("b"), "it crashed", None, START)
    decisions.deny(commit_of("c"), "it crashed", None, START)
    assert decisions.allow("B" * 8, START) == commit_of("b")
    assert set(decisions.denied) == {commit_of("c")}
    assert commit_of("b") in json.loads((tmp_path / "decisions.json").read_text())["lifted"]


@pytest.mark.parametrize("text", ["", "b", "bbbbbb", "c" * 40, "zzzzzzz"])
def test_allow_of_what_is_not_denied_says_so(decisions: Decisions, text: str) -> None:
    decisions.deny(commit_of("b"), "it crashed", None, START)
    with pytest.raises(NotDenied):
        decisions.allow(text, START)


def test_allow_of_an_ambiguous_commit_names_both(decisions: Decisions) -> None:
    first, second = "b" * 39 + "0", "b" * 39 + "1"
    for commit in (first, second):
        decisions.deny(commit, "it crashed", None, START)
    with pytest.raises(AmbiguousCommit) as raised:
        decisions.allow("bbbbbbb", START)
    assert first in raised.value.message
    assert second in raised.value.message


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema":1,"pin":1.1}', '{"schema":1,"suspended":3}'])
def test_a_damaged_file_fails_closed_and_is_named(decisions: Decisions, tmp_path: Path, content: str) -> None:
    (tmp_path / "decisions.json").write_text(content)
    with pytest.raises(CorruptFile) as raised:
        _ = (decisions.pin, decisions.suspended)
    assert "decisions.json" in raised.value.message


def test_a_damaged_list_of_denials_denies_everything_by_failing(decisions: Decisions, tmp_path: Path) -> None:
    (tmp_path / "denied.json").write_text("{")
    with pytest.raises(CorruptFile):
        _ = decisions.denied


def test_a_newer_newleaf_s_decisions_are_not_overwritten(decisions: Decisions, tmp_path: Path) -> None:
    text = '{"schema": 2, "pin": {"version": "1.2.0"}}'
    (tmp_path / "decisions.json").write_text(text)
    with pytest.raises(NewerSchema):
        decisions.set_pin("1.0.0")
    assert (tmp_path / "decisions.json").read_text() == text
