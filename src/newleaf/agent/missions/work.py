"""Accepted missions on their way to a result, and the result on its way to the bus; across any kill.

Rules:
1. A result is kept before it is published, and published until the bus has taken it; by the next process
   where a restart is in between (lessons.md L4). While it cannot be kept, this process remembers it: nothing
   is done again for that.
2. An app's missions run one at a time, those of higher priority first; each is a job until it has a result,
   so no restart cuts it off (L26). One that was cut off all the same is begun again, as often as it allows;
   then it is a dead letter.
3. Updates go on beside them, and coalesce as all updates do (L36, L39). Their limits are the mission's, and
   never longer than the host's own; an update that is owed stays owed after its mission's time is over (L27).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from msgspec.structs import replace

from newleaf.agent.desk import Desk, Doors
from newleaf.agent.missions.door import MissionDoor
from newleaf.agent.missions.handlers import limit_seconds, run_handler
from newleaf.agent.pauses import Pauses
from newleaf.core.errors import NewleafError
from newleaf.core.missions import kinds
from newleaf.core.missions.dead_letters import DeadLetter
from newleaf.core.missions.envelope import Envelope
from newleaf.core.missions.kept import DOOR, kept_of
from newleaf.core.missions.mission_errors import BusUnreachable, MalformedMission
from newleaf.core.missions.ports import Handler, Outbox
from newleaf.core.missions.results import SUCCESS, MissionResult, failed, report, update_result
from newleaf.core.orders import TELLING, Order
from newleaf.core.records import short_stamp
from newleaf.core.requests import Request

PAUSED = "missions.paused"
GAVE_UP = "gave_up"
UNKNOWN_KIND = "unknown_kind"
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
UPDATE_SECONDS = 24 * 3600.0
"""The host's own limit on waiting for what comes of an update."""
LAST_LOOK_SECONDS = 2.0
"""For what has come of an update that the last process made, though its mission's time is over."""
MAX_QUEUED = 8
"""Missions of the app that are accepted ahead: among these the priority counts."""


class MissionWork:
    """The accepted missions of one host. `say` is given a line for the log."""

    def __init__(
        self, doors: Doors, door: MissionDoor, handlers: Mapping[str, Handler], say: Callable[[str], None]
    ) -> None:
        self.desk = Desk(DOOR, doors, self._make)
        self.paused: str | None = None
        self.mission: str | None = None
        self._doors = doors
        self._door = door
        self._handlers = handlers
        self._say = say
        self._tasks: set[asyncio.Task[Any]] = set()
        self._queue: list[tuple[Order, Envelope]] = []
        self._results: asyncio.Queue[Order] = asyncio.Queue()
        self._untold = 0

    async def begin(self) -> None:
        """Remembers whether the host is paused. Raises: what reading gives reason to."""
        self.paused = await self.desk.fact(PAUSED)

    async def take_on(self) -> None:
        """Goes on with what dead processes have left. Raises: what reading gives reason to."""
        for order in await self.desk.claim():
            try:
                envelope = kept_of(order).envelope
            except MalformedMission:
                # Not ended now, it is left to the next process: what else was claimed comes first.
                with contextlib.suppress(NewleafError):
                    await self.desk.end(order)
                continue
            if order.stage == TELLING:
                self._tell_later(order)
            else:
                await self.carry_out(order, envelope, is_left=True)

    async def carry_out(self, order: Order, envelope: Envelope, *, is_left: bool = False) -> None:
        """Begins with an accepted mission; what takes time goes on beside this, or when its turn comes."""
        kind = envelope.mission_kind
        if kind in (kinds.UPDATE, kinds.ROLLBACK):
            self._go_on(self._update(order, envelope, is_left=is_left))
        elif kind in (kinds.PAUSE, kinds.RESUME):
            await self._pause(order, since="" if kind == kinds.RESUME else short_stamp(self._doors.now()))
        else:
            self._queue.append((order, envelope))
            # A stable sort: among equals, the order in which they came.
            self._queue.sort(key=lambda queued: -queued[1].priority)

    @property
    def room(self) -> int:
        """How many more of the app's missions may be accepted ahead."""
        return max(0, MAX_QUEUED - len(self._queue))

    @property
    def is_idle(self) -> bool:
        """Whether none of the app's missions waits for its turn."""
        return not self._queue or self.paused is not None

    async def work(self) -> bool:
        """Carries out the next of the app's missions; False when there is none, or the host is paused."""
        if self.is_idle:
            return False
        order, envelope = self._queue.pop(0)
        self.mission = envelope.job_id
        try:
            await self._handle(order, envelope)
        except NewleafError:
            self._queue.insert(0, (order, envelope))
            raise
        finally:
            self.mission = None
        return True

    async def end(self, seconds: float) -> None:
        """Gives results a moment to be told; the rest is left to the next process."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self._untold and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- kinds ------------------------------------------------------------------------------

    async def _make(self, order: Order) -> Mapping[str, Any]:
        envelope = kept_of(order).envelope
        if envelope.mission_kind == kinds.ROLLBACK:
            return await self._doors.updates.rollback()
        request = Request("mission", to=envelope.context.get("version"))
        return await self.desk.request(order, request)

    async def _update(self, order: Order, envelope: Envelope, *, is_left: bool) -> None:
        seconds = limit_seconds(envelope, UPDATE_SECONDS)
        left = seconds - (self._doors.now() - order.accepted_at).total_seconds()
        if is_left:
            # It may be over, and only its telling be late.
            left = max(LAST_LOOK_SECONDS, left)
        following = asyncio.ensure_future(self._follow(order, is_left=is_left))
        try:
            done, _ = await asyncio.wait({following}, timeout=max(0.0, left))
        finally:
            following.cancel()
        if done:
            record, wanted = following.result().record or {}, envelope.context.get("version")
            result = update_result(record, self._door.receiver.branch, wanted)
        else:
            await asyncio.wait({following})
            known = await self.desk.find(order.id) or order
            so_far = update_result(known.record or {"outcome": "running"}, self._door.receiver.branch)
            result = failed(f"not over within {seconds:g} s, and still owed: {so_far.error}", so_far.result)
        await self._conclude(order, result)

    async def _follow(self, order: Order, *, is_left: bool) -> Order:
        pauses = _pauses()
        while True:
            try:
                return await self.desk.follow(await (self.desk.take_on if is_left else self.desk.ask)(order))
            except NewleafError as error:
                self._say(f"an update's mission waits: {error.message} {error.advice}")
            await asyncio.sleep(pauses.next())
            # What was made of it meanwhile counts, as after a restart.
            is_left = True

    async def _pause(self, order: Order, since: str) -> None:
        try:
            await self.desk.keep_facts({PAUSED: since})
        except NewleafError as error:
            await self._conclude(order, failed(f"{error.message} {error.advice}"))
            return
        self.paused = since or None
        self._say("paused: missions are left unread" if since else "resumed")
        await self._conclude(order, MissionResult(SUCCESS, None, {"paused": bool(since)}))

    async def _handle(self, order: Order, envelope: Envelope) -> None:
        kept = kept_of(order)
        handler = self._handlers.get(envelope.mission_kind)
        if handler is None:
            reason = f"nobody on this host handles {envelope.mission_kind} any more"
            await self._conclude(order, failed(reason), UNKNOWN_KIND)
        elif kept.tries > envelope.max_retries:
            await self._conclude(order, failed(f"it was cut off {kept.tries} times"), GAVE_UP)
        else:
            kept = replace(kept, tries=kept.tries + 1)
            order = await self.desk.note(order, mission=kept.as_record())
            await self._run(order, handler, envelope)

    async def _run(self, order: Order, handler: Handler, envelope: Envelope) -> None:
        seconds = limit_seconds(envelope, self._door.handler_seconds)
        try:
            async with self._door.job(f"mission {envelope.job_id}"):
                await self._conclude(order, await run_handler(handler, envelope, seconds))
        except NewleafError as error:
            await self._conclude(order, failed(f"{error.message} {error.advice}"))

    # --- results ----------------------------------------------------------------------------

    async def _conclude(self, order: Order, result: MissionResult, rule: str = "") -> None:
        """The result, kept as soon as that can be, and from now on told until it is taken."""
        kept = replace(kept_of(order), result=result, rule=rule)
        concluded = replace(order, mission=kept.as_record())
        with contextlib.suppress(NewleafError):
            concluded = await self._keep(concluded)
        self._tell_later(concluded)

    async def _keep(self, concluded: Order) -> Order:
        # What is known of an update was kept meanwhile.
        known = await self.desk.find(concluded.id) or concluded
        return await self.desk.note(known, stage=TELLING, mission=concluded.mission)

    def _tell_later(self, order: Order) -> None:
        self._untold += 1
        self._results.put_nowait(order)

    async def tell(self, outbox: Outbox) -> None:
        """Publishes results, one after another, until it is cancelled."""
        while True:
            order, pauses = await self._results.get(), _pauses()
            while not await self._has_told(outbox, order):  # noqa: ASYNC110 - it is the bus's to come back
                await asyncio.sleep(pauses.next())
            self._untold -= 1

    async def _has_told(self, outbox: Outbox, order: Order) -> bool:
        """Whether nothing is left to do for a result; of one that meets a defect not by this process."""
        try:
            await self._tell(outbox, order if order.stage == TELLING else await self._keep(order))
        except BusUnreachable:
            return False
        except NewleafError as error:
            self._say(f"a mission's result was not kept: {error.message} {error.advice}")
            return False
        except Exception as error:  # noqa: BLE001 - one result must not hold up all of them
            self._say(f"a mission's result was left to the next process: {type(error).__name__}: {error}")
        return True

    async def _tell(self, outbox: Outbox, order: Order) -> None:
        kept, now = kept_of(order), short_stamp(self._doors.now())
        host, result = self._door.receiver.name, kept.result or failed("its result is lost")
        if kept.rule == GAVE_UP:
            stream, _, entry = kept.entry.rpartition("/")
            fields = {name.encode(): value.encode() for name, value in kept.fields.items()}
            letter = DeadLetter(stream, entry, host, now, kept.rule, result.error or "", fields)
            await outbox.bury(letter.as_fields())
        await outbox.report(report(kept.envelope, host, now, result, kept.rule).as_fields())
        await self.desk.end(order)

    def _go_on(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - one mission must not end all of them
            self._say(f"a mission was left to the next process: {type(error).__name__}: {error}")


def _pauses() -> Pauses:
    return Pauses(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
