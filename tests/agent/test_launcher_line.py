"""An attempt's line to the launcher: what it says, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from newleaf.agent.launcher_line import LauncherLine
from newleaf.core.launch.launcher_errors import LauncherLost, LauncherRefused, NoLauncher
from newleaf.core.records import AttemptRecord, JournalRecord
from newleaf.core.release import CommitId, Release
from newleaf.core.states import State
from newleaf.system.control_socket import CONTROL
from tests.support.answering import Answering

START, TARGET = Release(CommitId("a" * 40)), Release(CommitId("b" * 40))
ATTEMPT = AttemptRecord(
    (JournalRecord("one", datetime(2026, 11, 20, tzinfo=UTC), State.RESTART, START, TARGET),)
)
ORDER = {"do": "handover", "attempt": "one", "commit": TARGET.commit}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Answering]:
    with Answering.at(tmp_path / CONTROL) as answering:
        yield answering


class Stage:
    """A line, and what it did besides speaking."""

    def __init__(self, state: Path, *, overlaps: bool = False) -> None:
        self.done: list[str] = []
        self.line = LauncherLine(state, 0.1, 0.1, overlaps, lambda: self.done.append("prepared"))

    def hand_over(self) -> str | None:
        return self.line.hand_over(ATTEMPT, lambda: self.done.append("stopped"))


def events(*words: str, reason: str = "") -> list[bytes]:
    return [f'{{"event": "{word}", "reason": "{reason}"}}\n'.encode() for word in words]


def test_a_release_is_confirmed_and_jobs_go_when_the_old_process_has_stopped(
    server: Answering, tmp_path: Path
) -> None:
    server.answers = events("accepted", "stopped", "serving", "confirmed")
    stage = Stage(tmp_path)
    assert stage.hand_over() is None
    assert server.orders == [ORDER]
    assert stage.done == ["prepared", "stopped"]


def test_in_an_overlap_jobs_go_at_once(server: Answering, tmp_path: Path) -> None:
    """The new process may need the lock before it is ready."""
    server.answers = events("accepted", "confirmed")
    stage = Stage(tmp_path, overlaps=True)
    assert stage.hand_over() is None
    assert stage.done == ["prepared", "stopped"]


def test_a_release_that_is_given_up_says_why_and_the_line_stays_until_it_is_dealt_with(
    server: Answering, tmp_path: Path
) -> None:
    server.answers = events("failed", reason="it died")
    stage = Stage(tmp_path)
    assert stage.hand_over() == "it died"
    server.answers = events("running")
    stage.line.free()
    assert [order["do"] for order in server.orders] == ["handover", "settled"]


def test_a_hold_is_asked_for_once_and_freed_on_the_same_line(server: Answering, tmp_path: Path) -> None:
    server.answers = events("stopped")
    stage = Stage(tmp_path)
    stage.line.hold(ATTEMPT)
    stage.line.hold(ATTEMPT)
    server.answers = events("running")
    stage.line.free()
    assert [order["do"] for order in server.orders] == ["hold", "settled"]
    stage.line.free()


def test_a_hold_that_is_refused_frees_nothing(server: Answering, tmp_path: Path) -> None:
    server.answers = events("refused", reason="busy")
    stage = Stage(tmp_path)
    with pytest.raises(LauncherRefused):
        stage.line.hold(ATTEMPT)
    stage.line.free()
    assert [order["do"] for order in server.orders] == ["hold"]


def test_a_launcher_that_says_nothing_after_all_is_dealt_with_is_left(
    server: Answering, tmp_path: Path
) -> None:
    server.answers = events("failed")
    stage = Stage(tmp_path)
    stage.hand_over()
    stage.line.free()
    assert server.orders[-1] == {"do": "settled"}


def test_a_launcher_that_is_gone_is_lost_and_one_that_never_was_is_none(
    server: Answering, tmp_path: Path
) -> None:
    server.answers, server.hangs_up = events("accepted"), True
    with pytest.raises(LauncherLost):
        Stage(tmp_path).hand_over()
    with pytest.raises(NoLauncher):
        Stage(tmp_path / "elsewhere").hand_over()
