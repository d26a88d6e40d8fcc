"""Which lines of a chat are newleaf's, and what is answered."""

from __future__ import annotations

from typing import Any

import pytest

from newleaf.core.chat import MAX_CHARACTERS, outcome_text, read_command, status_text, why_text
from newleaf.core.records import EXIT_CODES, Result
from newleaf.core.release import CommitId, Release

HERE, THERE = Release(CommitId("a" * 40), "1.0.0"), Release(CommitId("b" * 40), "1.1.0")


def answered(outcome: str, **fields: Any) -> str:
    return outcome_text(Result(outcome, HERE, THERE, **fields).as_record())


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("/update", "update"),
        ("  /UpDate\t", "update"),
        ("/update@Bridge_Bot", "update"),
        ("/UPDATE@BRIDGE_BOT  Status", "status"),
        ("/update why", "why"),
        ("please\n/update\nthank you", "update"),
    ],
)
def test_alone_on_its_line_then_a_command(text: str, command: str) -> None:
    assert read_command(text, "bridge_bot") == command


@pytest.mark.parametrize(
    "text",
    ["", "update", "/updates", "/update now", "do /update", "/update@other_bot", "/update@", "//update",
     "/update status why", "/update --to 1.0", "/\u212apdate", "/update\u00a0why", "/up date", "/update@a b"],
)  # fmt: skip
def test_anything_else_then_it_is_not_newleafs(text: str) -> None:
    assert read_command(text, "bridge_bot") is None


def test_a_bot_without_a_name_then_every_name_is_its_own() -> None:
    assert read_command("/update@anybody") == "update"


@pytest.mark.parametrize("outcome", sorted(EXIT_CODES))
def test_every_outcome_is_a_sentence(outcome: str) -> None:
    text = answered(outcome)
    assert text
    assert "{" not in text


def test_updated_then_the_commits_and_whether_it_is_confirmed() -> None:
    """lessons.md L1"""
    commits = tuple((f"{number:040x}", f"Change {number}") for number in range(30))
    text = answered("updated", commits=commits, commit_count=40, confirmed=True)
    assert text.startswith("Updated to 1.1.0 (bbbbbbbbb).\nThe new process has reported it.\n40 commits:\n")
    assert "Change 19\n" in text
    assert text.endswith("… and 20 more")
    assert "not yet confirmed" in answered("updated")


def test_failed_then_all_errors_with_their_lines_and_cures() -> None:
    """lessons.md L5"""
    one = {"code": "one", "message": "first", "lines": ["said", "this"]}
    two = {"code": "two", "message": "second", "cure": "mend it"}
    text = answered("failed", errors=(one, two), notes=("kept aside",))
    assert text.splitlines()[1:] == [
        "one: first",
        "  | said",
        "  | this",
        "two: second",
        "  mend it",
        "kept aside",
    ]


def test_a_secret_in_an_error_is_not_told() -> None:
    """threats.md T29"""
    error = {
        "code": "fetch",
        "message": "https://x:canary-3f9a1c@h/ \x1b]0;title\x07",
        "lines": ["token=canary-3f9a1c"],
    }
    text = answered("failed", errors=(error,))
    assert "canary" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize("character", ["x", "ä", "🌿"])
def test_too_long_then_the_middle_is_cut(character: str) -> None:
    error = {"code": "first", "message": character * 9000 + " last"}
    text = answered("failed", errors=(error,))
    assert len(text.encode("utf-16-le")) // 2 <= MAX_CHARACTERS
    assert len(text) > MAX_CHARACTERS // 2 - 10
    assert text.startswith("The update to")
    assert text.endswith("last")
    assert "\n…\n" in text


def test_status_then_what_runs_and_what_it_waits_for() -> None:
    record = {
        "status": "waiting",
        "app": "bridge",
        "computer": "mini-1",
        "channel": "beta",
        "timestamp": "2026-11-20T12:00:00Z",
        "running": None,
        "target": THERE.as_record(),
        "waiting_for": [{"gate": "idle", "reason": "a job runs", "since": "x"}],
        "error": "boom",
    }
    assert status_text(record).splitlines() == [
        "bridge on mini-1: waiting",
        "running: unknown, no live process has reported",
        "target: 1.1.0 (bbbbbbbbb)",
        "channel: beta, since 2026-11-20T12:00:00Z",
        "waits for idle: a job runs",
        "error: boom",
    ]


def test_why_then_every_gate_denial_and_the_last_failure() -> None:
    """lessons.md L6"""
    record = {
        "summary": "it waits",
        "pin": "1.0.0",
        "gates": [
            {"gate": "idle", "holds": False, "reason": "a job runs", "since": "noon"},
            {"gate": "window", "holds": True, "reason": "always"},
        ],
        "denied": {"b" * 40: {"when": "noon", "why": "unhealthy"}},
        "last_failure": {
            "outcome": "failed",
            "at": "noon",
            "to": None,
            "errors": [{"code": "x", "message": "y"}],
        },
    }
    assert why_text(record).splitlines() == [
        "it waits",
        "pinned: 1.0.0",
        "idle waits since noon: a job runs",
        "window holds: always",
        "denied: bbbbbbbbb since noon: unhealthy",
        "last failure: failed at noon",
        "x: y",
    ]


def test_neither_can_be_read_then_why_not() -> None:
    failed = {"outcome": "failed", "errors": [{"code": "x", "message": "y"}]}
    assert status_text(failed) == why_text(failed) == "x: y"
