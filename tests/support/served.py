"""An ASGI app served by a real uvicorn in this process, and what its loop computes without a pause."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn

BEAT_SECONDS = 0.005


@dataclass
class Reply:
    """What was answered."""

    status: int
    headers: dict[str, str]
    record: dict[str, Any]


@dataclass
class Served:
    """Where it listens."""

    port: int = 0

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str | bytes) -> Reply:
        """One request; `_` in a header's name stands for `-`."""
        named: Any = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, body, named, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as found:
                return Reply(found.status, dict(found.headers), json.loads(found.read() or "{}"))
        except urllib.error.HTTPError as error:
            with error:
                text = error.read()
                return Reply(error.code, dict(error.headers), json.loads(text) if text[:1] == b"{" else {})


@dataclass
class Heartbeat:
    """The most that an event loop computes between two beats: what others do on this machine is not in it."""

    longest_seconds: float = 0.0

    async def beat(self) -> None:
        """Beats until it is cancelled."""
        while True:
            before = time.thread_time()
            await asyncio.sleep(BEAT_SECONDS)
            self.longest_seconds = max(self.longest_seconds, time.thread_time() - before)


@contextlib.contextmanager
def served(app: Any, **config: Any) -> Iterator[Served]:
    """Serves until the block ends."""
    made = Served()
    settings = uvicorn.Config(
        app, port=0, log_level="error", ws="none", timeout_graceful_shutdown=5, **{"lifespan": "on", **config}
    )
    server = uvicorn.Server(settings)

    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.005)
    try:
        made.port = server.servers[0].sockets[0].getsockname()[1]
        yield made
    finally:
        server.should_exit = True
        thread.join(20)
