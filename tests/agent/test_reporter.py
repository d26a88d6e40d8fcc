"""Who is told what: the watcher and the log all, the notices each outcome, the status file each word."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from newleaf.agent.reporter import OUTCOMES, Reporter, describe
from newleaf.agent.status import StatusFile
from newleaf.agent.update_log import UpdateLog
from newleaf.core.records import Status, Waiting
from tests.support.simulated_host import START, release_of

WORDS = (
    "checking updating migrating installing restarting deployed update_failed rolled_back waiting held stale "
    "inconsistent"
).split()


def word(status: str, **fields: Any) -> Status:
    return Status(status, START, "mini-1", "sessions", "beta", **fields)


class World:
    """Who is told."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.notices: list[str] = []
        self.seen: list[str] = []
        self.file = StatusFile(state, lambda: None)
        log = UpdateLog(state, lambda: START)
        self.reporter = Reporter(
            self.file, log, lambda status: self.notices.append(status.status), self.seen.append
        )

    @property
    def log(self) -> list[str]:
        path = self.state / "logs/update.log"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("status", WORDS)
def test_each_word_is_published_and_only_what_ends_something_is_posted(world: World, status: str) -> None:
    world.reporter.publish(word(status))
    published = world.file.published()
    assert published is not None
    assert published["status"] == status
    assert world.notices == ([status] if status in OUTCOMES else [])


def test_what_ends_something_is_among_the_contract_s_words() -> None:
    assert set(WORDS) > OUTCOMES
    assert {"update_failed", "rolled_back", "inconsistent", "stale"} <= OUTCOMES


def test_a_line_of_progress_goes_to_who_watches_and_to_the_log(world: World) -> None:
    world.reporter.line("Resolved 3 packages")
    assert world.seen == ["Resolved 3 packages"]
    assert world.log == ["2026-11-20T12:00:00Z Resolved 3 packages"]
    assert world.file.published() is None


def test_the_word_stands_already_then_who_watches_sees_it_and_the_log_has_it_once(world: World) -> None:
    """lessons.md L5: an update that waits is tried again and again, each time by a process of its own."""
    waiting = word("waiting", waiting_for=(Waiting("idle", "a job runs", START),))
    for _ in range(3):
        world.reporter.publish(waiting)
        world = World(world.state)
        world.reporter.publish(waiting)
        assert len(world.seen) == 1
    assert len(world.log) == 1


def test_the_same_word_again_is_one_line(world: World) -> None:
    """lessons.md L5"""
    failed = word("update_failed", error="the remote is gone")
    world.reporter.publish(failed)
    world.reporter.publish(failed._replace(timestamp=START + timedelta(hours=1)))
    assert len(world.log) == len(world.seen) == 1
    assert world.notices == ["update_failed"] * 2, "the notices themselves know what was told"


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (word("checking"), "checking"),
        (word("updating", target=release_of("b", "1.1.0")), "updating 1.1.0 (bbbbbbbbb)"),
        (word("deployed", running=release_of("b")), "deployed bbbbbbbbb"),
        (
            word("waiting", target=release_of("b"), waiting_for=(Waiting("idle", "a job runs", START),)),
            "waiting bbbbbbbbb waits for idle: a job runs",
        ),
        (word("update_failed", error="no space"), "update_failed no space"),
    ],
)
def test_a_word_in_one_line(status: Status, sentence: str) -> None:
    assert describe(status) == sentence
