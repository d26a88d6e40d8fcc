"""Headquarters on a real bus, with hosts that are only registered: who they are, and what they told."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from newleaf.agent.missions.headquarters import Headquarters, Office, Operations
from newleaf.core.missions.envelope import Envelope
from newleaf.core.missions.ports import Entry
from newleaf.core.missions.publishing import Order, Wish, make_order
from newleaf.core.missions.registration import Registration
from newleaf.core.missions.results import MissionResult, report
from newleaf.core.missions.streams import Streams
from newleaf.core.missions.update_orders import read_ordered
from newleaf.core.ops_tokens import Token, digest_of
from newleaf.core.records import short_stamp
from newleaf.system.redis.headquarters import RedisHeadquarters
from tests.support.pretended_host import PretendedUpdates

OPS, FACTORY = "newleaf_ops_canary-3f9a1c", "newleaf_factory_canary-3f9a1c"
DONE = MissionResult("SUCCESS", None, {"outcome": "updated", "updated_to": "b" * 40, "version": "1.1.0"})
_prefixes = itertools.count()


def token(text: str = OPS, host: str | None = None) -> Token:
    return Token(digest_of(text.encode()), "2026-11-20T12:00:00Z", host)


@dataclass
class Centre:
    """Headquarters, and what it stands on; its streams are its own, whoever else uses the server."""

    url: str
    publishes: bool = True
    later: timedelta = timedelta()
    tokens: list[Token] = field(default_factory=lambda: [token(), token(FACTORY, "mini-1")])
    streams: Streams = field(default_factory=lambda: Streams(f"hq{next(_prefixes)}"))

    @classmethod
    def with_hosts(cls, url: str, *hosts: str) -> Centre:
        """One at which hosts have made themselves known."""
        made = cls(url)
        made.register(*hosts)
        return made

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later

    def headquarters(self) -> Headquarters:
        def make(wish: Wish) -> Order:
            return make_order(wish, uuid.uuid4().hex, self.now(), self.streams.prefix, None)

        office = Office(
            "sessions",
            "main",
            self.publishes,
            lambda: RedisHeadquarters(self.url, self.streams),
            make,
            self.now,
        )
        return Headquarters(office)

    def operations(self) -> Operations:
        return Operations(self.headquarters(), lambda: tuple(self.tokens), PretendedUpdates(), "9.9.9")

    def do(self, work: Callable[[Headquarters], Awaitable[Any]]) -> Any:
        """What comes of some work, done in a loop of its own."""

        async def run() -> Any:
            made = self.headquarters()
            try:
                async with asyncio.timeout(20):
                    return await work(made)
            finally:
                await made.close()

        return asyncio.run(run())

    def register(self, *names: str, ago: float = 0.0, **said: Any) -> None:
        """Hosts make themselves known, so many seconds ago."""

        async def register(made: Headquarters) -> None:
            for name in names:
                at = datetime.now(UTC) - timedelta(seconds=ago)
                await made.register(Registration(**{"name": name, "at": at, **said}))

        self.do(register)

    def published(self, host: str | None = None) -> list[Entry]:
        """The orders that lie on a stream: a host's, or everybody's."""
        stream = self.streams.host(host) if host else self.streams.all
        found: list[Entry] = self.do(lambda made: made.room.page(stream))
        return found

    def tell(self, host: str, job_id: str, result: MissionResult = DONE, rule: str = "") -> None:
        """A host's result arrives."""
        self.do(lambda made: tell(made, host, job_id, result, rule))

    def announce(self, commit: str, version: str = "1.1.0") -> None:
        fields = {"commit": commit, "version": version}
        self.do(lambda made: made.room.publish(self.streams.available, fields))


async def tell(made: Headquarters, host: str, job_id: str, result: MissionResult, rule: str = "") -> None:
    """A host's result arrives."""
    kept = (read_ordered(text) for text in (await made.room.orders()).values())
    ordered = next(one for one in kept if one and one.job_id == job_id)
    order = made.office.make(Wish())
    envelope: Envelope = replace(order.envelope, job_id=job_id)
    said = report(envelope, host, short_stamp(ordered.issued_at), result, rule)
    await made.room.publish(made.room.streams.results, said.as_fields())
