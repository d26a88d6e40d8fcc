"""Why it is not updating: all of it in one record, the first thing in one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from newleaf.agent.reasons import Reasons, failure_without_attempt
from newleaf.core.gates import GateReport
from newleaf.core.records import AttemptRecord, JournalRecord
from newleaf.core.states import State
from newleaf.system.planned_restart import PlannedRestart
from newleaf.update.history import Entry
from tests.support.simulated_host import START, release_of

A, B = release_of("a", "1.0.0"), release_of("b", "1.1.0")
IDLE, WINDOW = GateReport("idle", False, "a job runs (pid 7)"), GateReport("window", True, "no window is set")
RESTART = GateReport("restart", True, "a restart may happen")
PUBLISHED = {
    "status": "update_failed",
    "timestamp": "2026-11-20T12:00:00Z",
    "attempt": None,
    "error": "the remote cannot be reached",
}
FAILED = Entry({"outcome": "failed", "at": "2026-11-20T12:00:00Z", "to": B.as_record()})


def attempt(state: State) -> AttemptRecord:
    return AttemptRecord((JournalRecord("a-1", START, state, A, B),))


def reasons(**fields: Any) -> Reasons:
    none: dict[str, Any] = {
        "attempt": None,
        "surveyed": (WINDOW,),
        "since": {},
        "suspended": None,
        "pin": None,
        "locked_by": None,
        "denied": {},
        "last_failure": None,
    }
    return Reasons(**{**none, **fields})


SENTENCES: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "nothing is owed, and nothing stands in the way of an update"),
    "a gate, nothing owed": ({"surveyed": (IDLE,)}, "nothing is owed; an update would wait for idle now"),
    "a gate": (
        {"surveyed": (IDLE, WINDOW), "attempt": attempt(State.WAIT)},
        "1.1.0 (bbbbbbbbb) is owed; it waits for idle",
    ),
    "two gates": (
        {"surveyed": (IDLE, GateReport("window", False, "opens at 01:00")), "attempt": attempt(State.WAIT)},
        "1.1.0 (bbbbbbbbb) is owed; it waits for idle and window",
    ),
    "no gate any more": (
        {"attempt": attempt(State.WAIT)},
        "1.1.0 (bbbbbbbbb) is owed; the next `newleaf update` goes on with it",
    ),
    "a kill": (
        {"attempt": attempt(State.INSTALL)},
        "1.1.0 (bbbbbbbbb) is owed; the next `newleaf update` goes on with it",
    ),
    "a restart": (
        {"attempt": attempt(State.RESTART), "restart_owed": "the daemon was asked to leave"},
        "1.1.0 (bbbbbbbbb) is installed; the restart is owed: the daemon was asked to leave",
    ),
    "an ended attempt": (
        {"attempt": attempt(State.DONE)},
        "nothing is owed, and nothing stands in the way of an update",
    ),
    "a failure": ({"last_failure": FAILED}, "the last attempt, to 1.1.0 (bbbbbbbbb), ended failed"),
    "a failure of no attempt": (
        {"last_failure": failure_without_attempt(PUBLISHED)},
        "the last failure was of no attempt: the remote cannot be reached",
    ),
    "a denial": ({"denied": {"c" * 40: {}}}, "nothing is owed; denied on this host: ccccccccc"),
    "a migration that needs the daemon stopped": (
        {"attempt": attempt(State.WAIT), "surveyed": (RESTART,), "restart_owed": "stop it"},
        "1.1.0 (bbbbbbbbb) is owed; it waits for restart",
    ),
    "a suspension above a failure": (
        {"suspended": "suspended since noon: fair", "last_failure": FAILED},
        "suspended since noon: fair",
    ),
    "a running update above all": (
        {"locked_by": "timer (pid 7)", "suspended": "suspended", "attempt": attempt(State.WAIT)},
        "an update runs now: timer (pid 7)",
    ),
}


@pytest.mark.parametrize("situation", SENTENCES)
def test_the_first_thing_in_the_way_is_said_in_a_sentence(situation: str) -> None:
    """lessons.md L6"""
    fields, sentence = SENTENCES[situation]
    assert reasons(**fields).summary == sentence


def test_the_record_names_everything() -> None:
    """lessons.md L6: every gate, the suspension's reason and the last failure."""
    record = reasons(
        attempt=attempt(State.WAIT),
        surveyed=(IDLE, WINDOW),
        since={"idle": START, "window": START},
        suspended="suspended since noon: fair",
        pin="1.0.0",
        locked_by="timer (pid 7)",
        denied={"c" * 40: {"when": "2026-11-20T11:00:00Z", "why": "it crashed"}},
        last_failure=FAILED,
        planned_restart=PlannedRestart("from 1.0.0 to 1.1.0", START, START),
    ).as_record()
    assert record == {
        "outcome": "ok",
        "summary": "an update runs now: timer (pid 7)",
        "attempt": {"id": "a-1", "state": "wait", "from": A.as_record(), "to": B.as_record()},
        "gates": [
            {"gate": "idle", "holds": False, "reason": "a job runs (pid 7)", "since": "2026-11-20T12:00:00Z"},
            {"gate": "window", "holds": True, "reason": "no window is set", "since": None},
        ],
        "suspended": "suspended since noon: fair",
        "pin": "1.0.0",
        "locked_by": "timer (pid 7)",
        "denied": {"c" * 40: {"when": "2026-11-20T11:00:00Z", "why": "it crashed"}},
        "last_failure": {"outcome": "failed", "at": "2026-11-20T12:00:00Z", "to": B.as_record()},
        "planned_restart": {
            "reason": "from 1.0.0 to 1.1.0",
            "since": "2026-11-20T12:00:00Z",
            "expires": "2026-11-20T12:00:00Z",
        },
    }


def test_where_nothing_is_known_the_record_says_null() -> None:
    record = reasons(attempt=attempt(State.DONE)).as_record()
    unknown = ("attempt", "suspended", "pin", "locked_by", "last_failure", "planned_restart")
    assert {record[key] for key in unknown} == {None}


def test_the_gate_at_which_a_restart_waits_is_not_said_to_hold() -> None:
    """lessons.md L6"""
    told = "the daemon was asked to leave"
    owed = reasons(
        attempt=attempt(State.RESTART),
        surveyed=(WINDOW, RESTART),
        restart_owed=told,
        since={"restart": START},
    )
    assert owed.as_record()["gates"][1] == {
        "gate": "restart",
        "holds": False,
        "reason": told,
        "since": "2026-11-20T12:00:00Z",
    }
    ended = reasons(attempt=attempt(State.DONE), surveyed=(RESTART,), restart_owed=told)
    assert ended.gates == (RESTART,)


def test_a_failure_that_is_published_of_no_attempt_is_the_last_one() -> None:
    """lessons.md L6"""
    found = failure_without_attempt(PUBLISHED)
    assert found is not None
    assert found.line == {
        "outcome": "failed",
        "at": "2026-11-20T12:00:00Z",
        "to": None,
        "errors": [{"code": "update_failed", "message": "the remote cannot be reached"}],
    }
    for changed in ({"attempt": "a-1"}, {"status": "deployed"}, {"error": None}):
        assert failure_without_attempt({**PUBLISHED, **changed}) is None
    assert failure_without_attempt(None) is None
