"""An order followed: the results that hosts tell of it, as they come.

Rules: a host's first word counts; a bus that is away meanwhile is waited for as well; it ends in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Protocol

from newleaf.core.missions.mission_errors import BusUnreachable
from newleaf.core.missions.ports import Entry
from newleaf.core.missions.results import Report
from newleaf.core.missions.streams import Streams

LOOK_SECONDS = 1.0
AGAIN_SECONDS = 0.5


class Tells(Protocol):
    """Where results arrive: `system.redis_bus.RedisRoom`."""

    @property
    def streams(self) -> Streams:
        """The names of the streams."""
        ...

    async def after(self, stream: str, entry: str, seconds: float) -> list[Entry]:
        """What came to a stream after an entry; waits for something, for so long at most."""
        ...


async def follow(
    room: Tells, job_id: str, since: str, hosts: Collection[str], seconds: float
) -> AsyncIterator[Report]:
    """Results of an order that came after an entry; ends when all `hosts` have told, or the time is over.

    Without `hosts` it is not known who will tell.
    """
    loop, told = asyncio.get_running_loop(), set[str]()
    deadline = loop.time() + seconds
    while (left := deadline - loop.time()) > 0:
        try:
            page = await room.after(room.streams.results, since, min(left, LOOK_SECONDS))
        except BusUnreachable:
            await asyncio.sleep(min(left, AGAIN_SECONDS))
            continue
        for report in reports_of(job_id, page):
            if report.host not in told:
                told.add(report.host)
                yield report
        since = page[-1].id if page else since
        if hosts and told.issuperset(hosts):
            return


def reports_of(job_id: str, page: list[Entry]) -> list[Report]:
    """The results of one order among entries of the stream of results."""
    reports = (Report.read(entry.fields) for entry in page)
    return [report for report in reports if report and report.job_id == job_id]
