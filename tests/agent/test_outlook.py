"""What the agent sees at a cheap look."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from newleaf.agent.jobs import busy
from newleaf.agent.outlook import Outlook
from newleaf.compose.host import now
from newleaf.core.release import CommitId, Release
from newleaf.core.states import State
from newleaf.system.locks import update_lock
from newleaf.update.journal import Journal

HERE, THERE = Release(CommitId("a" * 40)), Release(CommitId("b" * 40))


@pytest.fixture
def outlook(tmp_path: Path) -> Outlook:
    tmp_path.chmod(0o700)
    files = {"settings": (tmp_path / "one", tmp_path / "two")}
    return Outlook(tmp_path, files, lambda: Journal(tmp_path / "journal.jsonl", now).open_attempt)


def test_a_file_is_made_changed_replaced_and_removed_then_each_leaves_its_trace(outlook: Outlook) -> None:
    path = outlook.state / "two"
    traces = [outlook.trace("settings")]
    for step in (
        lambda: path.write_text("1"),
        lambda: path.write_text("22"),
        lambda: (path.with_suffix(".new").write_text("22"), path.with_suffix(".new").replace(path)),
        path.unlink,
    ):
        step()
        traces.append(outlook.trace("settings"))
        assert outlook.trace("settings") == traces[-1]
    assert len(set(traces[:-1])) == 4
    assert traces[-1] == traces[0]


def test_a_job_runs_then_busy_and_the_job_is_not_in_the_way_of_another(outlook: Outlook) -> None:
    assert not outlook.is_busy()
    with busy(state_dir=outlook.state):
        assert outlook.is_busy()
        with busy(state_dir=outlook.state):
            assert outlook.is_busy()
    assert not outlook.is_busy()


def test_an_update_runs_then_locked_and_it_may_begin_again_at_once(outlook: Outlook) -> None:
    """lessons.md L35"""
    assert not outlook.is_locked()
    with update_lock(outlook.state, "a test", "to see"):
        assert outlook.is_locked()
    assert not outlook.is_locked()
    with update_lock(outlook.state, "a test", "to see"):
        pass


def test_an_attempt_is_open_then_owed_until_it_ends(outlook: Outlook) -> None:
    """lessons.md L27"""
    assert not outlook.owes()
    journal = Journal(outlook.state / "journal.jsonl", now)
    journal.begin("one", HERE, THERE, State.WAIT)
    assert outlook.owes()
    journal.append(State.DISCARDED)
    assert not outlook.owes()


def test_what_cannot_be_looked_at_then_an_attempt_is_made_which_tells_it(outlook: Outlook) -> None:
    (outlook.state / "journal.jsonl").write_text('{"attempt": 7}\n')
    assert outlook.owes()
    for name in ("busy.lock", "update.lock"):
        (outlook.state / name).symlink_to("elsewhere")
    assert not outlook.is_busy()
    assert not outlook.is_locked()


def test_looks_are_cheap(outlook: Outlook) -> None:
    """lessons.md L30: they are made in the loop itself."""
    with busy(state_dir=outlook.state), update_lock(outlook.state, "a test", "to see"):
        began = time.monotonic()
        for _ in range(50):
            outlook.trace("settings")
            outlook.is_busy()
            outlook.is_locked()
        assert (time.monotonic() - began) / 50 < 0.02
