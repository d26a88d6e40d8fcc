"""Redis and Valkey as the bus: places kept, entries handed out once, failures that are newleaf's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from newleaf.core.missions.mission_errors import BusForgot, BusUnreachable
from newleaf.core.missions.streams import MAX_ENTRIES, Streams
from newleaf.system.redis import bus as redis_bus
from newleaf.system.redis.bus import RedisBus, RedisRoom
from newleaf.system.redis.client import MAX_CONNECTIONS
from tests.support.redis_server import ENGINES, RedisServer, serve_redis
from tests.support.redis_trouble import answering

STREAMS = Streams("t")
OWN = STREAMS.host("mini-1")


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with serve_redis(request.param) as server:
        yield server


@pytest.fixture
def server(engine: RedisServer) -> RedisServer:
    run(engine, lambda bus: bus._call("FLUSHALL"))
    return engine


def run(server: RedisServer, work: Callable[[RedisBus], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        bus = RedisBus(server.url, STREAMS, "mini-1", "me")
        try:
            async with asyncio.timeout(20):
                return await work(bus)
        finally:
            await bus.close()

    return asyncio.run(bounded())


async def read(bus: RedisBus, seconds: float = 0.0) -> list[bytes]:
    return [entry.fields[b"n"] for entry in await bus.read(10, seconds)]


def test_enrolled_first_then_from_everybodys_end_and_its_own_beginning(server: RedisServer) -> None:
    async def work(bus: RedisBus) -> None:
        await bus.publish(STREAMS.all, {"n": "before"})
        await bus.publish(OWN, {"n": "mine"})
        await bus.enroll(is_known=False)
        await bus.publish(STREAMS.all, {"n": "after"})
        await bus.enroll(is_known=False)  # as every start does
        assert await read(bus) == [b"mine", b"after"]
        assert await read(bus) == []

    run(server, work)


def test_emptied_then_it_is_said_and_enrolled_again_from_the_beginning(server: RedisServer) -> None:
    async def work(bus: RedisBus) -> None:
        await bus.enroll(is_known=False)
        await bus._call("FLUSHALL")
        await bus.publish(STREAMS.all, {"n": "since"})
        with pytest.raises(BusForgot):
            await bus.read(1, 0.0)
        with pytest.raises(BusForgot):
            await bus.retake(0.0)
        bus.forget_peeks()
        with pytest.raises(BusForgot):
            await bus.peek(1, 0.0)
        await bus.enroll(is_known=True)
        assert await read(bus) == [b"since"]

    run(server, work)


def test_handed_out_and_not_acknowledged_then_handed_out_again_and_acknowledged_never(
    server: RedisServer,
) -> None:
    async def work(bus: RedisBus) -> None:
        await bus.enroll(is_known=False)
        for number in "12":
            await bus.publish(OWN, {"n": number})
        first, _ = await bus.read(10, 0.0)
        await bus.acknowledge(first)
        for _ in range(3):
            again = await bus.retake(60.0)
            assert [(entry.fields[b"n"], entry.deliveries) for entry in again] == [(b"2", 1)]

    run(server, work)


def test_l39_handed_out_to_one_that_died_then_claimed_once_it_is_idle_and_counted(
    server: RedisServer,
) -> None:
    """lessons.md L39"""

    async def work(bus: RedisBus) -> None:
        await bus.enroll(is_known=False)
        await bus.publish(OWN, {"n": "1"})
        other = RedisBus(server.url, STREAMS, "mini-1", "another")
        await other.read(10, 0.0)
        await other.close()
        assert await bus.retake(60.0) == []
        await asyncio.sleep(0.02)
        claimed = await bus.retake(0.01)
        assert [(entry.fields[b"n"], entry.deliveries) for entry in claimed] == [(b"1", 2)]

    run(server, work)


def test_trimmed_while_it_was_handed_out_then_it_is_forgotten(server: RedisServer) -> None:
    async def work(bus: RedisBus) -> None:
        await bus.enroll(is_known=False)
        await bus.publish(OWN, {"n": "1"})
        await bus.read(10, 0.0)
        await bus._call("XTRIM", OWN, "MAXLEN", 0)
        assert await bus.retake(60.0) == []
        assert (await bus._call("XPENDING", OWN, "host:mini-1"))[0] == 0

    run(server, work)


def test_published_for_ever_then_a_stream_stays_short(server: RedisServer) -> None:
    async def work(bus: RedisBus) -> None:
        await bus._call("EVAL", "for i = 1, 12000 do redis.call('XADD', KEYS[1], '*', 'n', i) end", 1, OWN)
        await bus.publish(OWN, {"n": "x"})
        assert MAX_ENTRIES <= await bus._call("XLEN", OWN) < MAX_ENTRIES + 200

    run(server, work)


def test_published_for_ever_by_who_trims_nothing_then_a_stream_stays_short_and_what_is_not_done_stays(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lessons.md L39: a pause keeps work."""
    monkeypatch.setattr(redis_bus, "MAX_ENTRIES", 100)
    fill = "for i = 1, 1000 do redis.call('XADD', KEYS[1], '*', 'n', i) end"

    async def work(bus: RedisBus) -> None:
        await bus.enroll(is_known=False)
        for stream in (OWN, STREAMS.all):
            await bus._call("EVAL", fill, 1, stream)
        await bus.retake(60.0)
        lengths = [await bus._call("XLEN", stream) for stream in (OWN, STREAMS.all)]
        assert (lengths[0], lengths[1] < 400) == (1000, True)
        first, *done = [entry for entry in await bus.read(700, 0.0) if entry.stream == OWN]
        await bus.retake(60.0)
        assert await bus._call("XLEN", OWN) == 1000, "the first is not done"
        for entry in (first, *done):
            await bus.acknowledge(entry)
        await bus.retake(60.0)
        assert 300 <= await bus._call("XLEN", OWN) < 500
        left = [entry.fields[b"n"] for entry in await bus.read(1000, 0.0) if entry.stream == OWN]
        assert left[-1] == b"1000"
        assert len(left) == 1000 - 1 - len(done)

    run(server, work)


def test_peeked_at_then_it_is_handed_out_all_the_same(server: RedisServer) -> None:
    async def work(bus: RedisBus) -> None:
        await bus.enroll(is_known=False)
        for stream in (OWN, STREAMS.all):
            await bus.publish(stream, {"n": stream})
        found = await bus.peek(10, 0.0)
        assert {(entry.stream, entry.is_peeked) for entry in found} == {(OWN, True), (STREAMS.all, True)}
        assert await bus.peek(10, 0.0) == []
        bus.forget_peeks()
        assert len(await bus.peek(10, 0.0)) == 2
        assert len(await read(bus)) == 2

    run(server, work)


def test_announced_then_heard_once_and_not_said_twice(server: RedisServer) -> None:
    async def work(bus: RedisBus) -> None:
        await bus.announce({"commit": "a"})
        assert await bus.announced(0.0) == []
        for commit in "aabb":
            await bus.announce({"commit": commit})
        assert [fields[b"commit"] for fields in await bus.announced(0.0)] == [b"b"]
        assert await bus.announced(0.0) == []

    run(server, work)


def test_cancelled_while_it_connects_then_it_ends(server: RedisServer) -> None:
    """redis-py would swallow it: a loop around the bus would never end."""

    async def ask_on(bus: RedisBus, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await bus.last(OWN)
            await bus._client.connection_pool.disconnect()

    async def work(bus: RedisBus) -> None:
        for number in range(60):
            stop = asyncio.Event()
            task = asyncio.ensure_future(ask_on(bus, stop))
            for _ in range(number % 20):
                await asyncio.sleep(0)
            task.cancel()
            _, pending = await asyncio.wait({task}, timeout=2)
            stop.set()
            await asyncio.wait({task})
            assert not pending

    run(server, work)


def test_several_requeue_one_letter_at_once_then_one_does_and_what_cannot_be_published_stays(
    server: RedisServer,
) -> None:
    async def requeue(bus: RedisBus) -> None:
        await bus.bury({"n": "1"})
        (letter,) = await bus.page(STREAMS.dead)
        await bus._call("SET", "no-stream", "")
        with pytest.raises(BusUnreachable):
            await bus.requeue(letter.id, "no-stream", {"n": "1"})
        assert await bus.page(STREAMS.dead) == [letter]
        done = await asyncio.gather(*(bus.requeue(letter.id, OWN, {"n": str(number)}) for number in range(8)))
        assert sorted(done) == [False] * 7 + [True]
        assert (len(await bus.page(OWN)), await bus.page(STREAMS.dead)) == (1, [])

    run(server, requeue)


def test_registered_then_it_is_known_by_its_name(server: RedisServer) -> None:
    async def work(bus: RedisBus) -> None:
        await bus.register("mini-1", "{}")
        await bus.register("mini-2", "x" * 100_000)
        assert await bus.registrations() == {"mini-1": b"{}"}
        assert (await bus.registration("mini-1"), await bus.registration("mini-9")) == (b"{}", None)

    run(server, work)


def test_many_are_registered_then_all_are_known_and_no_answer_is_as_long_as_they_are_many(
    server: RedisServer,
) -> None:
    async def work(bus: RedisBus) -> None:
        texts = {f"mini-{number}": b"x" * 200 for number in range(500)}
        words = [word for pair in texts.items() for word in pair]
        await bus._call("HSET", STREAMS.registrations, *words)
        longest, plainly = 0, bus._call

        async def measured(*words: Any) -> Any:
            nonlocal longest
            answer = await plainly(*words)
            longest = max(longest, len(answer[1]) // 2)
            return answer

        bus._call = measured  # type: ignore[method-assign]
        assert await bus.registrations() == texts
        assert longest < 250

    run(server, work)


def test_more_ask_at_once_than_there_are_connections_then_they_wait_for_each_other(
    server: RedisServer,
) -> None:
    async def work(bus: RedisBus) -> None:
        waits = (bus.after(OWN, "$", 0.05) for _ in range(MAX_CONNECTIONS + 4))
        assert await asyncio.gather(*waits) == [[]] * (MAX_CONNECTIONS + 4)

    run(server, work)


def test_full_or_somebodys_replica_then_an_error_of_ours(server: RedisServer) -> None:
    async def work(bus: RedisBus) -> None:
        await bus._call("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(BusUnreachable, match="maxmemory"):
            await bus.publish(OWN, {"n": "1"})
        await bus._call("CONFIG", "SET", "maxmemory", "0")
        await bus._call("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(BusUnreachable, match="read only replica"):
            await bus.publish(OWN, {"n": "1"})
        await bus._call("REPLICAOF", "NO", "ONE")
        await bus.publish(OWN, {"n": "1"})

    run(server, work)


@pytest.mark.parametrize(
    "url",
    ["redis://user:canary@127.0.0.1:1/0", "unix:///nowhere/redis.sock", "redis+sentinel://127.0.0.1:1/main"],
)
def test_t29_nobody_is_there_then_an_error_without_the_secret(url: str) -> None:
    """threats.md T29"""

    async def work() -> None:
        room = RedisRoom(url, STREAMS)
        with pytest.raises(BusUnreachable) as caught:
            await room.last(OWN)
        await room.close()
        assert "canary" not in caught.value.message

    asyncio.run(work())


def test_t29_a_server_repeats_what_it_did_not_understand_then_an_error_without_the_secret() -> None:
    """threats.md T29"""
    answer = b"-ERR unknown command 'AUTH', with args beginning with: 'user' 'canary/1' \r\n"

    async def work(url: str) -> None:
        room = RedisRoom(url, STREAMS)
        with pytest.raises(BusUnreachable, match="unknown command") as caught:
            await room.last(OWN)
        await room.close()
        assert "canary" not in caught.value.message

    with answering(answer, "user:canary%2F1@") as server:
        asyncio.run(work(server.url))


@pytest.mark.parametrize("url", ["redis+sentinel://x", "http://x"])
def test_no_url_of_a_server_then_an_error_at_once(url: str) -> None:
    with pytest.raises(BusUnreachable):
        RedisRoom(url, STREAMS)
