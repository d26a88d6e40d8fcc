"""Many hosts in one process, each with a place of its own on the bus: a program.

    mission_hosts.py URL PREFIX FIRST COUNT KIND


    newleaf    each a `RedisBus`: a group of its own on everybody's stream, enrolled and known
    naive      each a plain redis-py consumer of one group that all share

Says `ready` when all wait for news; on `tell` how long every delivery took, in seconds, as a line of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
import time
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from newleaf.core.missions.registration import Registration
from newleaf.core.missions.streams import Streams
from newleaf.system.redis.bus import RedisBus

READ_SECONDS = 5.0
GROUP = "factories"


def _took(fields: Any) -> float:
    """From publishing to now: the payload says when it was published."""
    return time.time() - float(json.loads(fields[b"payload"])["context"]["at"])


async def newleaf_host(url: str, prefix: str, name: str, took: list[float], ready: asyncio.Semaphore) -> None:
    """As a host that takes missions reads."""
    bus = RedisBus(url, Streams(prefix), name, f"{name}-reads")
    await bus.enroll(is_known=False)
    made = Registration(name=name, at=datetime.now(UTC), app="sessions", version="1.0.0", commit="0" * 40)
    await bus.register(name, made.as_json())
    ready.release()
    while True:
        for entry in await bus.read(10, READ_SECONDS):
            took.append(_took(entry.fields))
            await bus.acknowledge(entry)


async def naive_host(url: str, prefix: str, name: str, took: list[float], ready: asyncio.Semaphore) -> None:
    """As everybody writes it first."""
    client, stream = Redis.from_url(url), f"{prefix}:all"
    with contextlib.suppress(ResponseError):
        await client.xgroup_create(stream, GROUP, id="$", mkstream=True)
    ready.release()
    while True:
        read = client.xreadgroup(GROUP, name, {stream: ">"}, count=10, block=int(READ_SECONDS * 1000))
        for _, entries in await read:
            for entry, fields in entries:
                took.append(_took(fields))
                await client.xack(stream, GROUP, entry)


async def main(url: str, prefix: str, first: int, count: int, kind: str) -> None:
    """All of them, until it is told to end."""
    host = {"newleaf": newleaf_host, "naive": naive_host}[kind]
    took: list[float] = []
    ready, loop, told = asyncio.Semaphore(0), asyncio.get_running_loop(), asyncio.Queue[str]()

    def hear() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(told.put_nowait, line.strip())

    threading.Thread(target=hear, daemon=True).start()
    hosts = [
        asyncio.create_task(host(url, prefix, f"host-{number}", took, ready))
        for number in range(first, first + count)
    ]
    for _ in range(count):
        await ready.acquire()
    print("ready", flush=True)
    while await told.get() == "tell":
        print(json.dumps(took), flush=True)
        took.clear()
    for each in hosts:
        each.cancel()
    await asyncio.gather(*hosts, return_exceptions=True)


if __name__ == "__main__":
    given_url, given_prefix, given_first, given_count, given_kind = sys.argv[1:]
    asyncio.run(main(given_url, given_prefix, int(given_first), int(given_count), given_kind))
