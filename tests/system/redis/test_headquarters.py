"""What headquarters keeps on a real bus: an order is published and kept in one step, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from newleaf.core.missions.mission_errors import BusUnreachable
from newleaf.core.missions.publishing import make_order
from newleaf.core.missions.streams import Streams
from newleaf.core.missions.update_orders import Ordered, wish_for
from newleaf.system.redis.headquarters import RedisHeadquarters
from tests.support.redis_server import ENGINES, RedisServer, serve_redis

STREAMS = Streams("t")
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ORDER = make_order(wish_for("mini-1", None), "j1", NOW, "t", None)
ORDERED = Ordered(
    job_id="j1",
    target="mini-1",
    issued_at=NOW,
    expires_at=NOW + timedelta(days=1),
    since="0",
    hosts=("mini-1",),
)


@pytest.fixture(params=ENGINES)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with serve_redis(request.param, appendonly="no") as made:
        yield made


def run(server: RedisServer, work: Callable[[RedisHeadquarters], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        room = RedisHeadquarters(server.url, STREAMS)
        try:
            async with asyncio.timeout(20):
                return await work(room)
        finally:
            await room.close()

    return asyncio.run(bounded())


def test_an_order_is_placed_then_it_is_published_and_kept(server: RedisServer) -> None:
    async def place(room: RedisHeadquarters) -> None:
        await room.ping()
        assert await room.orders() == {}
        assert await room.place(ORDER, ORDERED, b"")
        assert await room.orders() == {"mini-1": ORDERED.as_json().encode()}
        (entry,) = await room.page(STREAMS.host("mini-1"))
        assert entry.fields == {k.encode(): v.encode() for k, v in ORDER.fields.items()}

    run(server, place)


def test_another_order_was_kept_meanwhile_then_nothing_is_done(server: RedisServer) -> None:
    async def place(room: RedisHeadquarters) -> None:
        assert await room.place(ORDER, ORDERED, b"")
        second = replace(ORDERED, job_id="j2")
        assert not await room.place(ORDER, second, b"")
        assert not await room.place(ORDER, second, b"another")
        assert await room.place(ORDER, second, ORDERED.as_json().encode())
        assert len(await room.page(STREAMS.host("mini-1"))) == 2

    run(server, place)


def test_l43_many_place_at_once_then_one_does(server: RedisServer) -> None:
    async def place(room: RedisHeadquarters) -> None:
        rivals = [replace(ORDERED, job_id=f"j{number}") for number in range(12)]
        done = await asyncio.gather(*(room.place(ORDER, rival, b"") for rival in rivals))
        assert sorted(done) == [False] * 11 + [True]
        assert len(await room.page(STREAMS.host("mini-1"))) == 1

    run(server, place)


def test_the_order_cannot_be_published_then_it_is_not_kept(server: RedisServer) -> None:
    async def place(room: RedisHeadquarters) -> None:
        await room._call("SET", STREAMS.host("mini-1"), "no stream")
        with pytest.raises(BusUnreachable):
            await room.place(ORDER, ORDERED, b"")
        assert await room.orders() == {}

    run(server, place)


def test_the_bus_is_full_then_it_is_said_and_nothing_is_kept(server: RedisServer) -> None:
    async def place(room: RedisHeadquarters) -> None:
        await room._call("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(BusUnreachable):
            await room.place(ORDER, ORDERED, b"")
        await room._call("CONFIG", "SET", "maxmemory", "0")
        assert (await room.orders(), await room.page(STREAMS.host("mini-1"))) == ({}, [])

    run(server, place)


def test_forgotten_then_it_is_gone_and_one_that_has_spoken_since_is_not(server: RedisServer) -> None:
    async def forget(room: RedisHeadquarters) -> None:
        for name in ("mini-1", "mini-2"):
            await room.register(name, "old")
        await room.register("mini-2", "new")
        for name in ("mini-1", "mini-2", "mini-3"):
            await room.forget(name, b"old")
        assert await room.registrations() == {"mini-2": b"new"}

    run(server, forget)


def test_the_bus_is_gone_then_it_is_said(server: RedisServer) -> None:
    server.kill()
    with pytest.raises(BusUnreachable):
        run(server, lambda room: room.ping())
