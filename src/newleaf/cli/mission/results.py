"""An order on its way out, and the results that come back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct, field

from newleaf.agent.missions.following import follow
from newleaf.cli.invocation import Invocation, draws_progress
from newleaf.cli.mission.letters import run_in
from newleaf.core.missions.publishing import Order
from newleaf.core.missions.registration import read_registration
from newleaf.core.missions.results import SUCCESS, Report

if TYPE_CHECKING:
    from newleaf.system.redis.bus import RedisRoom


class Answers(Struct):
    """Who is meant, and who has answered."""

    expected: set[str]
    reports: dict[str, Report] = field(default_factory=dict)

    @property
    def silent(self) -> list[str]:
        return sorted(self.expected - set(self.reports))

    @property
    def outcome(self) -> tuple[str, int]:
        """The word and the exit code."""
        if any(report.status != SUCCESS for report in self.reports.values()):
            return "failed", 1
        return ("ok", 0) if self.reports and not self.silent else ("waiting", 4)


async def expected_hosts(room: RedisRoom, order: Order) -> set[str]:
    """The hosts that an order is for: the one, or those that are known and not silent."""
    target, now = order.envelope.target, datetime.now(UTC)
    if target.host:
        return {target.host}
    known = (read_registration(text) for text in (await room.registrations()).values())
    return {host.name for host in known if host and host.is_meant(target) and not host.is_silent(now)}


def publish_and_wait(invocation: Invocation, room: RedisRoom, order: Order, seconds: float) -> int:
    """Publishes an order, and waits for its results where somebody wants to. Raises: BusUnreachable."""
    return run_in(room, lambda: _publish(invocation, room, order, seconds))


async def _publish(invocation: Invocation, room: RedisRoom, order: Order, seconds: float) -> int:
    envelope, stream = order.envelope, room.streams.towards(order.envelope.target)
    answers = Answers(await expected_hosts(room, order) if seconds else set())
    since = await room.last(room.streams.results)
    entry = await room.publish(stream, order.fields)
    record = {"job_id": envelope.job_id, "stream": stream, "entry": entry, "target": envelope.target.text}
    said = f"published {envelope.job_id}: {envelope.mission_kind} for {envelope.target.text}"
    if not seconds:
        invocation.answer({"outcome": "ok", **record}, [said])
        return 0
    shows = draws_progress()
    if shows:
        invocation.say(said)
    async for report in follow(room, envelope.job_id, since, answers.expected, seconds):
        answers.reports[report.host] = report
        if shows:
            invocation.say(f"  {_line(report)}")
    outcome, code = answers.outcome
    reports = [report.as_record() for report in answers.reports.values()]
    answered: dict[str, Any] = {"outcome": outcome, **record, "results": reports, "silent": answers.silent}
    invocation.answer(answered, [said, *_lines(answers)])
    return code


def _lines(answers: Answers) -> Iterator[str]:
    for report in answers.reports.values():
        yield f"  {_line(report)}"
    for name in answers.silent:
        yield f"  {name}: {click.style('no answer yet', fg='yellow')}"
    if not answers.reports and not answers.silent:
        yield "  nobody has answered, and nobody is known that is meant"


def _line(report: Report) -> str:
    colour = "green" if report.status == SUCCESS else "red"
    result = report.result if isinstance(report.result, dict) else {}
    to = result.get("version") or result.get("updated_to")
    said = f" {to}" if to else ""
    why = f": {report.error}" if report.error else ""
    rule = f" ({report.rule})" if report.rule else ""
    return f"{report.host}: {click.style(report.status, fg=colour)}{said}{rule}{why}"
