"""A daemon that takes missions and updates itself, killed at a step: `mission_child.py URL STATE [STEP]`.

What it was updated to, and how often its handler ran, is kept beside its state. After an update it leaves, as
a daemon does; the next process reports. STEP is a name like `after accept`: SIGKILL comes when it is reached.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from newleaf.core.missions.ports import Entry
from newleaf.core.missions.results import SUCCESS, MissionResult
from newleaf.core.requests import Request
from newleaf.system.redis.bus import RedisBus
from tests.support.missions import Counter, consumer, quickly
from tests.support.pretended_host import PretendedHost, PretendedUpdates, Steps


class DeadlySteps(Steps):
    """Ends this very process at a step of a name."""

    def __init__(self, deadly: str | None) -> None:
        super().__init__()
        self._deadly = deadly

    def take(self, name: str) -> None:
        if name == self._deadly:
            os.kill(os.getpid(), signal.SIGKILL)


class KeptUpdates(PretendedUpdates):
    """Updates whose history is on the disk; each ends with a restart, and the next process reports."""

    def keep_at(self, path: Path) -> None:
        self._path = path
        known: Any = json.loads(path.read_text()) if path.exists() else {"made": 0, "lines": []}
        self.made, self.lines[:] = known["made"], known["lines"]
        if self.lines:
            self.tell_end(confirmed=True)

    def tell_end(self, outcome: str = "updated", confirmed: bool | None = True) -> None:
        super().tell_end(outcome, confirmed)
        self._path.write_text(json.dumps({"made": self.made, "lines": self.lines}))

    async def request(self, request: Request) -> dict[str, Any]:
        record = await super().request(request)
        asyncio.get_running_loop().call_later(0.1, os._exit, 42)
        return record


class SteppingBus:
    """A bus with a step before and after each thing that changes it."""

    def __init__(self, bus: RedisBus, steps: Steps) -> None:
        self._bus = bus
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    async def acknowledge(self, entry: Entry) -> None:
        self._steps.take("before acknowledge")
        await self._bus.acknowledge(entry)
        self._steps.take("after acknowledge")

    async def report(self, fields: Mapping[str, str]) -> None:
        self._steps.take("before report")
        await self._bus.report(fields)
        self._steps.take("after report")


async def main(url: str, state: Path, deadly: str | None = None) -> None:
    steps = DeadlySteps(deadly)
    updates = KeptUpdates()
    updates.keep_at(state.with_name("history.json"))
    host = PretendedHost(state, steps, updates=updates)
    done = state.with_name("done")

    def count(_: object) -> MissionResult:
        with done.open("a") as file:
            file.write("x")
        steps.take("in handler")
        return MissionResult(SUCCESS, None, len(done.read_text()))

    made = consumer(host, url, [Counter(does=count)], bus=lambda bus: SteppingBus(bus, steps))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, made.stop)
    await made.run()


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        quickly(patch)
        asyncio.run(main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]))
