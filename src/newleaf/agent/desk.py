"""The orders of one door on their way: accepted, asked for, and followed to their end, across a restart.

Rules: an order is kept before anything is done for it; one that a dead process has left is taken on where it
stood: what the history says of its update counts, and only where it says nothing the update is asked for
again. An update that is not over is followed in the history, which the next process writes on (lessons.md L1,
L4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from newleaf.agent.background import Result, run_in_background
from newleaf.core.errors import NewleafError
from newleaf.core.orders import MOVED, OVER, Order, find_end, is_final, is_of_before
from newleaf.core.ports import Updates
from newleaf.core.records import moment, stamp
from newleaf.core.releases.channels import Rule
from newleaf.core.requests import Request
from newleaf.system import locks
from newleaf.system.orders import Orders

if TYPE_CHECKING:
    from newleaf.agent.missions.door import MissionDoor, Wants

LOOK_SECONDS = 0.5
FOLLOWED = timedelta(days=7)
"""How long a final word is waited for."""

Lines = Callable[[], Iterable[Mapping[str, Any]]]
Make = Callable[[Order], Awaitable[Mapping[str, Any]]]
"""Has made what an order asks for, and gives its record."""


class Doors(Struct, frozen=True):
    """The doors of one host: what is open to whom, and what all of them need.

    `lines` reads the history; `new_id` makes what no other order has. The secrets are read when they are
    needed, None where the settings name none that can be used: that door is shut. `missions` reads what they
    say of missions, and raises where they say nothing; `restarts` is the updater in this process, if any.
    """

    state: Path
    orders: Orders
    updates: Updates
    lines: Lines
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    rule: Rule = Rule()
    chats: frozenset[str] = frozenset()
    telegram_token: Callable[[], str | None] = lambda: None
    token: Callable[[], str | None] = lambda: None
    webhook_secret: Callable[[], str | None] = lambda: None
    missions: Callable[[], MissionDoor] | None = None
    restarts: Wants | None = None


class Desk:
    """The orders of the door of this name. `make` does what they ask for: by default, an update."""

    def __init__(self, door: str, doors: Doors, make: Make | None = None) -> None:
        self._door = door
        self._host = doors
        self._make = make or self._update
        self._turn = asyncio.Lock()

    async def accept(self, name: str, origin: str, to: str | None = None) -> Order | None:
        """A new order, kept; None when one of this name was accepted before, by whichever process.

        Raises: what keeping it gives reason to.
        """
        order = Order(f"{self._door}:{name}", self._host.new_id(), self._door, origin, self.now(), to)
        return order if await self.keep(order) else None

    async def keep(self, order: Order, facts: Mapping[str, str] | None = None) -> bool:
        """Whether the order is new, and now kept, the facts with it. Raises: as `accept`."""
        return await self._keep(lambda: self._host.orders.accept(order, facts))

    def now(self) -> datetime:
        """The time as it is kept, to the millisecond."""
        return moment(stamp(self._host.now()))

    async def find(self, identity: str, key: str | None = None) -> Order | None:
        """The order with this id, or this key, if it is this door's. Raises: what reading gives reason to."""
        found = await self._keep(lambda: self._host.orders.find(identity, key))
        return found if found and found.door == self._door else None

    async def fact(self, name: str) -> str | None:
        """What is kept under a name. Raises: what reading gives reason to."""
        return await self._keep(lambda: self._host.orders.fact(name))

    async def keep_facts(self, facts: Mapping[str, str]) -> None:
        """Keeps facts; an empty one is forgotten. Raises: what keeping them gives reason to."""
        await self._keep(lambda: self._host.orders.keep(facts))

    async def claim(self) -> list[Order]:
        """The open orders that a dead process has left. Raises: what reading gives reason to."""
        now = self._host.now()
        return await self._keep(lambda: self._host.orders.claim(self._door, now))

    async def note(self, order: Order, **changes: object) -> Order:
        """The order with something changed, kept. Raises: what keeping it gives reason to."""
        changed = replace(order, **changes)
        await self._keep(lambda: self._host.orders.note(changed))
        return changed

    async def note_receipt(self, order: Order, receipt: str) -> None:
        """Keeps which message says that the order was received, whatever else becomes of it meanwhile."""
        await self._keep(lambda: self._host.orders.note_receipt(order.key, receipt))

    def is_too_late(self, order: Order) -> bool:
        """Whether nobody would understand a word on the order any more."""
        return self._host.now() >= order.accepted_at + FOLLOWED

    async def end(self, order: Order) -> Order:
        """Nothing more will be done for the order."""
        return await self.note(order, stage=OVER)

    async def ask(self, order: Order, **changes: object) -> Order:
        """The order with what came of its update, which may not be its end, and with something changed."""
        record = await self._make(order)
        return await self.note(order, record=record, **changes)

    async def take_on(self, order: Order) -> Order:
        """Like `ask`, for an order that a dead process has left."""
        if order.record is not None:
            return order
        # As in `agent.asking`: it is another process.
        while await self._in_background(  # noqa: ASYNC110
            lambda: locks.is_update_running(self._host.state)
        ):
            await asyncio.sleep(LOOK_SECONDS)
        found = await self._in_background(lambda: find_end(self._host.lines(), order.accepted_at))
        return await self.note(order, record=found) if found else await self.ask(order)

    async def follow(self, order: Order) -> Order:
        """The order with its final record; as it is when none came in time."""
        record = order.record or {}
        while not is_final(record) and not self.is_too_late(order):
            await asyncio.sleep(LOOK_SECONDS)
            found = await self._in_background(
                lambda: find_end(self._host.lines(), order.accepted_at, order.attempt)
            )
            if found:
                # The history does not name the commits that were told before.
                known = {"commits": record["commits"]} if found["attempt"] == order.attempt else {}
                record = {**found, **known}
        return order if record is order.record else await self.note(order, record=record)

    async def request(self, order: Order, request: Request) -> Mapping[str, Any]:
        """What came of an update that was asked for when the order was accepted."""
        record = await self._host.updates.request(request)
        if record.get("outcome") in MOVED and is_final(record) and is_of_before(record, order.accepted_at):
            # What was under way has been brought to its end, and nobody has looked for what was ordered.
            again = await self._host.updates.request(request)
            return record if again.get("outcome") == "up_to_date" else again
        return record

    async def _update(self, order: Order) -> Mapping[str, Any]:
        return await self.request(order, Request(order.origin))

    async def _keep(self, work: Callable[[], Result]) -> Result:
        """One after another, so that a flood of orders is no flood of threads."""
        async with self._turn:
            return await run_in_background(work, "newleaf-order")

    @staticmethod
    async def _in_background(look: Callable[[], Any]) -> Any:
        """What is seen; nothing where it cannot be looked at: an attempt tells what is wrong with it."""
        try:
            return await run_in_background(look, "newleaf-look")
        except NewleafError:
            return None


class EndedLines(Struct):
    """The history's lines, read again only when it has changed. `read` reads them from `path`."""

    path: Path
    read: Lines
    _trace: tuple[int, int, int] | None = None
    _lines: list[Mapping[str, Any]] = field(default_factory=list)

    def __call__(self) -> list[Mapping[str, Any]]:
        """Raises: CorruptFile, NewerSchema."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return []
        trace = (found.st_ino, found.st_mtime_ns, found.st_size)
        if trace != self._trace:
            self._lines, self._trace = list(self.read()), trace
        return self._lines
