"""Headquarters: orders updates, and knows who is there and what came of it. For the endpoint and the verbs.

Rules: only a host whose settings say so gives orders; an order for a host that has one in flight is not given
again, and its giver is told of that one (lessons.md L36). All that is known lies on the bus, nothing here, so
that any number of processes are one headquarters.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from newleaf.agent.background import run_in_background
from newleaf.agent.missions.following import follow, reports_of
from newleaf.core.missions.fleet_view import Fleet, read_announced, read_hosts, see
from newleaf.core.missions.mission_errors import BusUnreachable, NotHeadquarters
from newleaf.core.missions.ops_errors import HostUnknown
from newleaf.core.missions.publishing import Order, Wish
from newleaf.core.missions.registration import Registration
from newleaf.core.missions.results import Report
from newleaf.core.missions.targeting import EVERYBODY
from newleaf.core.missions.update_orders import Ordered, Progress, read_ordered, wish_for
from newleaf.core.ops_tokens import Token
from newleaf.core.ports import Updates

if TYPE_CHECKING:
    from newleaf.system.redis.headquarters import RedisHeadquarters

BEGINNING = "0"


class Office(Struct, frozen=True):
    """What the settings say of headquarters. `make` signs where there are keys; it may wait for a disk."""

    app: str
    branch: str
    publishes: bool
    connect: Callable[[], RedisHeadquarters]
    make: Callable[[Wish], Order]
    now: Callable[[], datetime]


class Placed(Struct, frozen=True):
    """The order that a host, or all, have now: a new one, or the one that is in flight until then at most."""

    ordered: Ordered
    is_new: bool
    until: datetime


class Headquarters:
    """One app's. Its connections are made when they are needed, and belong to the loop that runs then."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self._room: RedisHeadquarters | None = None

    @property
    def room(self) -> RedisHeadquarters:
        """Raises: BusUnconfigured, RedisMissing, BusUnreachable."""
        if self._room is None:
            self._room = self.office.connect()
        return self._room

    async def close(self) -> None:
        """Lets go of the connections."""
        if self._room:
            await self._room.close()
            self._room = None

    # --- who is there -----------------------------------------------------------------------

    async def hosts(self) -> list[Registration]:
        """Every host that is known, by name; those that are gone are forgotten.

        Raises: BusUnreachable and its kin.
        """
        kept, now = await self.room.registrations(), self.office.now()
        hosts = read_hosts(kept)
        # A host that only looks writes nothing; what cannot be forgotten now will be later.
        with contextlib.suppress(BusUnreachable):
            for host in hosts if self.office.publishes else ():
                if host.is_gone(now):
                    await self.room.forget(host.name, kept[host.name])
        return [host for host in hosts if not host.is_gone(now)]

    async def fleet(self) -> Fleet:
        """Who runs what, beside the release that was announced last. Raises: BusUnreachable and its kin."""
        room = self.room
        last = await room.last(room.streams.available)
        page = await room.page(room.streams.available, last) if last != BEGINNING else []
        announced = read_announced(page[0].fields, page[0].at) if page else None
        return see(await self.hosts(), announced, self.office.now())

    async def register(self, registration: Registration) -> None:
        """Makes a host known. Raises: BusUnreachable and its kin."""
        await self.room.register(registration.name, registration.as_json())

    # --- orders -----------------------------------------------------------------------------

    async def order_update(self, host: str | None, branch: str | None = None) -> Placed:
        """Orders a host, or all of them, to update, unless that is in flight.

        Raises: NotHeadquarters, HostUnknown, MissionKeysUnusable, BusUnreachable and its kin.
        """
        if not self.office.publishes:
            raise NotHeadquarters
        while True:
            hosts, kept = await self.hosts(), await self.room.orders()
            if host is not None and host not in {known.name for known in hosts}:
                raise HostUnknown(host=host)
            flying = await self._in_flight(host, kept, hosts)
            if flying:
                return flying
            made = await run_in_background(lambda: self.office.make(wish_for(host, branch)), "newleaf-order")
            ordered = await self._ordered(made, host, branch, hosts)
            # Another process may have ordered meanwhile: then that one is judged.
            if await self.room.place(made, ordered, kept.get(ordered.target, b"")):
                return Placed(ordered, is_new=True, until=ordered.expires_at)

    async def find(self, job_id: str) -> Progress | None:
        """What came so far of an order that is the last one of its target; None when there is none.

        Raises: BusUnreachable and its kin.
        """
        for text in (await self.room.orders()).values():
            ordered = read_ordered(text)
            if ordered and ordered.job_id == job_id:
                return Progress(ordered, await self._reports(ordered) or {})
        return None

    def follow(self, ordered: Ordered, seconds: float) -> AsyncIterator[Report]:
        """Results of an order, as they come, until all that it waits for have told, or the time is over."""
        return follow(self.room, ordered.job_id, ordered.since, ordered.hosts, seconds)

    async def _ordered(
        self, made: Order, host: str | None, branch: str | None, hosts: list[Registration]
    ) -> Ordered:
        envelope, now = made.envelope, self.office.now()
        awake = tuple(known.name for known in hosts if not known.is_silent(now))
        return Ordered(
            job_id=envelope.job_id,
            target=envelope.target.text,
            issued_at=envelope.issued_at,
            expires_at=envelope.expires_at,
            since=await self.room.last(self.room.streams.results),
            hosts=(host,) if host is not None else awake,
            branch=branch,
        )

    async def _in_flight(
        self, host: str | None, kept: Mapping[str, bytes], hosts: list[Registration]
    ) -> Placed | None:
        """The order that a host, or all of them, have still to do."""
        now = self.office.now()
        silent = {known.name: known.at + known.patience for known in hosts if known.is_silent(now)}

        def meant(ordered: Ordered, answered: Collection[str] = ()) -> set[str]:
            awaited = ordered.awaited(answered, silent, now)
            return awaited if host is None else awaited & {host}

        for target in (EVERYBODY,) if host is None else (host, EVERYBODY):
            ordered = read_ordered(kept.get(target, b""))
            # Results are looked for only where one could still be missing.
            reports = await self._reports(ordered) if ordered and meant(ordered) else None
            if ordered and reports is not None and (left := meant(ordered, reports)):
                until = max(ordered.until(name, silent) for name in left)
                return Placed(ordered, is_new=False, until=until)
        return None

    async def _reports(self, ordered: Ordered) -> dict[str, Report] | None:
        """What each host has told of an order; None where results are gone that may have been among them."""
        room = self.room
        page = await room.page(room.streams.results, "-" if ordered.since == BEGINNING else ordered.since)
        if ordered.since != BEGINNING and (not page or page[0].id != ordered.since):
            return None
        found: dict[str, Report] = {}
        while page:
            for report in reports_of(ordered.job_id, page):
                found.setdefault(report.host, report)
            page = await room.page(room.streams.results, f"({page[-1].id}")
        return found


class Operations(Struct, frozen=True):
    """What the operator's endpoint needs of this host.

    `tokens` are those that are known now, none where there are none, or where they cannot be read;
    `version` is newleaf's own.
    """

    headquarters: Headquarters
    tokens: Callable[[], tuple[Token, ...]]
    updates: Updates
    version: str
