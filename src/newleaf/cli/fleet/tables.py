"""A fleet for people: a row a host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from newleaf.cli.invocation import table
from newleaf.core.missions.fleet_view import ANNOUNCED, Fleet, Seen
from newleaf.core.missions.results import SUCCESS, Report
from newleaf.core.missions.update_orders import outcome_of

HEAD = ("host", "runs", "status", "since (UTC)", "drift", "heard")
_HOW = {ANNOUNCED: "announced last"}
_COLOURS = {"updated": "green", "waiting": "yellow", "held": "yellow"}


def describe(fleet: Fleet) -> Iterator[str]:
    """The whole table, and what hosts are compared with."""
    if not fleet.hosts:
        yield "no host has made itself known"
        return
    yield from table([_row(host) for host in fleet.hosts], HEAD)
    target = fleet.target
    silent = sum(host.is_silent for host in fleet.hosts)
    drifting = sum(host.drifts is True for host in fleet.hosts)
    count = f"{len(fleet.hosts)} host{'s' if len(fleet.hosts) > 1 else ''}"
    said = [f"{count}, {drifting} drifting, {silent} silent"]
    if target:
        how = _HOW.get(target.source, "what most run")
        said.append(f"target {_name(target.version, target.commit)}, {how}")
    yield "; ".join(said)


def what_changed(fleet: Fleet) -> str:
    """What is worth another table where none can be drawn over: everything but how long ago it was heard."""
    rows = [[*_row(host)[:-1], str(host.is_silent)] for host in fleet.hosts]
    return repr((fleet.target, rows))


def describe_report(report: Report) -> str:
    """One host's word on an update."""
    word = outcome_of(report)
    result: dict[str, Any] = report.result if isinstance(report.result, dict) else {}
    to = _name(result.get("version"), result.get("updated_to")) if report.status == SUCCESS else ""
    why = f": {report.error}" if report.error else ""
    rule = f" ({report.rule})" if report.rule else ""
    return f"{report.host}: {click.style(word, fg=_COLOURS.get(word, 'red'))}{to and ' ' + to}{rule}{why}"


def _row(host: Seen) -> list[str]:
    said = host.registration
    words = [said.status or "unknown", *(["paused"] if said.paused else [])]
    return [
        said.name,
        _name(said.version, said.commit) or "unknown",
        ", ".join(words),
        said.since[:19].replace("T", " ") or "unknown",
        _drift(host),
        f"{_span(host.age_seconds)} ago" + (", silent" if host.is_silent else ""),
    ]


def _drift(host: Seen) -> str:
    if host.drifts is None:
        return "unknown"
    return f"behind {(host.expected or '')[:9]}" if host.drifts else "none"


def _name(version: Any, commit: Any) -> str:
    short = str(commit or "")[:9]
    return f"{version} ({short})" if version and short else str(version or short)


def _span(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
