"""An update of a fleet: ordered, and followed until each host that is meant has told its result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from newleaf.cli.fleet.tables import describe_report
from newleaf.cli.invocation import Invocation, draws_progress
from newleaf.core.missions.results import Report
from newleaf.core.missions.update_orders import Progress
from newleaf.core.records import EXIT_CODES, short_stamp

if TYPE_CHECKING:
    from newleaf.agent.missions.headquarters import Headquarters, Placed


async def order_and_follow(
    invocation: Invocation, headquarters: Headquarters, wish: tuple[str | None, str | None], seconds: float
) -> int:
    """Orders an update of (host or all, branch or each's own), waits so long, and says what came of it.

    Raises: NotHeadquarters, HostUnknown, BusUnreachable and its kin.
    """
    placed = await headquarters.order_update(*wish)
    said, ordered = _said(placed), placed.ordered
    record = {"job_id": ordered.job_id, "target": ordered.target, "joined": not placed.is_new}
    if wish[0] is not None:
        # Of an order for all that is in flight, this one host is what was asked for.
        ordered = replace(ordered, hosts=(wish[0],))
    if not seconds:
        invocation.answer({"outcome": "ok", **record}, [said])
        return 0
    shows = draws_progress()
    if shows:
        invocation.say(said)
    reports: dict[str, Report] = {}
    async for report in headquarters.follow(ordered, seconds):
        if wish[0] not in (None, report.host):
            continue
        reports[report.host] = report
        if shows:
            invocation.say(f"  {describe_report(report)}")
    progress = Progress(ordered, reports)
    outcome = progress.outcome(is_over=True)
    invocation.answer({"outcome": outcome, **record, **progress.as_record()}, [said, *_lines(progress)])
    return EXIT_CODES[outcome]


def _said(placed: Placed) -> str:
    ordered = placed.ordered
    whom = "all hosts" if ordered.target == "*" else ordered.target
    if placed.is_new:
        return f"ordered {ordered.job_id}: an update of {whom}"
    until = short_stamp(placed.until)
    return f"an update of {whom} is in flight already, until {until} at most: {ordered.job_id}"


def _lines(progress: Progress) -> Iterator[str]:
    for _, report in sorted(progress.reports.items()):
        yield f"  {describe_report(report)}"
    for name in progress.missing:
        yield f"  {name}: {click.style('no answer', fg='red')}"
    if not progress.reports and not progress.missing:
        yield "  nobody was there to answer; who returns will hear of it"
