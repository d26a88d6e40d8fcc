"""The polling loop inside a daemon: looks at the remote, notices the signal file, says what is available.

Rules: the intervals are `core.releases.polling`'s (lessons.md L44); a look runs in a thread, so that the
loop is never blocked (L30); a signal that somebody wrote brings the next look forward, within two seconds,
and is never taken at its word; failures are told once until they change (L5), and never end the loop.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from newleaf.agent.background import run_in_background
from newleaf.agent.check import Checked
from newleaf.agent.signal import SignalFile, Trace
from newleaf.core.errors import NewleafError
from newleaf.core.releases.polling import Interval, first_wait, next_wait

NOTICED_EVERY_SECONDS = 1.0

OnTarget = Callable[[Checked], None]


class Looks(Protocol):
    """What looks at the remote: `agent.check.Check`."""

    def look(self) -> Checked:
        """Looks once."""
        ...

    def heeds(self) -> str | None:
        """Why a signal that somebody wrote is not listened to."""
        ...


class Watcher(Struct):
    """Watches for one host. `say` is given a line for the log; `sleep` and `chance` are the world's.

    `origin` says what the last look was made for, as `core.requests` names it: `poll` or `signal`.
    """

    check: Looks
    signal: SignalFile
    interval: Interval
    now: Callable[[], datetime]
    say: Callable[[str], None]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random
    origin: str = "poll"
    _is_hurried: bool = False
    _known: Trace | None = None
    _failures: int = 0
    _said: str = ""

    async def run(self, on_target: OnTarget) -> None:
        """Watches until it is cancelled; `on_target` is called for each look that finds a target.

        A signal that was written while nobody watched is news; one that an attempt has followed is not, or a
        daemon that fails again and again would have an attempt made at each start.
        """
        if not self.signal.is_unanswered():
            self._known = self.signal.trace()
        await self._wait(first_wait(self.interval, self.chance()))
        while True:
            wait = await self._look(on_target)
            await self._wait(wait)

    def look_soon(self) -> None:
        """Brings the next look forward: somebody says that there may be something."""
        self._is_hurried = True

    async def _look(self, on_target: OnTarget) -> float:
        """One look; the seconds until the next."""
        at_least = 0.0
        try:
            checked = await run_in_background(self.check.look, "newleaf-look")
        except NewleafError as error:
            self._failures += 1
            self._say_once(error.message)
            at_least = self._asked_to_wait(error)
        else:
            self._failures = 0
            self._said = ""
            if checked.available:
                on_target(checked)
        # What the look itself wrote is no news.
        self._known = self.signal.trace()
        return next_wait(self.interval, self.chance(), self._failures, at_least)

    async def _wait(self, seconds: float) -> None:
        """Waits, or until somebody writes a signal that is worth a look."""
        left, self.origin = seconds, "poll"
        while left > 0 and not self._is_hurried:
            step = min(left, NOTICED_EVERY_SECONDS)
            await self.sleep(step)
            left -= step
            trace = self.signal.trace()
            if trace != self._known:
                self._known = trace
                if trace is not None and await self._is_heeded():
                    self.origin = "signal"
                    return
        self._is_hurried = False

    async def _is_heeded(self) -> bool:
        try:
            reason = await run_in_background(self.check.heeds, "newleaf-signal")
        except NewleafError as error:
            reason = error.message
        if reason:
            self._say_once(reason)
        return reason is None

    def _asked_to_wait(self, error: NewleafError) -> float:
        until = error.facts.get("until")
        return (until - self.now()).total_seconds() if isinstance(until, datetime) else 0.0

    def _say_once(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self.say(text)
