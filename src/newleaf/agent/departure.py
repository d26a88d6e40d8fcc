"""How a daemon leaves by itself when a restart is wanted: drain, record, acknowledge, flush, leave.

Rules:
1. It is wanted when `restart-requested` says so, well formed and raised since this process began (lessons.md
   L26, L27, L29). Where nothing would start the daemon again it stays, and says so, once.
2. Drain: no job runs, of this process or another's, and from then on none begins. `gates.max_wait` is the
   ceiling; until the drain is over the restart can still be called off by taking the flag away.
3. Record: the planned restart is announced (L31), the status says `restarting` (L3). Acknowledge: whoever
   waits for an update is answered. Flush: logs and output. The app's own hooks are called in each, in the
   order in which they were given. Each has a limit of its own, and what fails or hangs is said and left
   behind.
4. Leave: `os._exit`, so that nothing hangs it; in mode `sigterm` SIGTERM to itself. Should the event loop
   stand still after the drain, a thread leaves all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Protocol

from msgspec import Struct, field

from newleaf.agent.background import run_in_background
from newleaf.core.errors import NewleafError
from newleaf.core.job_errors import AppBusy
from newleaf.system import busy_lock, notify_socket, planned_restart
from newleaf.system.restarts import RestartFlag, read_flag

LOOK_SECONDS = 1.0
DRAIN_LOOK_SECONDS = 0.1
HOOK_SECONDS = 5.0
GRACE_SECONDS = 5.0
"""For each of newleaf's own parts of leaving."""
OWN_PARTS = 3

DRAIN, RECORD, ACKNOWLEDGE, FLUSH = STAGES = ("drain", "record", "acknowledge", "flush")
LEAVING_MODES = ("exit", "sigterm")

Hook = Callable[[], Awaitable[object] | object]


class Leaving(Struct, frozen=True):
    """What the settings say of it. `away_seconds` is how long the daemon may be away."""

    mode: str
    exit_code: int = 42
    max_wait: float = 0.0
    stop_seconds: float = 30.0
    away_seconds: float = 60.0


class Own(Protocol):
    """What newleaf has to bring to an end before it leaves."""

    @property
    def is_trying(self) -> bool:
        """Whether an attempt of this process runs."""
        ...

    def say_restarting(self) -> None:
        """Publishes that the daemon leaves; may take a moment."""
        ...

    def acknowledge(self) -> None:
        """Answers whoever waits for an update."""
        ...

    def end_children(self) -> None:
        """Ends what was started and still runs; may take a moment."""
        ...


class GivenHook(Struct, frozen=True):
    """Something of the app's to be done before it leaves."""

    stage: str
    call: Hook
    seconds: float = HOOK_SECONDS


class Departure(Struct):
    """Looks for the flag, and leaves. `since` is when this process began; `leaving` is asked each time."""

    state: Path
    since: datetime
    keeper: str | None
    leaving: Callable[[], Leaving]
    own: Own
    hooks: list[GivenHook]
    say: Callable[[str], None]
    now: Callable[[], datetime]
    exit: Callable[[int], object] = os._exit
    terminate: Callable[[], object] = lambda: os.kill(os.getpid(), signal.SIGTERM)
    is_wanted: bool = False
    _quiet: ExitStack = field(default_factory=ExitStack)
    _said: set[str] = field(default_factory=set)
    _ignored: RestartFlag | None = None
    _has_left: bool = False

    async def run(self) -> None:
        """Looks until it is cancelled, or the daemon leaves."""
        try:
            while not self._has_left:
                try:
                    await self._turn()
                except Exception as error:  # noqa: BLE001 - the daemon must not end with one defect
                    self._say_once(f"a defect in newleaf: {type(error).__name__}: {error}")
                self._quiet.close()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self.is_wanted = False
            self._quiet.close()

    def look(self) -> bool:
        """Whether a restart is wanted of this process, as the flag says now."""
        return self._flag() is not None

    async def _turn(self) -> None:
        flag = self._flag()
        if flag and await self._drain(flag):
            await self._leave()
            self._ignored = flag

    def _flag(self) -> RestartFlag | None:
        flag = read_flag(self.state, self.now(), self.since)
        if flag == self._ignored or self.leaving().mode not in LEAVING_MODES:
            flag = None
        if flag and self.keeper is None:
            self._say_once(
                "no keeper: a restart is wanted, but nothing is seen that would start this daemon again, so"
                " it stays. Restart it yourself; run it under newleaf, systemd or launchd, or declare another"
                " keeper with NEWLEAF_KEEPER=1"
            )
            flag = None
        self.is_wanted = flag is not None
        return flag

    # --- drain --------------------------------------------------------------------------

    async def _drain(self, flag: RestartFlag) -> bool:
        """Waits until nothing runs; False when the restart was called off meanwhile."""
        while not await self._is_drained():
            waited = (self.now() - flag.at).total_seconds()
            ceiling = self.leaving().max_wait or math.inf
            if waited >= ceiling and not self.own.is_trying:
                jobs = ", ".join(busy_lock.running_jobs()) or "jobs"
                self.say(f"gates.max_wait is over: leaves although {jobs} still run")
                return True
            await asyncio.sleep(DRAIN_LOOK_SECONDS)
            if self._flag() is None:
                return False
        return True

    async def _is_drained(self) -> bool:
        if self.own.is_trying:
            return False
        try:
            if busy_lock.is_job_running(self.state):
                return False
            # Taken in a thread: whoever looks at the lock may be in the way for some milliseconds.
            self._quiet = await run_in_background(self._take_quiet, "newleaf-drain")
        except AppBusy:
            return False
        except NewleafError as error:
            self._say_once(f"whether jobs run cannot be told, so it stays: {error.message}")
            return False
        if not self.own.is_trying:
            return True
        self._quiet.close()
        return False

    def _take_quiet(self) -> ExitStack:
        with ExitStack() as stack:
            stack.enter_context(busy_lock.quiet(self.state))
            return stack.pop_all()

    # --- record, acknowledge, flush, leave ------------------------------------------------

    async def _leave(self) -> None:
        leaving = self.leaving()
        self._watch_over(leaving)
        await self._call(DRAIN)
        self._record(leaving)
        work = run_in_background(self.own.say_restarting, "newleaf-status")
        await self._within(GRACE_SECONDS, work, "publishing the status")
        await self._call(RECORD)
        self.own.acknowledge()
        # Whoever was answered goes on in this loop, and may have something to say elsewhere.
        await asyncio.sleep(0)
        await self._call(ACKNOWLEDGE)
        await self._call(FLUSH)
        work = run_in_background(self.own.end_children, "newleaf-end")
        await self._within(GRACE_SECONDS, work, "ending what was started")
        if leaving.mode == "exit":
            await self._within(GRACE_SECONDS, run_in_background(_flush, "newleaf-flush"), "flushing the logs")
            self._has_left = True
            self.exit(leaving.exit_code)
            return
        self.terminate()
        await asyncio.sleep(leaving.stop_seconds)
        self.say(f"SIGTERM has not ended this daemon within {leaving.stop_seconds:g} s: jobs go on")

    def _record(self, leaving: Leaving) -> None:
        how = f"exit code {leaving.exit_code}" if leaving.mode == "exit" else "SIGTERM to itself"
        with contextlib.suppress(NewleafError, OSError):
            planned_restart.announce(
                self.state, f"the daemon leaves by itself, with {how}", self.now(), leaving.away_seconds
            )
        self.say(f"the daemon (pid {os.getpid()}) leaves for a restart, with {how}")
        notify_socket.notify("STOPPING=1")

    async def _call(self, stage: str) -> None:
        for hook in [each for each in self.hooks if each.stage == stage]:
            name = getattr(hook.call, "__qualname__", repr(hook.call))
            await self._within(hook.seconds, _called(hook.call), f"{name} at {stage}")

    async def _within(self, seconds: float, work: Awaitable[object], what: str) -> None:
        """Waits for it, so long at most; a task that is deaf to being cancelled is left behind."""
        task = asyncio.ensure_future(work)
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            task.cancel()
            self.say(f"{what} has taken longer than {seconds:g} s and is left behind")
        elif not task.cancelled() and task.exception():
            self.say(f"{what} has failed: {type(task.exception()).__name__}: {task.exception()}")

    def _watch_over(self, leaving: Leaving) -> None:
        """Leaves from a thread when the loop has not done so by the limits of all its parts."""
        if leaving.mode != "exit":
            return
        seconds = GRACE_SECONDS * OWN_PARTS + sum(hook.seconds for hook in self.hooks)

        def leave() -> None:
            time.sleep(seconds)
            self.exit(leaving.exit_code)

        threading.Thread(target=leave, name="newleaf-leave", daemon=True).start()

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self.say(text)


def _flush() -> None:
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()


async def _called(hook: Hook) -> None:
    """A coroutine function runs in this loop, anything else in a thread."""
    if inspect.iscoroutinefunction(hook):
        await hook()
        return
    found = await run_in_background(hook, "newleaf-hook")
    if inspect.isawaitable(found):
        await found
