"""`status`, `why` and `history`: what runs, what it waits for, and what has happened."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from newleaf.cli.invocation import Invocation, pass_invocation, table
from newleaf.core.states import State
from newleaf.system import planned_restart
from newleaf.system.control_socket import ask_launcher
from newleaf.system.locks import update_owner

if TYPE_CHECKING:
    from newleaf.agent.reasons import Reasons
    from newleaf.compose import Host

WATCH_SECONDS = 1.0
_CONFIRMED: Mapping[Any, str] = {True: "yes", False: "no"}
_COLOURS = {"deployed": "green", "update_failed": "red", "inconsistent": "red", "rolled_back": "red"}


@click.command(short_help="What runs.")
@click.option("--watch", is_flag=True, help="Follow the changes until interrupted.")
@pass_invocation
def status(invocation: Invocation, watch: bool) -> None:
    """Shows the published status, and what the live process has reported."""
    host = invocation.host()
    record = status_of(host)
    if not watch or invocation.json:
        invocation.answer(record, describe_status(record))
        return
    shown: Mapping[str, Any] | None = None
    while True:
        if record != shown:
            shown = record
            for line in describe_status(record):
                click.echo(line)
        time.sleep(WATCH_SECONDS)
        record = status_of(host)


@click.command(short_help="Every gate, what it waits for, and the last failure.")
@pass_invocation
def why(invocation: Invocation) -> None:
    """Answers "why is it not updating?": suspension, pin, gates, denials, the lock, and the last failure."""
    record = gather_reasons(invocation.host()).as_record()
    invocation.answer(record, describe_why(record))


@click.command(short_help="Past attempts.")
@click.option("-n", "count", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@pass_invocation
def history(invocation: Invocation, count: int) -> None:
    """Lists the newest attempts, oldest first, with their outcomes and durations."""
    attempts = [dict(entry.line) for entry in invocation.host().history.entries()[-count:]]
    invocation.answer({"outcome": "ok", "attempts": attempts}, describe_history(attempts))


def status_of(host: Host) -> dict[str, Any]:
    """The published status, what runs now, a restart that is under way, and the launcher where one runs."""
    from newleaf.compose.host import now

    planned = planned_restart.read(host.state, now())
    launcher = ask_launcher(host.state)
    return {
        **host.status(),
        **({"planned_restart": planned.as_record()} if planned else {}),
        **({"launcher": launcher} if launcher else {}),
    }


def gather_reasons(host: Host) -> Reasons:
    """Everything that may hold an update back."""
    from newleaf.agent.reasons import Reasons, failure_without_attempt
    from newleaf.compose.host import now
    from newleaf.compose.parts import HostParts

    owed, settings, status = host.journal().open_attempt, host.settings, host.status_file
    target = owed.target if owed else host.layout.live()
    published = status.published()
    waiting = (published or {}).get("waiting_for", [])
    return Reasons(
        owed,
        HostParts(host).gates.survey(target, owed.at(State.WAIT) if owed else None),
        status.not_holding_since(owed) if owed else {},
        host.suspended,
        host.decisions.pin or settings.deployment.pin,
        update_owner(host.state),
        host.decisions.denied,
        failure_without_attempt(published) or host.history.last_failure(),
        next((entry["reason"] for entry in waiting if entry["gate"] == "restart"), None),
        planned_restart.read(host.state, now()),
    )


def describe_status(record: Mapping[str, Any]) -> Iterator[str]:
    """The status record for people."""
    word = str(record["status"])
    app, computer = record["app"], record["computer"]
    yield f"{app} on {computer}: {click.style(word, fg=_COLOURS.get(word, 'yellow'), bold=True)}"
    yield f"  running  {name(record['running']) or 'unknown: no live process has reported'}"
    if record.get("target"):
        yield f"  target   {name(record['target'])}"
    yield f"  channel  {record['channel']}"
    yield f"  since    {record['timestamp']}"
    yield from _planned_restart(record)
    if record.get("launcher"):
        yield from _describe_launcher(record["launcher"])
    for waiting in record.get("waiting_for") or ():
        yield f"  waits    for {waiting['gate']} since {waiting['since']}: {waiting['reason']}"
    if record.get("error"):
        yield f"  error    {record['error']}"


def describe_why(record: Mapping[str, Any]) -> Iterator[str]:
    """The reasons for people: what stands in the way first."""
    yield click.style(record["summary"], bold=True)
    if record["suspended"]:
        yield f"  suspended  {record['suspended']}"
    if record["pin"]:
        yield f"  pinned     {record['pin']}; `newleaf unpin` returns to the channel"
    if record["locked_by"]:
        yield f"  locked     {record['locked_by']}"
    yield from _planned_restart(record)
    rows = [
        (gate["gate"], "holds" if gate["holds"] else "waits", gate["reason"] + _since(gate))
        for gate in record["gates"]
    ]
    yield from (f"  {line}" for line in table(rows, ("gate", "now", "why")))
    for commit, entry in record["denied"].items():
        yield f"  denied     {commit[:12]} since {entry.get('when')}: {entry.get('why')}"
    failure = record["last_failure"]
    if failure:
        to = f", to {name(failure['to'])}" if failure.get("to") else ""
        yield f"  last failure: {failure['outcome']} at {failure['at']}{to}"
        for error in failure.get("errors") or ():
            yield f"    {error.get('code')}: {error.get('message')}"
            if error.get("cure"):
                yield f"      {error['cure']}"
    else:
        yield "  no failure since the last success"


def _describe_launcher(launcher: Mapping[str, Any]) -> Iterator[str]:
    agent = f", agent pid {launcher['agent']}" if launcher["agent"] else ""
    yield f"  launcher pid {launcher['pid']}{agent}"
    for child in launcher["children"]:
        state = "ready" if child["ready"] else "starting"
        fault = f": {child['failed']}" if child["failed"] else ""
        yield f"    {child['role']:<8} pid {child['pid']}, {name(child)}, {state}{fault}"
    if launcher["dropped_bytes"]:
        yield f"    of the daemon's output {launcher['dropped_bytes']} bytes could not be kept"


def _planned_restart(record: Mapping[str, Any]) -> Iterator[str]:
    planned = record.get("planned_restart")
    if planned:
        yield f"  a planned restart is under way until {planned['expires']}: {planned['reason']}"


def describe_history(attempts: list[dict[str, Any]]) -> list[str]:
    """A row an attempt."""
    rows = [
        (
            str(attempt["at"])[:19].replace("T", " "),
            str(attempt.get("kind", "update")),
            str(attempt["outcome"]),
            _confirmation(attempt),
            name(attempt.get("from")),
            name(attempt.get("to")),
            f"{sum((attempt.get('durations') or {}).values()):.1f} s",
            "; ".join(str(error.get("message")).splitlines()[0] for error in attempt.get("errors") or ()),
        )
        for attempt in attempts
    ]
    if not rows:
        return ["no attempt yet"]
    return table(rows, ("when (UTC)", "kind", "outcome", "confirmed", "from", "to", "took", "error"))


def _confirmation(attempt: Mapping[str, Any]) -> str:
    """Whether a process has reported the release; nothing to say where none was brought."""
    if attempt["outcome"] not in ("updated", "ok", "started"):
        return ""
    return _CONFIRMED.get(attempt.get("confirmed"), "unknown")


def name(record: Mapping[str, Any] | None) -> str:
    """A release's version and short commit."""
    if not record:
        return ""
    commit = str(record.get("commit", ""))[:9]
    version = record.get("version")
    return f"{version} ({commit})" if version else commit


def _since(gate: Mapping[str, Any]) -> str:
    return f" (since {gate['since']})" if gate.get("since") else ""
