"""Constant load on a server: so many requests a second, each on a connection of its own.

Rules: a request is sent when it is due, whatever came of those before; what it waits is counted from then,
so that a server that stands still is seen by every request that it keeps waiting. Only an answer of 200 is
served; anything else has failed, with a reason. Speaks to the loopback alone.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

HOST = "127.0.0.1"
LIMIT_SECONDS = 10.0
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """What one request got, how long it waited for it, and when it had it, by the monotonic clock."""

    body: bytes
    wait_seconds: float
    at: float


@dataclass
class Load:
    """What a load on a port has come to so far."""

    port: int
    per_second: float
    limit_seconds: float = LIMIT_SECONDS
    answers: list[Answer] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def served(self) -> int:
        return len(self.answers)

    @property
    def failed(self) -> int:
        return sum(list(self.failures.values()))

    @property
    def longest_seconds(self) -> float:
        return max((answer.wait_seconds for answer in list(self.answers)), default=0.0)

    @contextmanager
    def running(self) -> Iterator[Load]:
        """The load, while the block runs; in the end every request has been answered, or has failed."""
        thread = threading.Thread(target=lambda: asyncio.run(self._send()), name="load")
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        under_way: set[asyncio.Task[None]] = set()
        for number in itertools.count():
            due = began + number / self.per_second
            await asyncio.sleep(max(0.0, due - loop.time()))
            if self._stop.is_set():
                break
            task = asyncio.create_task(self._ask(due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        if under_way:
            await asyncio.wait(under_way)

    async def _ask(self, due: float) -> None:
        try:
            async with asyncio.timeout(self.limit_seconds):
                head, _, body = (await _answer_of(self.port)).partition(b"\r\n\r\n")
        except (OSError, TimeoutError) as error:
            self.failures[type(error).__name__] += 1
            return
        status = head.partition(b"\r\n")[0].decode("latin-1")
        if status.split()[1:2] != ["200"]:
            self.failures[status or "no answer"] += 1
            return
        now = asyncio.get_running_loop().time()
        self.answers.append(Answer(body, now - due, now))


async def _answer_of(port: int) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(REQUEST)
        return await reader.read()
    finally:
        writer.close()
