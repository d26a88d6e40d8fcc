"""Hosts tell each other of a release: said once, heard by the others, taken at its word by nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from newleaf.agent.announcements import Announcements
from newleaf.agent.check import Checked
from newleaf.core.missions.mission_errors import BusUnconfigured, BusUnreachable
from newleaf.core.release import CommitId, Release
from tests.support.fake_time import run_in_fake_time

FOUND = Release(CommitId("b" * 40), "1.1.0")


class Bus:
    """What hosts announce; `is_away` for a while."""

    def __init__(self) -> None:
        self.said: list[Mapping[str, str]] = []
        self.news: list[list[Mapping[bytes, bytes]]] = []
        self.is_away = False
        self.is_closed = False
        self.is_unheard_of = False

    async def announce(self, fields: Mapping[str, str]) -> None:
        if self.is_away:
            raise BusUnreachable(url="u", reason="away")
        self.said.append(fields)

    async def announced(self, seconds: float) -> list[Mapping[bytes, bytes]]:
        if self.is_away:
            raise BusUnreachable(url="u", reason="away")
        if self.news:
            return self.news.pop(0)
        await asyncio.sleep(seconds)
        return []

    async def close(self) -> None:
        self.is_closed = True


def checked(commit: str = FOUND.commit) -> Checked:
    return Checked("available", "alpha", current=FOUND, available=Release(CommitId(commit), "1.1.0"))


async def at_once(work: Callable[[], Any], _: str) -> Any:
    return work()


def live(
    bus: Bus, at: Mapping[float, Callable[[Announcements], object]], seconds: float = 100.0
) -> list[float]:
    """When the remote was looked at for the sake of an announcement."""
    looked: list[float] = []

    def connect() -> Bus:
        if bus.is_unheard_of:
            raise BusUnconfigured
        return bus

    async def main() -> None:
        loop = asyncio.get_running_loop()
        made = Announcements("mini-1", "alpha", connect, 30.0, lambda: 0.5, at_once)
        for moment, act in at.items():
            loop.call_later(moment, act, made)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await made.run(lambda: looked.append(loop.time()))

    run_in_fake_time(main())
    assert bus.is_closed is not bus.is_unheard_of
    return looked


def test_found_then_it_is_said_with_what_it_is() -> None:
    bus = Bus()
    live(bus, {1.0: lambda made: made.found(checked())})
    assert bus.said == [{"host": "mini-1", "channel": "alpha", "commit": FOUND.commit, "version": "1.1.0"}]


def test_the_bus_is_away_then_the_newest_is_said_when_it_is_back() -> None:
    bus = Bus()
    bus.is_away = True
    live(
        bus,
        {
            1.0: lambda made: made.found(checked("a" * 40)),
            2.0: lambda made: made.found(checked("c" * 40)),
            40.0: lambda _: setattr(bus, "is_away", False),
        },
    )
    assert [fields["commit"] for fields in bus.said] == ["c" * 40]


def test_l44_heard_from_others_then_looked_for_after_a_while_and_seldom() -> None:
    """lessons.md L44; what is heard is only a reason to look."""
    bus = Bus()
    bus.news = [[{b"host": b"mini-2", b"commit": b"; rm -rf /"}], [{b"host": b"mini-3"}, {b"nonsense": b""}]]
    assert live(bus, {}) == pytest.approx([15.0, 60.0], abs=0.5)


def test_heard_from_itself_then_nothing_is_looked_for() -> None:
    bus = Bus()
    bus.news = [[{b"host": b"mini-1"}]]
    assert live(bus, {}) == []


def test_there_can_be_no_bus_then_it_is_quiet() -> None:
    bus = Bus()
    bus.is_unheard_of = True
    assert live(bus, {1.0: lambda made: made.found(checked())}) == []
