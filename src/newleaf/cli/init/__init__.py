"""`init`: looks at a repository, says what it found and chose, and writes the two settings files."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from msgspec import Struct

from newleaf.cli.init.adoption import Plan, PlannedFile, Request, carry_out, make_plan, next_steps
from newleaf.cli.invocation import Invocation, draws_progress, pass_invocation
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
@click.option("--slots", is_flag=True, help="A folder for each release, in the state directory.")
@click.option("--from", "url", metavar="URL", help="Fill slots from URL; no checkout is needed.")
@click.option("--yes", is_flag=True, help="Write without asking.")
@pass_invocation
def init(invocation: Invocation, channel: str | None, slots: bool, url: str | None, yes: bool) -> None:
    """Look at the repository one stands in, say what was found and chosen, and set it up on this host.

    Writes newleaf.toml into the checkout and host.toml into the state directory, unless they are there.
    Asks first on a terminal. Nothing is overwritten or committed, and in place nothing is installed.

    With --slots, or --from URL, the first release is made in the state directory too: that of the checkout
    one stands in, or what the channel names at URL. The checkout stays as it is; what git does not track
    there is copied to where all releases share it.
    """
    request = Request(
        current_folder(), os.environ, notes_folder(), channel, invocation.app, invocation.state_dir
    )
    with contextlib.ExitStack() as stack:
        if slots or url is not None:
            from newleaf.cli.init import slots_adoption

            runner = Runner()
            url = slots_adoption.absolute(url, request.folder) if url else url
            place = (
                request if url is None else stack.enter_context(slots_adoption.cloned(url, request, runner))
            )
            slots_plan = slots_adoption.make_slots_plan(place, runner, url)
            watch = invocation.say if draws_progress() else (lambda _: None)
            adopting = Adopting(
                slots_plan.plan,
                lambda: slots_adoption.carry_out(slots_plan, watch),
                slots_adoption.next_steps(slots_plan),
                slots_adoption.question(slots_plan),
            )
        else:
            plan = make_plan(request, Runner())
            is_new = any(file.text is not None for file in plan.planned)
            adopting = Adopting(
                plan, lambda: carry_out(plan), next_steps(plan), "Write this?" if is_new else ""
            )
        _adopt(invocation, adopting, yes=yes)


class Adopting(Struct, frozen=True):
    """A plan, what carries it out (the files written, and what is to be said), and what to do then.

    `question` is asked before; empty where nothing would change.
    """

    plan: Plan
    carry_out: Callable[[], tuple[list[Path], list[Note]]]
    steps: tuple[str, ...]
    question: str


def _adopt(invocation: Invocation, adopting: Adopting, *, yes: bool) -> None:
    """Says what is planned, asks where somebody can answer, and does it."""
    plan = adopting.plan
    asks = not yes and not invocation.json and sys.stdin.isatty() and sys.stdout.isatty()
    if asks:
        _print([*describe_notes(plan.proposal.notes), "", *describe_files(plan.planned), ""])
        if adopting.question and not click.confirm(adopting.question, default=True):
            invocation.answer(record(plan, [], []), ["nothing was written"])
            return
    written, more = adopting.carry_out()
    steps = [*more, *(Note("next", step) for step in adopting.steps)]
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
        "checkout": str(plan.app.checkout) if plan.app.checkout else None,
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
