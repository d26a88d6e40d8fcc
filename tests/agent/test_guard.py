"""The pre-start check on a real state directory: its evidence, its alarm, and what it never does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from newleaf.agent.guard import GUARD, Admission, Guard, allow_starts, read_starts
from newleaf.core.crashes import Starts
from newleaf.core.errors import CorruptFile, DiskFull, NewerSchema
from newleaf.core.job_errors import CrashLoop
from newleaf.core.records import AttemptRecord, JournalRecord, Status, stamp
from newleaf.core.release import Release
from newleaf.core.states import State
from newleaf.system.planned_restart import announce
from newleaf.system.restarts import raise_flag
from newleaf.update.history import History
from tests.support.simulated_host import commit_of, release_of

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
A, B = release_of("a", "1.0.0"), release_of("b", "1.1.0")


@dataclass
class Host:
    """A host whose service manager calls the guard each minute."""

    state: Path
    clock: datetime = NOON
    attempts: tuple[AttemptRecord, ...] = ()
    words: list[Status] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    refuses: Exception | None = None

    def start(self, release: Release = B, limit: int = 2) -> Admission:
        self.clock += timedelta(minutes=1)
        guard = Guard(
            self.state,
            limit,
            History(self.state / "history.jsonl"),
            self.published,
            self.publish,
            lambda: Status("checking", self.clock, "mini-1", "sessions", "beta"),
            lambda: self.clock,
            self.warnings.append,
        )
        return guard.admit(Release(release.commit), self.attempts)

    def publish(self, status: Status) -> None:
        if self.refuses:
            raise self.refuses
        self.words.append(status)

    def published(self) -> Mapping[str, Any] | None:
        return self.words[-1].as_record() if self.words else None

    def confirm(self, release: Release) -> None:
        History(self.state / "history.jsonl").add(
            {"at": stamp(self.clock), "outcome": "started", "confirmed": True, "to": release.as_record()}
        )

    def attempt(self, *states: State) -> None:
        """An attempt from A to B that has come to each state now."""
        records = tuple(JournalRecord("a-1", self.clock, state, A, B) for state in states)
        self.attempts = (AttemptRecord(records),)

    def crash_loop(self) -> CrashLoop:
        """Goes round until the guard has had enough."""
        for number in range(3):
            assert self.start().abnormal_ends == number
        with pytest.raises(CrashLoop) as caught:
            self.start()
        return caught.value


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_crash_loop_is_refused_with_the_ways_out(host: Host) -> None:
    """lessons.md L32"""
    host.attempt(State.RESTART, State.DONE)
    error = host.crash_loop()
    assert error.exit_code == 7
    assert error.message == (
        "1.1.0 (bbbbbbbbb), never confirmed, ended abnormally more than 2 times in 30m: it is not started"
    )
    for way in ("newleaf rollback", "newleaf allow bbbbbbbbbbbb", "2026-11-20T12:32:00Z"):
        assert way in error.advice


def test_it_is_published_once_however_often_it_is_refused(host: Host) -> None:
    """lessons.md L5"""
    error = host.crash_loop()
    before = (host.state / GUARD).stat().st_ino
    for _ in range(5):
        with pytest.raises(CrashLoop):
            host.start()
    (word,) = host.words
    assert (word.status, word.error, word.target) == ("inconsistent", error.message, Release(B.commit))
    assert (host.state / GUARD).stat().st_ino == before, "and nothing is written while nothing changes"


def test_another_word_in_between_is_replaced_by_the_alarm_again(host: Host) -> None:
    """lessons.md L2: the host still needs a person."""
    host.crash_loop()
    host.words.append(host.words[-1]._replace(status="held", error=None))
    with pytest.raises(CrashLoop):
        host.start()
    assert [word.status for word in host.words] == ["inconsistent", "held", "inconsistent"]


def test_an_alarm_that_could_not_be_told_is_told_the_next_time(host: Host) -> None:
    full = DiskFull(path="state", free="nothing", needed="more")
    host.refuses = full
    host.crash_loop()
    assert host.warnings == [full.message]
    host.refuses = None
    with pytest.raises(CrashLoop):
        host.start()
    assert [word.status for word in host.words] == ["inconsistent"]


def test_when_the_target_changes_it_starts_and_the_alarm_is_taken_back(host: Host) -> None:
    """lessons.md L3"""
    host.crash_loop()
    assert host.start(A).abnormal_ends == 0
    word = host.words[-1]
    assert (word.status, word.error, word.target) == ("restarting", None, Release(A.commit))
    host.start(A)
    assert len(host.words) == 2


def test_a_word_that_is_not_its_own_is_left_alone(host: Host) -> None:
    """lessons.md L2: a failure stays published until an attempt succeeds."""
    host.crash_loop()
    host.words.append(host.words[-1]._replace(status="rolled_back", error="it was not healthy"))
    host.start(A)
    assert host.words[-1].status == "rolled_back"


def test_when_the_span_is_over_it_starts_again(host: Host) -> None:
    host.crash_loop()
    host.clock += timedelta(minutes=30)
    assert host.start().abnormal_ends == 0
    assert host.words[-1].status == "restarting"


@pytest.mark.parametrize("said", [commit_of("b"), commit_of("b")[:12]])
def test_when_a_person_says_so_it_starts_again(host: Host, said: str) -> None:
    host.crash_loop()
    assert allow_starts(host.state, said) == B.commit
    assert host.start().abnormal_ends == 0
    assert host.words[-1].status == "restarting"
    assert allow_starts(host.state, said) is None, "nothing is counted any more"


def test_only_what_is_counted_can_be_allowed(host: Host) -> None:
    assert allow_starts(host.state, B.commit) is None
    host.crash_loop()
    assert allow_starts(host.state, A.commit) is None
    with pytest.raises(CrashLoop):
        host.start()


# --- evidence ---------------------------------------------------------------------------


def test_a_confirmed_release_may_end_as_often_as_it_likes(host: Host) -> None:
    host.crash_loop()
    host.confirm(B)
    for _ in range(10):
        assert host.start().abnormal_ends == 0
    assert host.words[-1].status == "restarting"


def test_another_release_s_confirmation_says_nothing(host: Host) -> None:
    host.confirm(A)
    host.crash_loop()


@pytest.mark.parametrize("way", ["flag", "marker", "attempt"])
def test_a_restart_that_was_asked_for_does_not_count(host: Host, way: str) -> None:
    """lessons.md L31, L32"""
    for _ in range(10):
        assert host.start().abnormal_ends == 0
        asked = host.clock + timedelta(seconds=30)
        if way == "flag":
            raise_flag(host.state, 1, asked)
        elif way == "marker":
            announce(host.state, "update", asked, 60)
        else:
            host.attempts = (AttemptRecord((JournalRecord("a-1", asked, State.RESTART, A, B),)),)


def test_one_that_was_asked_for_before_the_last_start_excuses_nothing(host: Host) -> None:
    """lessons.md L32: the flag that brought a broken release stays until a process reports."""
    raise_flag(host.state, 1, NOON)
    announce(host.state, "update", NOON, 3600)
    host.attempt(State.RESTART)
    host.crash_loop()


# --- what cannot be read or written -----------------------------------------------------


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b'{"schema": 1}', b'{"commit": 1}'], ids=repr)
def test_with_broken_counters_counting_begins_anew(host: Host, text: bytes) -> None:
    host.crash_loop()
    (host.state / GUARD).write_bytes(text)
    assert host.start().abnormal_ends == 0
    (warning,) = host.warnings
    assert "guard.json cannot be read" in warning
    assert host.start().abnormal_ends == 1
    assert len(host.warnings) == 1
    (host.state / GUARD).write_bytes(text)
    assert allow_starts(host.state, B.commit) is None


def test_counters_are_neither_read_nor_written_through_a_symlink(host: Host) -> None:
    """threats.md T20"""
    elsewhere = host.state / "elsewhere"
    host.crash_loop()
    (host.state / GUARD).rename(elsewhere)
    before = elsewhere.read_bytes()
    (host.state / GUARD).symlink_to(elsewhere)
    assert host.start().abnormal_ends == 0
    assert (elsewhere.read_bytes(), (host.state / GUARD).is_symlink()) == (before, False)


def test_counters_that_cannot_be_written_are_a_warning(host: Host) -> None:
    (host.state / GUARD).mkdir()
    assert host.start().abnormal_ends == 0
    assert len(host.warnings) == 2, "neither read nor written"


def test_counters_of_a_newer_newleaf_are_left_alone(host: Host) -> None:
    (host.state / GUARD).write_text('{"schema": 2}')
    with pytest.raises(NewerSchema):
        host.start()
    assert (host.state / GUARD).read_text() == '{"schema": 2}'


def test_with_a_broken_history_nothing_can_be_judged(host: Host) -> None:
    host.crash_loop()
    (host.state / "history.jsonl").write_text("[]\n")
    with pytest.raises(CorruptFile):
        host.start()


def test_what_is_remembered_is_one_whole_record(host: Host) -> None:
    host.start()
    record = json.loads((host.state / GUARD).read_text())
    assert record == {
        "schema": 1,
        "commit": B.commit,
        "started": "2026-11-20T12:01:00.000Z",
        "abnormal_ends": [],
        "alarm": None,
    }
    assert read_starts(host.state) == Starts(B.commit, NOON + timedelta(minutes=1))
