"""The published word: written when it changes, read with suspicion, and never in anybody's way."""

from __future__ import annotations

import json
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from newleaf.agent.status import StatusFile
from newleaf.core.errors import CorruptFile, NewerSchema
from newleaf.core.records import AttemptRecord, JournalRecord, Status, Waiting
from newleaf.core.release import Release
from newleaf.core.states import State
from tests.support.simulated_host import START, release_of

A, B = release_of("a", "1.0.0"), release_of("b", "1.1.0")


def word(**fields: Any) -> Status:
    said: dict[str, Any] = {
        "status": "waiting",
        "timestamp": START,
        "computer": "mini-1",
        "app": "sessions",
        "channel": "beta",
        "target": B,
        "attempt": "a-1",
        "waiting_for": (Waiting("idle", "a job runs", START),),
    }
    return Status(**{**said, **fields})


@pytest.fixture
def running() -> list[Release | None]:
    """What runs; the last entry counts."""
    return [None]


@pytest.fixture
def file(tmp_path: Path, running: list[Release | None]) -> StatusFile:
    return StatusFile(tmp_path, lambda: running[-1])


def attempt(name: str) -> AttemptRecord:
    return AttemptRecord((JournalRecord(name, START, State.WAIT, A, B),))


def test_the_record_is_the_contract_s_to_the_letter(file: StatusFile, tmp_path: Path) -> None:
    file.publish(word(running=A))
    path = tmp_path / "status.json"
    assert json.loads(path.read_text()) == {
        "schema": 1,
        "status": "waiting",
        "timestamp": "2026-11-20T12:00:00Z",
        "computer": "mini-1",
        "app": "sessions",
        "channel": "beta",
        "running": {"commit": "a" * 40, "version": "1.0.0"},
        "target": {"commit": "b" * 40, "version": "1.1.0"},
        "attempt": "a-1",
        "error": None,
        "waiting_for": [{"gate": "idle", "reason": "a job runs", "since": "2026-11-20T12:00:00Z"}],
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_unchanged_word_is_not_written_again(file: StatusFile, tmp_path: Path) -> None:
    """lessons.md L5"""
    file.publish(word())
    before = (tmp_path / "status.json").stat()
    file.publish(word(timestamp=START + timedelta(hours=1)))
    assert (tmp_path / "status.json").stat().st_ino == before.st_ino
    file.publish(word(error="the remote is gone"))
    assert file.published() is not None
    assert (tmp_path / "status.json").stat().st_ino != before.st_ino


def test_before_the_first_word_there_is_none(file: StatusFile) -> None:
    assert file.published() is None
    assert file.not_holding_since(attempt("a-1")) == {}
    assert file.current(word(status="checking"))["status"] == "checking"


def test_what_runs_is_what_the_live_process_says_now(file: StatusFile, running: list[Release | None]) -> None:
    """lessons.md L1: a process that has died takes its word with it."""
    file.publish(word(running=A))
    assert file.current(word())["running"] is None
    running.append(B)
    assert file.current(word())["running"] == B.as_record()


def test_since_when_a_gate_holds_an_attempt_is_kept_for_that_attempt_alone(file: StatusFile) -> None:
    file.publish(word())
    assert file.not_holding_since(attempt("a-1")) == {"idle": START}
    assert file.not_holding_since(attempt("a-2")) == {}


FAULTS: dict[str, Any] = {
    "status": 5,
    "timestamp": None,
    "computer": ["mini-1"],
    "app": None,
    "channel": 1,
    "target": {"commit": "main"},
    "attempt": 7,
    "error": ["bad"],
    "waiting_for": [{"gate": "idle", "reason": "a job runs", "since": "lately"}],
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_field_of_another_kind_is_named_to_who_asks_and_hinders_nobody_else(
    file: StatusFile, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "status.json"
    path.write_text(json.dumps({**word().as_record(), name: FAULTS[name]}))
    with pytest.raises(CorruptFile, match=rf"status\.json cannot be read: {name} is "):
        file.current(word())
    assert file.published() is None
    assert file.not_holding_since(attempt("a-1")) == {}
    file.publish(word())
    assert file.current(word())["status"] == "waiting"


@pytest.mark.parametrize(
    "gates", ["idle", ["idle"], [{}], [{"gate": "idle"}], [{"gate": 1, "reason": "", "since": ""}]]
)
def test_gates_of_another_kind_are_a_fault(file: StatusFile, tmp_path: Path, gates: object) -> None:
    (tmp_path / "status.json").write_text(json.dumps({**word().as_record(), "waiting_for": gates}))
    with pytest.raises(CorruptFile, match="waiting_for"):
        file.current(word())


def test_a_word_of_a_newer_newleaf_is_never_overwritten(file: StatusFile, tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_text('{"schema": 2}')
    with pytest.raises(NewerSchema):
        file.publish(word())
    assert path.read_text() == '{"schema": 2}'


def test_a_link_in_its_place_is_replaced_and_its_end_untouched(file: StatusFile, tmp_path: Path) -> None:
    """threats.md T20"""
    other = tmp_path / "other"
    other.write_text("kept")
    (tmp_path / "status.json").symlink_to(other)
    file.publish(word())
    assert other.read_text() == "kept"
    assert not (tmp_path / "status.json").is_symlink()


def gates(*names: str) -> tuple[Waiting, ...]:
    return tuple(Waiting(name, "why", START) for name in names)


def test_l3_the_daemon_leaves_then_what_waited_for_that_alone_is_restarting(tmp_path: Path) -> None:
    """lessons.md L3: the new process turns it into `deployed`. Whoever mirrors it is told."""
    told: list[Any] = []
    file = StatusFile(tmp_path, lambda: None, told.append)
    file.publish(word(running=A, waiting_for=gates("restart")))
    file.say_restarting(START + timedelta(minutes=1))
    expected = word(status="restarting", timestamp=START + timedelta(minutes=1), waiting_for=())
    assert file.published() == told[-1] == expected.as_record()


@pytest.mark.parametrize(
    "said",
    [
        {"waiting_for": gates("idle")},
        {"waiting_for": gates("restart", "window")},
        {"status": "update_failed", "waiting_for": gates("restart")},
        None,
    ],
)
def test_the_daemon_leaves_for_something_else_then_the_word_stands(
    file: StatusFile, said: dict[str, Any] | None
) -> None:
    if said is not None:
        file.publish(word(**said))
    before = file.published()
    file.say_restarting(START)
    assert file.published() == before
