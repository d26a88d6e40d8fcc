"""A host whose updates are pretended, its orders real; and whose process can die at any step."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from newleaf.agent import desk
from newleaf.agent.desk import Doors
from newleaf.core.orders import Order
from newleaf.core.records import Result, stamp
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.channels import Rule
from newleaf.core.requests import Request
from newleaf.integrations import chat
from newleaf.system.orders import Orders

HERE, THERE = Release(CommitId("a" * 40), "1.0.0"), Release(CommitId("b" * 40), "1.1.0")
COMMITS = (("c" * 40, "Better"),)
STATUS = {"schema": 1, "status": "deployed", "app": "bridge", "computer": "mini-1", "channel": "alpha",
          "timestamp": "2026-11-20T12:00:00Z", "running": HERE.as_record(), "target": None, "attempt": None,
          "error": None, "waiting_for": []}  # fmt: skip


class Killed(BaseException):
    """The process is no more."""


class Steps:
    """Counts what a process does, and ends it before the step of a number."""

    def __init__(self) -> None:
        self.count = 0
        self.names: list[str] = []
        self.kill_at: int | None = None

    def take(self, name: str) -> None:
        if self.kill_at is not None and self.count >= self.kill_at:
            raise Killed
        self.count += 1
        self.names.append(name)


class StepwiseOrders(Orders):
    """Real orders, whose every write has a step before it and one after it."""

    def __init__(self, state: Path, steps: Steps, *, lives: bool = True) -> None:
        super().__init__(state)
        self._steps = steps
        if not lives:
            self._owner = (2**22 + 1, "gone")

    def accept(self, order: Order, facts: Mapping[str, str] | None = None) -> bool:
        return bool(self._stepwise("accept", lambda: super(StepwiseOrders, self).accept(order, facts)))

    def note(self, order: Order) -> None:
        self._stepwise(f"note {order.stage}", lambda: super(StepwiseOrders, self).note(order))

    def note_receipt(self, key: str, receipt: str) -> None:
        self._stepwise("note receipt", lambda: super(StepwiseOrders, self).note_receipt(key, receipt))

    def _stepwise(self, name: str, work: Callable[[], Any]) -> Any:
        # A disk may take its time: never in a thread that runs an event loop (lessons.md L30).
        assert asyncio._get_running_loop() is None
        self._steps.take(f"before {name}")
        done = work()
        self._steps.take(f"after {name}")
        return done


@dataclass
class PretendedUpdates:
    """Moves the host once; afterwards it is up to date. `outcome` is what the move comes to."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    steps: Steps = field(default_factory=Steps)
    outcome: str = "updated"
    confirmed: bool | None = None
    seconds: float = 0.0
    asked: list[str] = field(default_factory=list)
    made: int = 0

    async def request(self, request: Request) -> dict[str, Any]:
        self.asked.append(request.origin)
        self.steps.take("before update")
        await asyncio.sleep(self.seconds)
        if self.made:
            result = Result("up_to_date", THERE, THERE, confirmed=self.confirmed)
            return {"schema": 1, **result.as_record()}
        self.made += 1
        result = Result(self.outcome, HERE, THERE, COMMITS, 1, confirmed=self.confirmed, attempt="one")
        if self.outcome != "waiting":
            self.tell_end(self.outcome, self.confirmed)
        self.steps.take("after update")
        return {"schema": 1, **result.as_record()}

    def tell_end(self, outcome: str = "updated", confirmed: bool | None = True) -> None:
        """A line of the history, as an attempt or the new process writes it."""
        known = {"attempt": "one", "outcome": outcome, "confirmed": confirmed, "at": stamp(datetime.now(UTC))}
        self.lines[:] = [{**known, "from": HERE.as_record(), "to": THERE.as_record()}]

    async def status(self) -> dict[str, Any]:
        return dict(STATUS)

    async def rollback(self) -> dict[str, Any]:
        self.asked.append("rollback")
        self.tell_end("ok", self.confirmed)
        return {"schema": 1, **Result("ok", HERE, THERE, confirmed=self.confirmed, attempt="one").as_record()}

    async def why(self) -> dict[str, Any]:
        return {"outcome": "ok", "summary": "nothing is owed"}


@dataclass
class PretendedHost:
    """One host through the lives of its process."""

    state: Path
    steps: Steps = field(default_factory=Steps)
    chats: frozenset[str] = frozenset({"1"})
    rule: Rule = field(default_factory=Rule)
    token: str | None = None
    webhook_secret: str | None = None
    updates: PretendedUpdates = field(default_factory=PretendedUpdates)
    _ids: Iterator[int] = field(default_factory=itertools.count)

    def doors(self, *, lives: bool = True) -> Doors:
        """As a process finds them; one that does not live leaves its orders to the next."""
        self.updates.steps = self.steps
        return Doors(
            self.state,
            StepwiseOrders(self.state, self.steps, lives=lives),
            self.updates,
            lambda: list(self.updates.lines),
            lambda: datetime.now(UTC),
            lambda: f"order-{next(self._ids)}",
            self.rule,
            self.chats,
            token=lambda: self.token,
            webhook_secret=lambda: self.webhook_secret,
        )


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PretendedHost:
    """A host that looks around, and tries again, without waiting."""
    monkeypatch.setattr(desk, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(chat, "PAUSE_SECONDS", 0.01)
    return PretendedHost(tmp_path)


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """The first true answer of `condition`, the loop going on meanwhile."""
    async with asyncio.timeout(seconds):
        while not (answer := condition()):  # noqa: ASYNC110 - what is waited for may be anything
            await asyncio.sleep(0.002)
    return answer
