"""An event loop whose time is its own: when all that runs in it sleeps, the next moment comes at once."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class FakeTimeLoop(asyncio.SelectorEventLoop):
    """Nothing outside of it may be awaited: no thread and no process keeps its time."""

    def __init__(self) -> None:
        self._moment = 0.0
        super().__init__(_Leaping(self))

    def time(self) -> float:
        return self._moment

    def leap(self, seconds: float) -> None:
        """Moves the clock."""
        self._moment += seconds


class _Leaping(selectors.SelectSelector):
    """Instead of waiting, it moves the clock by as much."""

    def __init__(self, loop: FakeTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "nothing would ever happen again"
        self._loop.leap(max(0.0, timeout))
        return super().select(0)


def run_in_fake_time(work: Coroutine[Any, Any, Result]) -> Result:
    """Like `asyncio.run`."""
    with asyncio.Runner(loop_factory=FakeTimeLoop) as runner:
        return runner.run(work)
