"""The agent beside a daemon: it watches, has attempts made, and tries again what is owed.

Rules:
1. An attempt is a process of its own: this loop never stands still (lessons.md L30). One runs at a time, and
   at most one more is wanted meanwhile, the newest (L36); none when the one that ran has gone there.
   Whoever asks for one is answered with its record (`agent.one_slot`).
2. A target that was tried is tried again as `core.retries` says, not at every poll; a new target, a signal
   that is heeded, and a decision of a person are each worth a try of their own.
3. An attempt that the journal has open is owed, whoever left it so: at the start, or later (L13, L27).
4. Settings are read anew, in this process, when their files have changed or an attempt has moved the release.
   What cannot be used is told, and the agent goes on with what it had.
5. Nothing is told twice until something has arrived (L5), and no failure ends the loop or makes it hot.

It ends when it is cancelled. What a process is, and how it is ended, others know.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from newleaf.agent.announcements import Announcements
from newleaf.agent.background import run_in_background
from newleaf.agent.check import Checked
from newleaf.agent.one_slot import Answer, Asked, OneSlot, Wanted, answer, refusal
from newleaf.agent.watcher import OnTarget
from newleaf.core.errors import Defect, NewleafError
from newleaf.core.releases.polling import Interval
from newleaf.core.requests import Request
from newleaf.core.retries import ARRIVED, IDLE, RESTARTED, UNLOCKED, Ended, Retry, choose_retry

LOOK_SECONDS = 1.0
BREATH_SECONDS = 60.0
"""After a defect, before going on."""
MAX_TOLD = 50

SETTINGS, DECISIONS, JOURNAL, DAEMON = "settings", "decisions", "journal", "daemon"


class Watches(Protocol):
    """What polls the remote: `agent.watcher.Watcher`."""

    @property
    def origin(self) -> str:
        """What the last look was made for."""
        ...

    async def run(self, on_target: OnTarget) -> None:
        """Watches until it is cancelled."""
        ...

    def look_soon(self) -> None:
        """Brings the next look forward."""
        ...


class Attempts(Protocol):
    """What makes attempts: `agent.attempt_process.AttemptProcess`."""

    async def run(self, request: Request) -> Ended:
        """Makes one; every failure is an outcome."""
        ...


class Sees(Protocol):
    """What is seen at a cheap look: `agent.outlook.Outlook`."""

    def trace(self, what: str) -> object:
        """What differs once the files of settings, decisions, journal or daemon are written."""
        ...

    def is_busy(self) -> bool:
        """Whether a job runs."""
        ...

    def is_locked(self) -> bool:
        """Whether an update runs."""
        ...

    def owes(self) -> bool:
        """Whether an attempt did not end."""
        ...


class BesideParts(Struct, frozen=True):
    """What the settings decide. `interval` is how often the remote is polled; a bus has announcements."""

    watcher: Watches
    attempts: Attempts
    sees: Sees
    interval: Interval
    announcements: Announcements | None = None


class _Tried(Struct):
    """What the last tries came to."""

    wanted: Wanted
    ended: Ended
    times: int
    retry: Retry | None
    due_at: float
    daemon: object
    was_busy: bool

    @property
    def commits(self) -> set[str | None]:
        return {self.wanted.commit, self.ended.to} - {None}


class Beside(Struct):
    """The loop of one host. `read` makes the parts from settings read anew; `say` is given a line."""

    read: Callable[[], BesideParts]
    say: Callable[[str], None]
    parts: BesideParts
    in_background: Callable[[Callable[[], Any], str], Awaitable[Any]] = run_in_background
    chance: Callable[[], float] = random.random
    _slot: OneSlot = field(default_factory=OneSlot)
    _running: Wanted | None = None
    _left: tuple[Asked, ...] = ()
    _tried: _Tried | None = None
    _traces: dict[str, object] = field(default_factory=dict)
    _told: set[object] = field(default_factory=set)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _watching: list[asyncio.Task[None]] = field(default_factory=list)

    async def run(self) -> None:
        """Runs until it is cancelled."""
        self._traces = {what: self.parts.sees.trace(what) for what in (SETTINGS, DECISIONS)}
        self._watch()
        try:
            while True:
                try:
                    await self._turn()
                except Exception as error:  # noqa: BLE001 - the daemon's updates must not end with one defect
                    self._say_once(f"a defect in newleaf: {type(error).__name__}: {error}")
                    await asyncio.sleep(BREATH_SECONDS)
        finally:
            self._stop_watching()

    def ask(self, request: Request, answer: Answer) -> None:
        """Wants an attempt for somebody, who gets its record; called in the loop."""
        self._slot.ask(Asked(request, answer, self._running.request if self._running else None))
        self._woken.set()

    @property
    def is_trying(self) -> bool:
        """Whether an attempt runs."""
        return self._running is not None

    @property
    def waits_for_idle(self) -> bool:
        """Whether all that keeps an update back is that the app is not idle."""
        ended = self._tried.ended if self._tried else None
        return ended is not None and ended.outcome == "waiting" and ended.gates == {IDLE}

    @property
    def waits_for_restart(self) -> bool:
        """Whether an update is made but for the restart."""
        ended = self._tried.ended if self._tried else None
        return ended is not None and ended.outcome == "waiting" and "restart" in ended.gates

    @property
    def last(self) -> Ended | None:
        """How the last try ended."""
        return self._tried.ended if self._tried else None

    def answer_rest(self, ended: Ended) -> None:
        """Whoever still waits is told this: no attempt will be made for them here."""
        wanted = self._with_those_left(self._slot.take() or Wanted(Request()))
        answer(wanted, ended)

    async def _turn(self) -> None:
        await self._look_around()
        wanted = self._slot.take()
        if wanted is None and self._tried and self._is_due(self._tried):
            wanted = self._tried.wanted
        if wanted:
            await self._try(wanted)
        else:
            await self._rest()

    async def _rest(self) -> None:
        """Until something is wanted, a look long at most."""
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._woken.wait()

    # --- what is wanted -----------------------------------------------------------------

    async def _look_around(self) -> None:
        sees = self.parts.sees
        if self._has_changed(SETTINGS):
            await self._read_anew()
        if self._has_changed(DECISIONS):
            self._want(Request("decision"))
        # While an update runs its attempt is open and well.
        if sees.trace(JOURNAL) != self._traces.get(JOURNAL, self) and not sees.is_locked():
            self._traces[JOURNAL] = sees.trace(JOURNAL)
            if await self.in_background(sees.owes, "newleaf-journal"):
                self._want(Request("owed"))

    def _has_changed(self, what: str) -> bool:
        found = self.parts.sees.trace(what)
        before, self._traces[what] = self._traces.get(what), found
        return found != before

    def _on_target(self, checked: Checked) -> None:
        """A look has found a target."""
        if self.parts.announcements:
            self.parts.announcements.found(checked)
        commit = checked.available.commit if checked.available else None
        request = Request(self.parts.watcher.origin)
        if self._running:
            if commit != self._running.commit:
                self._want(request, commit)
        elif request.origin == "signal" or not self._is_tried(commit):
            self._want(request, commit)

    def _is_tried(self, commit: str | None) -> bool:
        """Whether the target was tried, and has to wait for its next try, or for a change."""
        tried = self._tried
        return tried is not None and tried.ended.outcome not in ARRIVED and commit in tried.commits

    def _want(self, request: Request, commit: str | None = None) -> None:
        self._slot.put(Wanted(request, commit))
        self._woken.set()

    def _is_due(self, tried: _Tried) -> bool:
        if tried.retry is None:
            return False
        sees = self.parts.sees
        is_busy = tried.retry.when == IDLE and sees.is_busy()
        tried.was_busy = tried.was_busy or is_busy
        return (
            _now() >= tried.due_at
            or (tried.retry.when == IDLE and tried.was_busy and not is_busy)
            or (tried.retry.when == UNLOCKED and not sees.is_locked())
            or (tried.retry.when == RESTARTED and sees.trace(DAEMON) != tried.daemon)
        )

    # --- a try --------------------------------------------------------------------------

    async def _try(self, wanted: Wanted) -> None:
        wanted = self._with_those_left(wanted)
        daemon, self._running = self.parts.sees.trace(DAEMON), wanted
        try:
            ended = await self.parts.attempts.run(wanted.request)
        except asyncio.CancelledError:
            self._left = wanted.asked
            raise
        except Exception as error:
            what = Defect(reason=f"{type(error).__name__}: {error}")
            answer(wanted, Ended("failed", record=refusal(what)))
            raise
        finally:
            self._running = None
        before = self._tried
        times = before.times + 1 if before and before.ended.mark == ended.mark else 1
        retry = choose_retry(ended, times, self.parts.interval, self.chance())
        if wanted.request.is_special and ended.outcome not in ("waiting", "locked"):
            retry = None  # once more, when it is asked for once more
        due_at = _now() + (retry.seconds if retry else math.inf)
        # What held it up the first time may have ended before anybody looked.
        self._tried = _Tried(wanted, ended, times, retry, due_at, daemon, was_busy=times == 1)
        self._traces[JOURNAL] = self.parts.sees.trace(JOURNAL)
        if wanted.request.is_special and retry is None:
            # What was open before somebody asked for another target is still owed (L27): looked for again.
            del self._traces[JOURNAL]
        waits = self._slot.wanted
        if waits and not waits.asked and waits.commit in self._tried.commits:
            self._slot.take()
        self._tried.wanted = replace(wanted, asked=())
        if ended.outcome == "locked":
            self._left = wanted.asked  # they get what comes of it when the other update has ended
        else:
            answer(wanted, ended, before.ended if before else None)
        self._tell(ended)
        if ended.outcome in ("updated", "ok", "rolled_back"):
            await self._read_anew()

    def _with_those_left(self, wanted: Wanted) -> Wanted:
        left, self._left = self._left, ()
        return replace(wanted, asked=(*left, *wanted.asked))

    def _tell(self, ended: Ended) -> None:
        if ended.outcome in ARRIVED or len(self._told) >= MAX_TOLD:
            self._told.clear()
        if ended.outcome != "up_to_date" and ended.mark not in self._told:
            self._told.add(ended.mark)
            for line in ended.lines:
                self.say(line)

    def _say_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self.say(text)

    # --- the watcher --------------------------------------------------------------------

    async def _read_anew(self) -> None:
        try:
            parts = await self.in_background(self.read, "newleaf-settings")
        except NewleafError as error:
            self._say_once(f"{error.message}; until that is mended the settings of before hold")
            return
        self.parts = parts
        self._traces[SETTINGS] = parts.sees.trace(SETTINGS)
        self._watch()

    def _watch(self) -> None:
        self._stop_watching()
        watcher, announcements = self.parts.watcher, self.parts.announcements
        self._watching = [asyncio.ensure_future(self._keep(lambda: watcher.run(self._on_target)))]
        if announcements:
            hearing = self._keep(lambda: announcements.run(watcher.look_soon))
            self._watching.append(asyncio.ensure_future(hearing))

    def _stop_watching(self) -> None:
        for task in self._watching:
            task.cancel()
        self._watching = []

    async def _keep(self, watch: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await watch()
            except Exception as error:  # noqa: BLE001 - as in `run`
                self._say_once(f"a defect in newleaf: {type(error).__name__}: {error}")
            await asyncio.sleep(BREATH_SECONDS)


def _now() -> float:
    return asyncio.get_running_loop().time()
