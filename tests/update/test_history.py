"""The history of attempts, and what is decided by it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from newleaf.core.records import stamp
from newleaf.update import history as history_module
from newleaf.update.history import History
from tests.support.simulated_host import START, commit_of, release_of


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.jsonl")


def add(history: History, number: int, outcome: str, start: str, target: str, **more: Any) -> None:
    line = {
        "attempt": f"a-{number}",
        "at": stamp(START + timedelta(minutes=number)),
        "outcome": outcome,
        "from": release_of(start).as_record(),
        "to": release_of(target).as_record(),
        "confirmed": None,
    }
    history.add({**line, **more})


def test_an_empty_history_knows_nothing(history: History) -> None:
    assert history.entries() == []
    assert history.last_failure() is None
    assert history.last_update_at() is None
    assert history.way_back(commit_of("a"), {}) is None


def test_a_later_line_of_the_same_attempt_completes_it(history: History) -> None:
    add(history, 1, "updated", "a", "b")
    history.add({"attempt": "a-1", "confirmed": True})
    entries = history.entries()
    assert len(entries) == 1
    assert entries[0].confirmed is True
    assert entries[0].outcome == "updated"


def test_lines_without_an_attempt_stay_apart(history: History) -> None:
    for _ in range(2):
        history.add({"attempt": None, "outcome": "started", "at": stamp(START)})
    assert len(history.entries()) == 2


def test_the_last_failure_counts_until_an_attempt_succeeds(history: History) -> None:
    """lessons.md L6"""
    add(history, 1, "failed", "a", "b")
    failure = history.last_failure()
    assert failure is not None
    assert failure.attempt == "a-1"
    history.add({"attempt": None, "outcome": "started", "at": stamp(START)})
    assert history.last_failure() is not None, "a start is no success"
    add(history, 2, "updated", "a", "c")
    assert history.last_failure() is None


def test_only_restarts_that_happened_count_for_the_budget(history: History) -> None:
    """lessons.md L34"""
    add(history, 1, "updated", "a", "b", restarted=True)
    add(history, 2, "failed", "b", "c")
    assert history.restarts() == [START + timedelta(minutes=1)]


def test_the_way_back_is_the_last_confirmed_release(history: History) -> None:
    add(history, 1, "updated", "a", "b", confirmed=True)
    add(history, 2, "updated", "b", "c")
    add(history, 3, "updated", "c", "d")
    back = history.way_back(commit_of("d"), {})
    assert back is not None
    assert back.commit == commit_of("b")


def test_without_any_confirmed_release_it_is_where_the_last_attempt_came_from(history: History) -> None:
    add(history, 1, "updated", "a", "b")
    add(history, 2, "updated", "b", "c")
    back = history.way_back(commit_of("c"), {})
    assert back is not None
    assert back.commit == commit_of("b")


def test_the_way_back_never_leads_to_a_denied_release(history: History) -> None:
    """lessons.md L42"""
    add(history, 1, "updated", "a", "b", confirmed=True)
    add(history, 2, "ok", "b", "a")
    assert history.way_back(commit_of("a"), {commit_of("b"): {}}) is None


def test_failed_attempts_lead_nowhere(history: History) -> None:
    add(history, 1, "failed", "a", "b", confirmed=True)
    assert history.way_back(commit_of("c"), {}) is None


def test_a_long_history_is_shortened_from_its_beginning(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "COMPACT_BYTES", 2000)
    monkeypatch.setattr(history_module, "KEPT_LINES", 5)
    for number in range(40):
        add(history, number, "updated", "a", "b")
    entries = history.entries()
    assert len(entries) < 40
    assert entries[-1].attempt == "a-39"
