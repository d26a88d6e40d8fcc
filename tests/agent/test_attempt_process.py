"""One attempt as a process, and what it answers."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from newleaf.agent.attempt_process import AttemptProcess, read_answer, words_of
from newleaf.core.requests import Request
from newleaf.core.retries import Ended
from newleaf.system.commands import Finished, Runner

COMMIT = "b" * 40
TARGET = {"commit": COMMIT, "version": "1.1.0"}


def answered(record: Mapping[str, Any] | str, status: int = 0, *said: str) -> Ended:
    text = record if isinstance(record, str) else json.dumps(record)
    return read_answer(Finished(status, text.encode(), 0.1, lambda: said))


def attempt(folder: Path, code: str, timeout_seconds: float = 20) -> Ended:
    argv = (sys.executable, "-c", code)
    process = AttemptProcess(argv, folder, dict(os.environ), timeout_seconds, Runner())
    return asyncio.run(process.run(Request("poll")))


def told(ended: Ended) -> Ended:
    """Without its record, whose outcome must be the same."""
    assert (ended.record["schema"], ended.record["outcome"]) == (1, ended.outcome)
    return replace(ended, record={})


def test_waiting_then_its_gates_its_target_and_all_it_says() -> None:
    waiting = [{"gate": "idle", "reason": "a job runs", "since": "x"}, {"gate": "window", "reason": "shut"}]
    ended = answered({"outcome": "waiting", "to": TARGET, "waiting_for": waiting}, 4)
    assert (ended.outcome, ended.gates, ended.to) == ("waiting", frozenset({"idle", "window"}), COMMIT)
    assert ended.lines == (
        "waiting: 1.1.0 (bbbbbbbbb)",
        "  waits for idle: a job runs",
        "  waits for window: shut",
    )


def test_failed_then_the_whole_list_of_errors_with_their_cures() -> None:
    """lessons.md L5"""
    errors = [{"code": "one", "message": "first"}, {"code": "two", "message": "second", "cure": "mend it"}]
    ended = answered({"outcome": "failed", "to": None, "errors": errors, "notes": ["kept aside"]}, 1)
    assert ended.to is None
    assert ended.lines == (
        *("failed: the target", "  one: first", "  two: second", "    mend it", "  kept aside"),
    )


@pytest.mark.parametrize(("confirmed", "count"), [(True, 1), (None, 2)])
def test_updated_then_called_confirmed_only_if_it_is(confirmed: bool | None, count: int) -> None:
    """lessons.md L1"""
    ended = answered({"outcome": "updated", "to": TARGET, "confirmed": confirmed})
    assert (ended.outcome, len(ended.lines)) == ("updated", count)


def test_wrong_settings_then_usage_with_what_is_wrong() -> None:
    ended = answered(
        {"schema": 1, "outcome": "usage", "errors": [{"code": "usage", "message": "app.name"}]}, 2
    )
    assert told(ended) == Ended("usage", lines=("usage: the target", "  usage: app.name"))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", '"x"', "null", "{}", '{"outcome": "great"}', '{"outcome": []}',
     '{"outcome": "failed", "errors": 7}', '{"outcome": "waiting", "waiting_for": [7]}', "[" * 100_000],
)  # fmt: skip
def test_no_answer_then_a_failure_whatever_the_exit_status(text: str) -> None:
    """lessons.md L2"""
    ended = answered(text, 0, "Traceback", "boom")
    assert told(ended) == Ended(
        "failed", lines=("newleaf update gave no answer (exit 0)", "Traceback", "boom")
    )


def test_the_process_is_told_the_origin_and_its_words_are_not_the_agents(tmp_path: Path) -> None:
    code = (
        "import json, sys; print('noise', file=sys.stderr)\n"
        "print(json.dumps({'outcome': 'held', 'errors': [], 'notes': [' '.join(sys.argv[1:])]}))"
    )
    ended = attempt(tmp_path, code)
    assert ended.lines == ("held: the target", "  update --json --origin poll")


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request("chat"), "--origin chat"),
        (Request("app", to="1.2.0", now=True), "--origin app --to=1.2.0 --now"),
        (Request("app", branch="--upload-pack=x"), "--origin app --branch=--upload-pack=x"),
        (
            Request("app", to="a\0b", force_busy=True, wait_seconds=2),
            "--origin app --to=ab --force-busy --wait=2",
        ),
    ],
)
def test_a_request_is_said_in_words_of_which_none_is_taken_for_an_option(
    request_: Request, words: str
) -> None:
    """lessons.md L11"""
    assert " ".join(words_of(request_)) == words


def test_killed_then_failed(tmp_path: Path) -> None:
    ended = attempt(tmp_path, "import os; os.kill(os.getpid(), 9)")
    assert told(ended) == Ended("failed", lines=("newleaf update gave no answer (exit -9)",))


def test_never_ends_then_failed_at_its_limit(tmp_path: Path) -> None:
    ended = attempt(tmp_path, "import time; time.sleep(60)", 0.2)
    assert ended.outcome == "failed"
    assert "took longer than 0.2 s" in ended.lines[0]


def test_cannot_be_started_then_failed(tmp_path: Path) -> None:
    process = AttemptProcess((str(tmp_path / "none"),), tmp_path, {}, 5, Runner())
    assert asyncio.run(process.run(Request("poll"))).outcome == "failed"
