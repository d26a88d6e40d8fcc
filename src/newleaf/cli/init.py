"""`init`: looks at a repository, says what it found and chose, and writes the two settings files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from newleaf.cli.adoption import Plan, PlannedFile, Request, carry_out, make_plan, next_steps
from newleaf.cli.invocation import Invocation, pass_invocation
from newleaf.core.adoption.adoption_errors import SlotsNotYet
from newleaf.core.adoption.obstacles import LEVELS, Note
from newleaf.core.secrets import mask_text
from newleaf.system.commands import Runner
from newleaf.system.known_apps import notes_folder
from newleaf.system.place import current_folder

TITLES = {
    "cannot": ("What will not work as it is", "red"),
    "attention": ("Worth knowing", "yellow"),
    "found": ("Found", None),
    "chosen": ("Chosen", None),
    "next": ("Now", "green"),
}


@click.command(short_help="Look at a repository and set it up on this host.")
@click.option(
    "--channel", type=click.Choice(["alpha", "beta", "stable"]), help="What this host follows (alpha)."
)
@click.option("--slots", is_flag=True, help="A folder for each release; in a later version.")
@click.option("--from", "url", metavar="URL", help="Clone from URL into slots; in a later version.")
@click.option("--yes", is_flag=True, help="Write without asking.")
@pass_invocation
def init(invocation: Invocation, channel: str | None, slots: bool, url: str | None, yes: bool) -> None:
    """Look at the repository one stands in, say what was found and chosen, and set it up on this host.

    Writes newleaf.toml into the checkout and host.toml into the state directory, unless they are there.
    Asks first on a terminal. Nothing is overwritten, committed or installed.
    """
    if slots or url is not None:
        raise SlotsNotYet(option="--slots" if slots else "--from")
    request = Request(
        current_folder(), os.environ, notes_folder(), channel, invocation.app, invocation.state_dir
    )
    plan = make_plan(request, Runner())
    asks = not yes and not invocation.json and sys.stdin.isatty() and sys.stdout.isatty()
    if asks:
        _print([*describe_notes(plan.proposal.notes), "", *describe_files(plan.planned), ""])
        if any(file.text is not None for file in plan.planned) and not click.confirm(
            "Write this?", default=True
        ):
            invocation.answer(record(plan, [], []), ["nothing was written"])
            return
    written, more = carry_out(plan)
    steps = [*more, *(Note("next", step) for step in next_steps(plan))]
    shown = [] if asks else [*plan.proposal.notes]
    lines = [*describe_notes(shown), *([] if asks else ["", *describe_files(plan.planned)])]
    invocation.answer(
        record(plan, written, steps), [*lines, *describe_outcome(plan, written), *describe_notes(steps)]
    )


def describe_notes(notes: Iterable[Note]) -> Iterator[str]:
    """The notes for people, by level, each with its cure below it."""
    listed = list(notes)
    for level in LEVELS:
        title, colour = TITLES[level]
        own = [note for note in listed if note.level == level]
        if own:
            yield click.style(f"{title}:", fg=colour, bold=True)
        for note in own:
            yield f"  {note.text}"
            if note.cure:
                yield f"    → {note.cure}"


def describe_files(planned: Iterable[PlannedFile]) -> Iterator[str]:
    """What each file will say, or how the one that is kept differs."""
    for file in planned:
        if file.text is not None:
            yield click.style(f"{file.path}:", bold=True)
            yield from (f"  {mask_text(line)}".rstrip() for line in file.text.splitlines())
        elif file.differences:
            yield click.style(f"{file.path} is kept, and differs:", bold=True)
            yield from (f"  {difference}" for difference in file.differences)
        else:
            yield f"{file.path} is kept"


def describe_outcome(plan: Plan, written: list[Path]) -> Iterator[str]:
    """What has been done."""
    yield ""
    if written:
        yield f"written: {', '.join(map(str, written))}"
    else:
        yield "nothing to write: it is all there"
    yield f"app {plan.app.name}, state in {plan.app.state_dir}"


def record(plan: Plan, written: list[Path], more: list[Note]) -> dict[str, Any]:
    """The answer as JSON."""
    proposal = plan.proposal
    return {
        "outcome": "ok",
        "app": plan.app.name,
        "checkout": str(plan.app.checkout),
        "state_dir": str(plan.app.state_dir),
        "written": [str(path) for path in written],
        "kept": [str(file.path) for file in plan.planned if file.text is None],
        "differences": {str(file.path): list(file.differences) for file in plan.planned if file.differences},
        "settings": {
            entry.key: mask_text(entry.value) if isinstance(entry.value, str) else entry.value
            for entry in (*proposal.app_entries, *proposal.host_entries)
            if not entry.suggested
        },
        "notes": [
            {"level": note.level, "text": note.text, "cure": note.cure} for note in (*proposal.notes, *more)
        ],
    }


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)
