"""The queue of examples/chat_bridge, on real Redis and Valkey servers, of which one is killed."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.support.redis_server import ENGINES, RedisServer, serve_redis

FILE = Path(__file__).parents[2] / "examples/chat_bridge/app/bridge/jobs.py"
FIRST, SECOND = ({"project": "website", "task": task} for task in ("build the pages", "check the links"))


@pytest.fixture(params=ENGINES)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with serve_redis(request.param) as running:
        yield running


def play(server: RedisServer, story: Callable[[Callable[[], Any]], Awaitable[None]]) -> None:
    """Plays with a function that makes the queue of a new process."""
    spec = importlib.util.spec_from_file_location("bridge_jobs", FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    async def run() -> None:
        made: list[Redis] = []

        def start(host: str = "one") -> Any:
            made.append(Redis.from_url(server.url))
            return module.Jobs(made[-1], host)

        try:
            async with asyncio.timeout(20):
                await story(start)
        finally:
            for redis in made:
                await redis.aclose()

    asyncio.run(run())


def test_a_message_is_read_again_then_it_is_no_second_job(server: RedisServer) -> None:
    """lessons.md L29"""

    async def story(start: Callable[[], Any]) -> None:
        jobs = start()
        messages = (("1/7", FIRST), ("1/7", FIRST), ("1/8", SECOND))
        assert [await jobs.add(*message) for message in messages] == [1, 0, 2]
        assert await jobs.projects() == {"website"}
        assert await jobs.take("website") == FIRST
        await jobs.finish("website", 1, "done")
        assert await jobs.add("1/7", FIRST) == 0
        assert await jobs.take("website") == SECOND

    play(server, story)


def test_cut_off_then_the_next_process_takes_it_first_and_once_though_redis_was_killed_too(
    server: RedisServer,
) -> None:
    async def story(start: Callable[[], Any]) -> None:
        jobs = start()
        await jobs.add("1/7", FIRST)
        await jobs.add("1/8", SECOND)
        assert await jobs.take("website") == FIRST
        server.kill()
        server.start()
        again = start()
        assert await again.take("website") == FIRST
        await again.finish("website", 1, "done")
        assert await again.take("website") == SECOND
        await again.finish("website", 1, "done too")
        assert not await again.has_work("website")
        assert await again.take("website") is None

    play(server, story)


def test_done_and_not_told_then_the_next_process_tells_it(server: RedisServer) -> None:
    async def story(start: Callable[[], Any]) -> None:
        jobs = start()
        for message, job in (("1/7", FIRST), ("1/8", SECOND)):
            await jobs.add(message, job)
            assert await jobs.take("website") == job
            await jobs.finish("website", 1, job["task"])
        again = start()
        for job in (FIRST, SECOND):
            assert await again.to_tell() == [1, job["task"]]
            await again.has_told()
        assert await again.to_tell() is None

    play(server, story)


def test_two_hosts_then_each_has_its_own_jobs(server: RedisServer) -> None:
    async def story(start: Callable[..., Any]) -> None:
        await start("one").add("1/7", FIRST)
        assert await start("two").projects() == set()
        assert await start("two").take("website") is None

    play(server, story)
