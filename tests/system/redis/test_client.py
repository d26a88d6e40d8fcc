"""A client of whichever server a url names."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio.sentinel import SentinelConnectionPool

from newleaf.system.redis.client import connect


def test_a_server_then_nothing_is_tried_again_and_nothing_waits_for_ever() -> None:
    async def work() -> None:
        client = connect("rediss://u:p@h:1/3")
        made: Any = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        assert (made.retry._retries, made.socket_timeout, made.protocol) == (0, 10.0, 2)
        assert (made.socket_connect_timeout, made.host, made.db) == (5.0, "h", 3)
        await client.aclose()

    asyncio.run(work())


def test_sentinels_then_the_primary_is_asked_for_by_its_name() -> None:
    async def work() -> None:
        client = connect("rediss+sentinel://u:p@a:1,b:2/main/3?sentinel_password=s")
        pool = client.connection_pool
        assert isinstance(pool, SentinelConnectionPool)
        assert (pool.service_name, pool.connection_kwargs["db"]) == ("main", 3)
        assert (pool.connection_kwargs["username"], pool.connection_kwargs["password"]) == ("u", "p")
        asked = [s.connection_pool.connection_kwargs for s in pool.sentinel_manager.sentinels]
        assert [(each["host"], each["port"], each["password"]) for each in asked] == [
            ("a", 1, "s"),
            ("b", 2, "s"),
        ]
        await client.aclose()

    asyncio.run(work())
