"""Hosts that tell each other of a new release: whoever finds one says so, and the others look for themselves.

Rules: what is heard is a reason to look at the remote, and nothing of it is taken at its word; hosts look one
after another, within half a minute, and not more often than that (lessons.md L44). A bus that is away costs
nothing: hosts poll all the same, and what is to be said is said when it is back, the newest only.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct

from newleaf.agent.background import run_in_background
from newleaf.agent.check import Checked
from newleaf.core.errors import NewleafError
from newleaf.core.missions.ports import Announces

HEAR_SECONDS = 5.0
PAUSE_SECONDS = 30.0


class Announcements(Struct):
    """Of one host, by its name. `spread_seconds` is how far apart hosts look."""

    host: str
    channel: str
    connect: Callable[[], Announces]
    spread_seconds: float
    chance: Callable[[], float] = random.random
    in_background: Callable[[Callable[[], Any], str], Awaitable[Any]] = run_in_background
    _found: Checked | None = None
    _woken: asyncio.Event | None = None

    def found(self, checked: Checked) -> None:
        """A look has found a target."""
        self._found = checked
        if self._woken:
            self._woken.set()

    async def run(self, look_soon: Callable[[], object]) -> None:
        """Says and hears, until it is cancelled; `look_soon` has the remote looked at."""
        self._woken = asyncio.Event()
        try:
            # What it loads may take longer than an event loop may stand still (lessons.md L30).
            bus: Announces = await self.in_background(self.connect, "newleaf-announcements")
        except NewleafError:
            # Whoever takes missions, or asks for the bus by hand, is told what is wrong with it.
            await asyncio.Event().wait()
            return
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._say(bus, self._woken))
                group.create_task(self._hear(bus, look_soon))
        finally:
            await bus.close()

    async def _say(self, bus: Announces, woken: asyncio.Event) -> None:
        while True:
            await woken.wait()
            woken.clear()
            found = self._found
            if found is None or found.available is None:
                continue
            fields = {
                "host": self.host,
                "channel": self.channel,
                "commit": found.available.commit,
                "version": found.available.version or "",
            }
            try:
                await bus.announce(fields)
            except NewleafError:
                await asyncio.sleep(PAUSE_SECONDS * self.chance())
                woken.set()

    async def _hear(self, bus: Announces, look_soon: Callable[[], object]) -> None:
        while True:
            heard: list[Mapping[bytes, bytes]] = []
            try:
                heard = await bus.announced(HEAR_SECONDS)
            except NewleafError:
                await asyncio.sleep(PAUSE_SECONDS * self.chance())
            if any(fields.get(b"host") != self.host.encode() for fields in heard):
                await asyncio.sleep(self.spread_seconds * self.chance())
                look_soon()
                await asyncio.sleep(self.spread_seconds)
            else:
                # A bus that answers at once, and says nothing, must not make this hot.
                await asyncio.sleep(0 if heard else 0.05)
