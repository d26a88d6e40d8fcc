"""`check`: asks the remote for the target, and says so in the signal file."""

from __future__ import annotations

from collections.abc import Iterator

import click

from newleaf.agent.check import Checked
from newleaf.cli.invocation import Invocation, pass_invocation
from newleaf.core.records import EXIT_CODES

EXIT_AVAILABLE = 10


@click.command(short_help="Ask the remote for the target.")
@click.option("--exit-code", is_flag=True, help="Exit 10 when a target is available.")
@pass_invocation
def check(invocation: Invocation, exit_code: bool) -> int:
    """Asks the remote for the target, and writes the signal file when there is one. Changes nothing live."""
    from newleaf.compose.watching import look

    checked = look(invocation.host()).look()
    invocation.answer(checked.as_record(), describe(checked))
    if checked.outcome == "available" and exit_code:
        return EXIT_AVAILABLE
    return EXIT_CODES[checked.outcome]


def describe(checked: Checked) -> Iterator[str]:
    """The answer for people."""
    here = checked.current.name
    if checked.available:
        yield click.style(f"{checked.available.name} is available; {here} is here", fg="yellow", bold=True)
        yield "  `newleaf update` moves to it"
    elif checked.outcome == "held":
        yield click.style(f"held at {here}", fg="yellow", bold=True)
    else:
        yield click.style(f"up to date at {here}", fg="green", bold=True)
    for note in checked.notes:
        yield f"  {note}"
