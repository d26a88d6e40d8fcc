"""`update` and `rollback`: one attempt, and the way back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import click

from newleaf.cli.invocation import Invocation, pass_invocation
from newleaf.core.errors import NewleafError, UsageError
from newleaf.core.records import Result
from newleaf.core.requests import AGENTS_ORIGINS, ASKED_ORIGINS, BY_HAND, Request

SHOWN_COMMITS = 10
ORIGINS = (BY_HAND, *AGENTS_ORIGINS, *ASKED_ORIGINS)

_SENTENCES = {
    "up_to_date": "up to date at {to}",
    "updated": "updated to {to}",
    "held": "held at {from}",
    "available": "{to} is available; {from} is here",
    "ok": "back at {to}",
    "failed": "moving to {to} failed; {from} stays",
    "waiting": "{to} is owed; waiting",
    "refused": "{to} was refused; {from} stays",
    "rolled_back": "{to} failed; back at {from}",
    "inconsistent": "this host needs a person",
}
_COLOURS = {"updated": "green", "ok": "green", "up_to_date": "green", "waiting": "yellow", "held": "yellow"}


class Seconds(click.types.StringParamType):
    """A number of seconds, such as 30 or 0.5."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not seconds >= 0:
            self.fail(f"{value!r} is no number of seconds, such as 30 or 0.5", param, ctx)
        return seconds


@click.command(short_help="Move to the target.")
@click.option("--to", metavar="VERSION|COMMIT", help="This release instead of the channel's.")
@click.option("--now", is_flag=True, help="Skip the window, age and cooldown gates.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing.")
@click.option("--branch", metavar="B", help="Another branch, for this one attempt.")
@click.option("--wait", metavar="SECONDS", type=Seconds(), default=0.0, help="Wait for the report.")
@click.option("--force-busy", is_flag=True, help="Skip the idle gate too: running jobs may be cut off.")
@click.option("--origin", type=click.Choice(ORIGINS), default=BY_HAND, hidden=True)
@pass_invocation
def update(
    invocation: Invocation,
    to: str | None,
    now: bool,
    dry_run: bool,
    branch: str | None,
    wait: float,
    force_busy: bool,
    origin: str,
) -> int:
    """Moves to the target: one attempt, from fetching to the restart."""
    from newleaf.compose.parts import transaction

    request = Request(origin, to, branch, now, force_busy, wait)
    host = invocation.host()

    def act() -> Result:
        if dry_run:
            return transaction(host).plan(request)
        who = "newleaf update" if origin == BY_HAND else f"the agent ({origin})"
        with host.locked(who, f"to move to {to or branch or 'its target'}"):
            return transaction(host).update(request)

    return _answer(invocation, act)


@click.command(short_help="Go back to the last good release.")
@click.option("--to", metavar="COMMIT", help="This release instead of the last confirmed one.")
@click.option("--data", is_flag=True, help="Restore the declared data too, as it was before the update.")
@click.option("--force-busy", is_flag=True, help="Skip the idle gate: running jobs may be cut off.")
@click.option("--wait", metavar="SECONDS", type=Seconds(), default=0.0, help="Wait for the report.")
@pass_invocation
def rollback(invocation: Invocation, to: str | None, data: bool, force_busy: bool, wait: float) -> int:
    """Goes back, and denies the release that is left, so that no poll brings it again."""
    from newleaf.compose.parts import transaction

    request = Request("rollback", to, now=True, force_busy=force_busy, wait_seconds=wait)
    host = invocation.host()

    def act() -> Result:
        with host.locked("newleaf rollback", "to go back"):
            return transaction(host).rollback(request, with_data=data)

    return _answer(invocation, act)


def _answer(invocation: Invocation, act: Callable[[], Result]) -> int:
    """Answers with what came of it; with --json a failure has every key of a result too."""
    try:
        result = act()
    except UsageError:
        raise
    except NewleafError as error:
        if not invocation.json:
            raise
        result = Result(error.outcome, errors=(error.as_record(),))
    invocation.answer(result.as_record(), describe(result))
    return result.exit_code


def describe(result: Result) -> Iterator[str]:
    """The outcome for people: a sentence, then what stands behind it."""
    names = {
        "from": result.start.name if result.start else "the release here",
        "to": result.target.name if result.target else "the target",
    }
    sentence = _SENTENCES[result.outcome].format_map(names)
    yield click.style(sentence, fg=_COLOURS.get(result.outcome, "red"), bold=True)
    if result.outcome in ("updated", "ok"):
        yield f"  {_confirmation(result)}"
    if result.commit_count:
        yield f"  {result.commit_count} commit{'s' if result.commit_count != 1 else ''}"
        for commit, subject in result.commits[:SHOWN_COMMITS]:
            yield f"    {commit[:9]} {subject}"
        if result.commit_count > SHOWN_COMMITS:
            yield f"    … and {result.commit_count - SHOWN_COMMITS} more"
    for step in result.steps:
        said = "skipped" if step.skipped else f"{step.seconds:.2f} s"
        yield f"  {step.name:<9} {said:>8}  {step.detail.splitlines()[0] if step.detail else ''}".rstrip()
    for waiting in result.waiting_for:
        yield f"  waits for {waiting.gate}: {waiting.reason}"
    for error in result.errors:
        yield f"  {click.style(str(error['code']), fg='red')}: {error['message']}"
        for line in error.get("lines", ()):
            yield f"    | {line}"
        if error.get("cure"):
            yield f"    {error['cure']}"
    for note in result.notes:
        yield f"  {note}"


def _confirmation(result: Result) -> str:
    if result.confirmed:
        return "confirmed: the new process has reported this release"
    return "installed, not yet confirmed: no process has reported this release"
