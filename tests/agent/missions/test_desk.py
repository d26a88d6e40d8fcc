"""Missions as they are read, where it is not the bus that matters. On a bus: `integrations`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from newleaf.agent.jobs import Busy
from newleaf.agent.missions.desk import MissionDesk
from newleaf.agent.missions.door import MissionDoor
from newleaf.agent.missions.work import MissionWork
from newleaf.core.missions.judging import Receiver
from newleaf.core.missions.mission_errors import BusUnreachable
from newleaf.core.missions.ports import Entry
from newleaf.core.missions.results import Report
from tests.support.missions import Counter, fields_of, quickly
from tests.support.pretended_host import PretendedHost, host

__all__ = ["host"]


class Bus:
    """Remembers what it was told, in its order; `is_away` when something is acknowledged."""

    def __init__(self, host: PretendedHost) -> None:
        self.told: list[str] = []
        self.rules: list[str] = []
        self.is_away = False
        self._host = host

    async def acknowledge(self, entry: Entry) -> None:
        self.told.append(f"acknowledge after {self._host.steps.names[-1:]}")
        if self.is_away:
            raise BusUnreachable(url="u", reason="away")

    async def report(self, fields: Mapping[str, str]) -> None:
        found = Report.read({name.encode(): value.encode() for name, value in fields.items()})
        assert found
        self.told.append("report")
        self.rules.append(found.rule)

    async def bury(self, fields: Mapping[str, str]) -> None:
        self.told.append("bury")


def no_bus(_: str) -> Any:
    raise AssertionError


def take(host: PretendedHost, bus: Bus, handler: Counter, *entries: Mapping[str, str]) -> None:
    async def work() -> None:
        doors = host.doors()
        door = MissionDoor(
            Receiver("mini-1", "t:missions"),
            lambda _: pytest.fail("no bus"),
            lambda job: Busy(host.state, job),
        )
        at_work = MissionWork(doors, door, {handler.mission_kind: handler}, lambda _: None)
        desk = MissionDesk(doors, door, at_work, [handler.mission_kind], lambda _: None)
        fitting: Any = bus
        for number, fields in enumerate(entries):
            encoded = {name.encode(): value.encode() for name, value in fields.items()}
            try:
                await desk.take(fitting, Entry("t:host:mini-1", f"{number}-0", encoded))
            except BusUnreachable:
                bus.is_away = False
        while await at_work.work():
            pass

    asyncio.run(work())


def test_l29_taken_then_kept_before_it_is_acknowledged(host: PretendedHost) -> None:
    """lessons.md L29"""
    bus, handler = Bus(host), Counter()
    take(host, bus, handler, fields_of("app:count"))
    assert bus.told == ["acknowledge after ['after accept']"]
    assert len(handler.done) == 1


def test_l39_the_bus_goes_before_it_is_acknowledged_then_it_is_done_all_the_same_and_once(
    host: PretendedHost,
) -> None:
    """lessons.md L39: what was kept is not forgotten until a restart."""
    bus, handler = Bus(host), Counter()
    bus.is_away = True
    fields = fields_of("app:count")
    take(host, bus, handler, fields, fields)
    assert len(handler.done) == 1


def test_refused_then_told_before_it_is_acknowledged(host: PretendedHost) -> None:
    bus = Bus(host)
    take(host, bus, Counter(), fields_of("app:other"))
    assert bus.told == ["report", "acknowledge after []"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"url": "https://x"}, ["bury", "report", "acknowledge after []"]),
        ({"target": "a;b"}, ["bury", "report", "acknowledge after []"]),
        ({"job_id": ""}, ["bury", "acknowledge after []"]),
    ],
)
def test_t26_no_mission_then_it_is_buried_and_who_ordered_it_is_told_the_rule(
    host: PretendedHost, changed: dict[str, str], told: list[str]
) -> None:
    """threats.md T26: "refused, result says which rule"."""
    bus = Bus(host)
    take(host, bus, Counter(), fields_of("app:count") | changed)
    rules = {"url": ["unknown_field"], "target": ["target"], "job_id": []}
    assert (bus.told, bus.rules) == (told, rules[next(iter(changed))])


def test_another_orders_id_then_it_is_refused(host: PretendedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    quickly(monkeypatch)
    bus, handler = Bus(host), Counter()

    async def accept() -> None:
        from newleaf.agent.desk import Desk

        assert await Desk("http", host.doors()).accept("x", "http")

    asyncio.run(accept())
    take(host, bus, handler, fields_of("app:count", job="order-0"))
    assert (bus.rules, handler.done) == (["job_id_taken"], [])
