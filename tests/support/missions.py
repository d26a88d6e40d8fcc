"""A bus with a publisher, for hosts in tests: a real server, real streams, keys and orders."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from newleaf.agent.jobs import Busy
from newleaf.agent.missions import consumer as missions
from newleaf.agent.missions import handlers as mission_handlers
from newleaf.agent.missions import work as mission_work
from newleaf.agent.missions.door import MissionDoor
from newleaf.core.missions.dead_letters import DeadLetter
from newleaf.core.missions.envelope import Envelope
from newleaf.core.missions.judging import Receiver
from newleaf.core.missions.kinds import UPDATE
from newleaf.core.missions.ports import Handler
from newleaf.core.missions.publishing import Wish, make_order
from newleaf.core.missions.results import SUCCESS, MissionResult, Report
from newleaf.core.missions.signatures import MissionKey
from newleaf.core.missions.streams import Streams
from newleaf.integrations.missions import MissionConsumer
from newleaf.system.redis.bus import RedisBus, RedisRoom
from tests.support.pretended_host import PretendedHost, until

PREFIX = "t:missions"
STREAMS = Streams(PREFIX)
HQ = MissionKey("hq", b"h" * 32, broadcast=True)
CLERK = MissionKey("clerk", b"c" * 32, kinds=(UPDATE,))
KEYS = {"hq": HQ, "clerk": CLERK}
_jobs = itertools.count(1)


def quickly(monkeypatch: Any) -> None:
    """Hosts that look around, and try again, without waiting."""
    for module, name, seconds in (
        (missions, "READ_SECONDS", 0.05),
        (missions, "LOOK_SECONDS", 0.02),
        (missions, "FLAG_SECONDS", 0.02),
        (missions, "RETAKE_SECONDS", 0.1),
        (missions, "IDLE_SECONDS", 0.3),
        (missions, "FIRST_PAUSE_SECONDS", 0.05),
        (missions, "LONGEST_PAUSE_SECONDS", 0.1),
        (missions, "INTERVAL_SECONDS", 0.1),
        (mission_work, "FIRST_PAUSE_SECONDS", 0.05),
        (mission_work, "LONGEST_PAUSE_SECONDS", 0.1),
        (mission_handlers, "GRACE_SECONDS", 0.1),
    ):
        monkeypatch.setattr(module, name, seconds)


def fields_of(
    kind: str = UPDATE,
    target: str = "mini-1",
    *,
    key: MissionKey | None = None,
    at: datetime | None = None,
    job: str | None = None,
    **said: Any,
) -> dict[str, str]:
    """The fields of an order."""
    wish = Wish(kind=kind, target=target, **said)
    made = make_order(wish, job or f"job-{next(_jobs)}", at or datetime.now(UTC), PREFIX, key)
    return dict(made.fields)


@dataclass
class Counter:
    """A handler that counts what it did, and does what it is told."""

    mission_kind: str = "app:count"
    done: list[str] = field(default_factory=list)
    does: Callable[[Envelope], Any] = lambda _: MissionResult(SUCCESS, None, {"counted": True})

    def ends_with(self, may_end: asyncio.Event) -> None:
        """From now on it goes on until it may end."""
        does = self.does

        async def wait(envelope: Envelope) -> Any:
            await may_end.wait()
            return does(envelope)

        self.does = wait

    async def handle(self, envelope: Envelope, context: Mapping[str, object]) -> MissionResult:
        self.done.append(envelope.job_id)
        given = self.does(envelope)
        return await given if asyncio.iscoroutine(given) else given


class Room:
    """Headquarters: publishes, and reads what comes back."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.room = RedisRoom(url, STREAMS)

    async def publish(self, fields: Mapping[str, str] | None = None, stream: str = "", **said: Any) -> str:
        """Publishes an order; its job id."""
        made = fields if fields is not None else fields_of(**said)
        target = made.get("target", "mini-1")
        chosen = STREAMS.host(target) if target.isalnum() or "-" in target else STREAMS.all
        await self.room.publish(stream or chosen, made)
        return made.get("job_id", "")

    async def reports(self, job: str | None = None) -> list[Report]:
        found = [Report.read(entry.fields) for entry in await self.room.page(STREAMS.results)]
        return [each for each in found if each and job in (None, each.job_id)]

    async def report(self, job: str, count: int = 1, seconds: float = 10.0) -> Report:
        """The last of so many results of one order, waited for."""
        async with asyncio.timeout(seconds):
            while len(found := await self.reports(job)) < count:  # noqa: ASYNC110 - it is the server's
                await asyncio.sleep(0.01)
        return found[-1]

    async def dead(self) -> list[DeadLetter]:
        found = [DeadLetter.read(entry.fields) for entry in await self.room.page(STREAMS.dead)]
        return [each for each in found if each]

    async def pending(self, name: str = "mini-1") -> int:
        """How many entries were handed out to a host, and not acknowledged."""
        total = 0
        for stream in (STREAMS.all, STREAMS.host(name)):
            total += (await self.room._call("XPENDING", stream, f"host:{name}"))[0]
        return total

    async def unread(self, stream: str, name: str = "mini-1") -> int:
        """How many entries of a stream were not handed out to a host."""
        for flat in await self.room._call("XINFO", "GROUPS", stream):
            group = dict(zip(flat[::2], flat[1::2], strict=True))
            if group[b"name"] == f"host:{name}".encode():
                start = group[b"last-delivered-id"].decode()
                return len(await self.room.page(stream, f"({start}"))
        raise AssertionError("no such group")

    async def settled(self, name: str = "mini-1") -> None:
        """Waits until a host has read and acknowledged everything."""
        async with asyncio.timeout(10):
            while await self._left(name):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def _left(self, name: str) -> int:
        unread = [await self.unread(stream, name) for stream in (STREAMS.all, STREAMS.host(name))]
        return await self.pending(name) + sum(unread)


def consumer(
    host: PretendedHost,
    url: str,
    handlers: Sequence[Handler] = (),
    *,
    lives: bool = True,
    restarts: Any = None,
    bus: Callable[[RedisBus], Any] = lambda bus: bus,
    **said: Any,
) -> MissionConsumer:
    """A consumer of a host whose updates are pretended; `said` are facts of its receiver, and keys."""
    name = said.pop("name", "mini-1")
    keys, seconds = said.pop("keys", None), said.pop("handler_seconds", 5.0)
    receiver = Receiver(name, PREFIX, **said)
    door = MissionDoor(
        receiver,
        lambda reader: bus(RedisBus(url, STREAMS, name, reader)),
        lambda job: Busy(host.state, job),
        "bus",
        keys if callable(keys) else lambda: keys,
        "bridge",
        ("gpu",),
        seconds,
    )
    doors = replace(host.doors(lives=lives), missions=lambda: door, restarts=restarts)
    return MissionConsumer(doors, handlers)


@contextlib.asynccontextmanager
async def running(made: MissionConsumer) -> AsyncIterator[MissionConsumer]:
    """The consumer, running, enrolled; stopped at the end."""
    task = asyncio.ensure_future(made.run())
    try:
        await until(lambda: made._is_enrolled or task.done())
        yield made
    finally:
        made.stop()
        await asyncio.wait_for(task, 10)


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)
