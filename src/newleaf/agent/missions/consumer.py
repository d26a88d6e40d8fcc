"""A host that takes missions: its life on the bus, from the first word to the last.

Rules:
1. Of several processes with one state directory one takes the missions; the next takes over when it has
   ended. Another machine under the same name is noticed, and said.
2. A bus that is away, full, or somebody's replica costs nothing but missions: it is tried again, later and
   later. One that was emptied is enrolled at again, from its beginning: what is known is not done twice.
3. Before the next mission of the app it is looked whether a restart is wanted: then none is begun. With an
   updater in this process the restart is its matter; without one the run is over, the status says so, and the
   daemon may leave.
4. A paused host looks for what ends the pause, and reads nothing (lessons.md L39).
5. It makes itself known all the while, also while a mission or an update is under way (L30).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from datetime import datetime
from typing import Any

from msgspec import Struct

from newleaf.agent.background import run_in_background
from newleaf.agent.desk import Doors
from newleaf.agent.missions.desk import MissionDesk
from newleaf.agent.missions.door import MissionDoor, Wants
from newleaf.agent.missions.handlers import by_kind
from newleaf.agent.missions.work import MissionWork
from newleaf.agent.pauses import Pauses
from newleaf.core.errors import LockedError, NewleafError
from newleaf.core.missions.kinds import FIELDS
from newleaf.core.missions.mission_errors import BusForgot
from newleaf.core.missions.ports import Bus, Entry, Handler
from newleaf.core.missions.registration import (
    INTERVAL_SECONDS,
    Registration,
    from_status,
    read_registration,
)
from newleaf.system import inside_lock
from newleaf.system.inside_lock import MISSIONS_LOCK
from newleaf.system.locks import is_update_running
from newleaf.system.restarts import identify_daemon, read_flag

READ_SECONDS = 8.0
"""How long news are waited for; less than whoever reads waits for an answer, more costs less."""
FLAG_SECONDS = 2.0
"""How soon it is noticed, meanwhile, that a restart is wanted."""
LOOK_SECONDS = 0.5
RETAKE_SECONDS = 15.0
IDLE_SECONDS = 30.0
"""Whoever was handed something and has asked for nothing since is taken for dead."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
LAST_WORDS_SECONDS = 2.0
LAST_LOOK_SECONDS = 0.05
PEEKED = 100
TWICE = 2
CONSUMER, ENROLLED = "missions.consumer", "missions.enrolled"


class Leave(Struct, frozen=True):
    """How a restart is noticed: by an updater of this process, by the flag, or not at all."""

    updater: Wants | None = None
    by_flag: bool = True


class Missions:
    """Takes the missions of one host. `say` is given a line for the log."""

    def __init__(
        self,
        doors: Doors,
        door: MissionDoor,
        handlers: Iterable[Handler],
        leave: Leave,
        say: Callable[[str], None],
    ) -> None:
        """Raises: ValueError for handlers that cannot be told apart."""
        known = by_kind(handlers)
        self._doors = doors
        self._door = door
        self._leave = leave
        self._say = say
        self._said: set[str] = set()
        self._work = MissionWork(doors, door, known, say)
        self._desk = MissionDesk(doors, door, self._work, known, say)
        self._kinds = tuple(sorted({*known, *FIELDS}))
        self._stopping = asyncio.Event()
        self._known = asyncio.Event()
        self._is_enrolled = False
        self._enrolled = asyncio.Event()
        self._consumer = ""
        self._twin_seen = 0
        self._retake_at = 0.0
        self._since: datetime | None = None

    @property
    def restart_requested(self) -> bool:
        """Whether a restart is wanted, so that no further mission should begin now."""
        if self._leave.updater:
            return self._leave.updater.restart_wanted
        if not self._leave.by_flag or self._since is None:
            return False
        return read_flag(self._doors.state, self._doors.now(), self._since) is not None

    @property
    def paused(self) -> bool:
        """Whether this host takes no missions until it is resumed."""
        return self._work.paused is not None

    def stop(self) -> None:
        """Ends the run after the mission that is under way; called in the loop."""
        self._stopping.set()

    async def run(self) -> None:
        """Takes missions until it is stopped, or until a restart is wanted that is the daemon's own matter.

        Raises: UsageError and its kin where there can be no bus.
        """
        state = self._doors.state
        daemon = await run_in_background(lambda: identify_daemon(state, os.getpid()), "newleaf-daemon")
        self._since = daemon.since
        async with self._alone():
            if self._is_over:
                return
            self._consumer = await self._know_itself()
            bus = await run_in_background(lambda: self._door.connect(self._consumer), "newleaf-bus")
            try:
                await self._live(bus)
            finally:
                await bus.close()
            if self._leave.updater is None and self.restart_requested:
                await self._say_restarting()

    @property
    def _is_over(self) -> bool:
        return self._stopping.is_set() or (self._leave.updater is None and self.restart_requested)

    async def _live(self, bus: Bus) -> None:
        beside = [asyncio.ensure_future(work) for work in (self._work.tell(bus), self._keep_known(bus))]
        try:
            await self._read(bus)
        finally:
            await self._work.end(LAST_WORDS_SECONDS)
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _say_restarting(self) -> None:
        """What waited for this process to leave is under way, once the update has said that it waits (L3)."""
        state, now = self._doors.state, self._doors.now()
        with contextlib.suppress(NewleafError):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_SECONDS):
                    # It is another process: no event of this loop could tell.
                    while await run_in_background(  # noqa: ASYNC110
                        lambda: is_update_running(state), "newleaf-look"
                    ):
                        await asyncio.sleep(LAST_LOOK_SECONDS)
            await run_in_background(lambda: self._door.say_restarting(now), "newleaf-status")

    # --- reading ----------------------------------------------------------------------------

    async def _read(self, bus: Bus) -> None:
        pauses = Pauses(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        while not self._is_over:
            try:
                await self._turn(bus)
            except BusForgot as error:
                self._is_enrolled = False
                self._say_once(error.message)
            except NewleafError as error:
                self._say_once(f"missions wait: {error.message} {error.advice}".rstrip())
            except Exception as error:  # noqa: BLE001 - the daemon must not end with its missions
                self._say_once(f"missions wait: {_defect(error)}")
            else:
                pauses.end()
                self._said.clear()
                continue
            # Hosts come back one by one.
            await self._wait(pauses.next() * (1 + random.random()) / 2)  # noqa: S311

    async def _turn(self, bus: Bus) -> None:
        if not self._is_enrolled:
            await self._enroll(bus)
        if self.restart_requested:
            # What was handed out is looked for again, should the update come to nothing.
            self._retake_at = 0.0
            await self._wait(LOOK_SECONDS)
            return
        if _now() >= self._retake_at:
            await self._look_after(bus)
        # Those that died are looked for in time.
        seconds = min(READ_SECONDS, max(0.0, self._retake_at - _now()))
        if self.paused:
            await self._take(bus, await self._unless_over(bus.peek(PEEKED, seconds)))
            return
        if self._work.room:
            seconds = seconds if self._work.is_idle else 0.0
            await self._take(bus, await self._unless_over(bus.read(self._work.room, seconds)))
        if not self._is_over and not self.restart_requested:
            await self._work.work()

    async def _enroll(self, bus: Bus) -> None:
        """Its places in the streams; from everybody's beginning, where it had one that is gone."""
        name = f"{ENROLLED} {self._door.bus_name}"
        await self._work.begin()
        is_known = await self._work.desk.fact(name) is not None
        await bus.enroll(is_known=is_known)
        if not is_known:
            await self._work.desk.keep_facts({name: "1"})
        bus.forget_peeks()
        self._is_enrolled = True
        self._enrolled.set()
        self._retake_at = 0.0

    async def _look_after(self, bus: Bus) -> None:
        """What was handed out and left, by whoever died."""
        await self._work.take_on()
        self._retake_at = _now() + RETAKE_SECONDS
        if not self.paused:
            await self._take(bus, await bus.retake(IDLE_SECONDS))

    async def _take(self, bus: Bus, entries: list[Entry]) -> None:
        was_paused = self.paused
        for entry in entries:
            try:
                await self._desk.take(bus, entry)
            except NewleafError:
                raise
            except Exception as error:  # noqa: BLE001 - the others must not wait for this one
                self._say_once(f"the mission {entry.name} waits: {_defect(error)}")
        if was_paused != self.paused:
            bus.forget_peeks()
            self._retake_at = 0.0
            self._known.set()

    # --- being known ------------------------------------------------------------------------

    async def _keep_known(self, bus: Bus) -> None:
        # Who counts on a host that is known must find its places there: an order would wait for ever.
        await self._enrolled.wait()
        while True:
            self._known.clear()
            try:
                registration = await self._registration()
                self._look_for_twin(read_registration(await bus.registration(registration.name) or b""))
                await bus.register(registration.name, registration.as_json())
            except NewleafError:
                # A bus that is away is the reading's to say.
                pass
            except Exception as error:  # noqa: BLE001 - the next word may be said all the same
                self._say_once(f"this host is not made known: {_defect(error)}")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_SECONDS):
                    await self._known.wait()

    def _look_for_twin(self, found: Registration | None) -> None:
        """Notices another machine under this name, by what it writes in between, twice."""
        is_seen = found is not None and found.is_of_another(self._consumer, self._doors.now())
        self._twin_seen = self._twin_seen + 1 if is_seen else 0
        if self._twin_seen == TWICE:
            self._say(
                f"another process takes missions as {self._door.receiver.name}: each mission comes to one of"
                " the two. Give each host a name of its own: app.computer_name"
            )

    async def _registration(self) -> Registration:
        receiver = self._door.receiver
        made = Registration(
            name=receiver.name,
            at=self._doors.now(),
            app=self._door.app,
            labels=receiver.labels,
            capabilities=self._door.capabilities,
            kinds=self._kinds,
            paused=self.paused,
            mission=self._work.mission,
            consumer=self._consumer,
        )
        return from_status(made, await self._doors.updates.status())

    # --- small things -------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """The lock of who takes the missions, as soon as it is free, or this run is over."""
        lock = inside_lock.alone(self._doors.state, MISSIONS_LOCK)
        while not self._is_over:
            lock = inside_lock.alone(self._doors.state, MISSIONS_LOCK)
            try:
                await run_in_background(lock.__enter__, "newleaf-alone")
                break
            except LockedError as error:
                self._say_once(error.message)
            await self._wait(LOOK_SECONDS)
        else:
            yield
            return
        try:
            yield
        finally:
            lock.__exit__(None, None, None)

    async def _know_itself(self) -> str:
        """Who reads in this host's place: the same for every process of this state directory."""
        known = await self._work.desk.fact(CONSUMER)
        if known is None:
            known = f"{self._door.receiver.name}-{uuid.uuid4().hex[:12]}"
            await self._work.desk.keep_facts({CONSUMER: known})
        return known

    async def _unless_over(self, waiting: Coroutine[Any, Any, list[Entry]]) -> list[Entry]:
        """What comes; nothing once the run is to end, or a restart is wanted.

        What was handed out meanwhile is handed out again.
        """
        reading, stopping = asyncio.ensure_future(waiting), asyncio.ensure_future(self._stopping.wait())
        done: set[asyncio.Future[Any]] = set()
        try:
            while not done and not self.restart_requested:
                done, _ = await asyncio.wait(
                    {reading, stopping}, timeout=FLAG_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
            return reading.result() if reading in done else []
        finally:
            for task in (reading, stopping):
                task.cancel()
            await asyncio.gather(reading, stopping, return_exceptions=True)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)


def _defect(error: Exception) -> str:
    return f"a defect in newleaf: {type(error).__name__}: {error}"


def _now() -> float:
    return asyncio.get_running_loop().time()
