"""A daemon on asyncio whose loop is watched: `embedded_daemon.py KIND`.

    bare       nothing but the loop
    script     updates itself as people write it: git pull and uv sync, called from the loop
    updater    with `newleaf.Updater`
    doors      and with a chat, and the webhook
    missions   with `newleaf.Updater`, and missions
    naive      a plain redis-py consumer that pulls, syncs and leaves

Speaks by lines: says `ready PORT`; of what it is told, `chat` is an /update in a chat, `pull` has the script
run, `watch` begins to watch the loop, `beat` is answered with the longest time in milliseconds that it stood
still since the last such question, `cost` with processor seconds and resident bytes.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any

BEAT_SECONDS = 0.005


class Beats:
    """How late the loop was, at worst."""

    longest = 0.0

    async def run(self) -> None:
        """Until it is cancelled; what a process that leaves had, is in a file."""
        kept = Path.home() / "beat"
        while True:
            before = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS)
            late = time.monotonic() - before - BEAT_SECONDS
            if late > self.longest:
                self.longest = late
                kept.write_text(f"{late * 1000:.3f}")

    def take(self) -> str:
        taken, self.longest = self.longest, 0.0
        return f"{taken * 1000:.3f}"


def cost() -> str:
    """What this process has taken, and takes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return f"{time.process_time():.6f} {pages * os.sysconf('SC_PAGE_SIZE')}"


async def lines() -> asyncio.Queue[str]:
    """What it is told."""
    told: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(told.put_nowait, line.strip())

    threading.Thread(target=read, daemon=True).start()
    return told


async def serve(obey: Mapping[str, Callable[[], Awaitable[object]]], port: int = 0) -> None:
    """Does what it is told, for ever."""
    told, beats = await lines(), Beats()
    print("ready", port, flush=True)
    watching = None
    while True:
        word = await told.get()
        if word == "watch":
            watching = watching or asyncio.create_task(beats.run())
        elif word == "beat":
            print(beats.take(), flush=True)
        elif word == "cost":
            print(cost(), flush=True)
        elif word in obey:
            await obey[word]()


async def pull() -> None:
    """As people do."""
    subprocess.run(["git", "pull", "--quiet", "--ff-only"], check=True)  # noqa: ASYNC221
    subprocess.run(["uv", "sync", "--frozen", "--quiet"], check=True)  # noqa: ASYNC221
    await asyncio.sleep(3 * BEAT_SECONDS)
    print("pulled", flush=True)


async def serve_updater() -> None:
    """newleaf is imported only here and below, because memory is measured."""
    import newleaf  # noqa: PLC0415

    async with newleaf.Updater():
        newleaf.ready()
        await serve({})


async def serve_doors() -> None:
    """With the updater, and its doors."""
    import uvicorn  # noqa: PLC0415

    import newleaf  # noqa: PLC0415
    from newleaf.integrations.asgi import HttpDoors  # noqa: PLC0415
    from newleaf.integrations.chat import ChatCommand  # noqa: PLC0415

    async def send(_chat: str, _text: str) -> int:
        return 1

    listener = socket.create_server(("127.0.0.1", 0))
    async with newleaf.Updater() as updater:
        doors = newleaf.doors(updater=updater)
        chat = ChatCommand(doors, send)
        server = uvicorn.Server(uvicorn.Config(HttpDoors(doors), log_level="error", lifespan="on"))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        newleaf.ready()
        # A process gives one order at most: then it leaves.
        order = partial(chat.handle, "1", str(os.getpid()), "/update")
        await serve({"chat": order}, listener.getsockname()[1])
        await serving


async def serve_missions() -> None:
    """With the updater, and missions."""
    import newleaf  # noqa: PLC0415
    from newleaf.integrations.missions import MissionConsumer  # noqa: PLC0415

    async with newleaf.Updater() as updater:
        consumer = MissionConsumer(newleaf.doors(updater=updater))
        taking = asyncio.create_task(consumer.run())
        newleaf.ready()
        await serve({})
        await taking


async def serve_naive() -> None:
    """As people write it: one group, acknowledged first, all in the loop."""
    from redis.asyncio import Redis  # noqa: PLC0415

    client, stream = Redis.from_url(os.environ["NEWLEAF_FLEET__REDIS_URL"]), "naive:updates"
    await client.xgroup_create(stream, "factories", id="$", mkstream=True)

    async def take() -> None:
        while True:
            for _, entries in await client.xreadgroup("factories", "me", {stream: ">"}, block=5000):
                for entry, _ in entries:
                    await client.xack(stream, "factories", entry)
                    await pull()
                    os._exit(42)

    taking = asyncio.create_task(take())
    await serve({})
    await taking


SERVES: Mapping[str, Callable[[], Coroutine[Any, Any, None]]] = {
    "bare": partial(serve, {}),
    "script": partial(serve, {"pull": pull}),
    "updater": serve_updater,
    "doors": serve_doors,
    "missions": serve_missions,
    "naive": serve_naive,
}

if __name__ == "__main__":
    (asked,) = sys.argv[1:]
    asyncio.run(SERVES[asked]())
