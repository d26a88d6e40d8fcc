"""`migrate`: the migrations alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from newleaf.cli.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from newleaf.update.data.migrating import MigrationResult

SHOWN_LEFT = 5


@click.command(short_help="The migrations alone.")
@click.option("--dry-run", is_flag=True, help="Say which would run; run nothing.")
@click.option("--from", "start", metavar="V", help="Those after this version, instead of this host's own.")
@click.option("--to", "end", metavar="V", help="Those up to this version, instead of the files' own.")
@pass_invocation
def migrate(invocation: Invocation, dry_run: bool, start: str | None, end: str | None) -> int:
    """Runs the migrations that are due, from the files as they lie in the app's folder.

    With --from above --to, what was applied in between is taken back, newest first, by revert().
    """
    from newleaf.compose.hand import migrate_by_hand
    from newleaf.update.data.migrating import MigrationOrder

    result = migrate_by_hand(invocation.host(), MigrationOrder(start, end, dry_run))
    invocation.answer(result.as_record(), describe(result))
    return result.exit_code


def describe(result: MigrationResult) -> Iterator[str]:
    """The result for people."""
    span = result.plan.span
    verb = "revert" if result.plan.backward else "run"
    reach = f"after {span.start or 'what is recorded'} up to {span.end or 'the newest'}"
    if result.plan.backward:
        reach = f"from {span.start} back to {span.end}"
    if not result.plan.scripts:
        yield f"nothing to {verb} {reach}"
    elif result.dry_run:
        yield f"would {verb}, {reach}:"
        for script in result.plan.scripts:
            yield f"  {script.name}" + ("  (needs the daemon stopped)" if script.offline else "")
    for waiting in result.waiting_for:
        yield click.style(f"waits for {waiting.gate}: {waiting.reason}", fg="yellow")
    for done in result.done:
        yield f"  {done.name}  {'done' if done.ran else 'nothing left to do'}"
    if result.left:
        more = f" and {len(result.left) - SHOWN_LEFT} more" if len(result.left) > SHOWN_LEFT else ""
        yield f"  not recorded, and outside the range: {', '.join(result.left[:SHOWN_LEFT])}{more}"
