"""A remote out of reach: counted, told once, taken back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from newleaf.agent.staleness import Staleness
from newleaf.agent.watch_file import WatchFile

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Host:
    """A host that is stale after ten hours, and what it said."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.said: list[str] = []

    @property
    def staleness(self) -> Staleness:
        """As a fresh process would make it."""
        return Staleness(WatchFile(self.state), 36_000, self.said.append, lambda: self.said.append("reached"))

    def fails(self, hours: float) -> bool:
        return self.staleness.note_unreached(NOW + hours * HOUR, "no route to host")

    def answers(self, hours: float) -> None:
        self.staleness.note_reached(NOW + hours * HOUR)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_out_of_reach_for_long_then_stale_said_once(host: Host) -> None:
    """threats.md T2, lessons.md L5: across restarts of newleaf too."""
    host.answers(0)
    assert [host.fails(hours) for hours in (1, 9.9, 10, 11, 500)] == [False, False, True, True, True]
    assert host.said == ["the remote has not been reached for 10h: no route to host"]


def test_back_in_reach_then_said_once_and_counted_anew(host: Host) -> None:
    """threats.md T2: contact clears it."""
    host.answers(0)
    host.fails(10)
    host.answers(11)
    host.answers(12)
    assert host.said[1:] == ["reached"]
    assert not host.fails(20)
    assert host.fails(22)
    assert len(host.said) == 3


def test_never_reached_then_counted_from_the_first_failure(host: Host) -> None:
    """threats.md T2."""
    assert [host.fails(hours) for hours in (0, 9, 10)] == [False, False, True]
    assert len(host.said) == 1


def test_reached_now_and_then_then_never_stale(host: Host) -> None:
    for hours in range(0, 100, 9):
        host.answers(hours)
        assert not host.fails(hours + 8)
    assert host.said == []


def test_clock_set_back_then_counted_anew_not_for_ever(host: Host) -> None:
    host.answers(10_000)
    assert not host.fails(0)
    assert host.fails(10)


def test_memory_lost_then_counted_anew(host: Host) -> None:
    host.answers(0)
    (host.state / "watch.json").write_text("{")
    assert not host.fails(10)
    assert host.fails(20)


def test_reached_again_and_again_then_few_writes(host: Host) -> None:
    host.answers(0)
    before = (host.state / "watch.json").stat().st_ino
    host.answers(0.1)
    assert (host.state / "watch.json").stat().st_ino == before
    host.answers(0.5)
    record = json.loads((host.state / "watch.json").read_text())
    assert record["reached_at"] == "2026-11-20T12:30:00.000Z"
