"""`fleet`: who runs what, from the hosts' registrations; and an update for one of them, or for all."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from newleaf.cli.fleet.tables import describe, what_changed
from newleaf.cli.invocation import Invocation, pass_invocation
from newleaf.cli.mission import Duration
from newleaf.core.errors import FailedError
from newleaf.core.releases.names import require_branch
from newleaf.core.texts import defused

if TYPE_CHECKING:
    from newleaf.agent.missions.headquarters import Headquarters
    from newleaf.core.missions.fleet_view import Fleet

WATCH_SECONDS = 1.0
Answer = TypeVar("Answer")


@click.group(short_help="Who runs what; updates for many.", no_args_is_help=False)
def fleet() -> None:
    """The hosts that have made themselves known on the bus, and updates for them."""


@fleet.command(short_help="Who runs what.")
@click.option("--watch", is_flag=True, help="Follow the changes until interrupted.")
@pass_invocation
def status(invocation: Invocation, watch: bool) -> None:
    """Shows what each host runs, since when, how long ago it was heard, and who drifts from the target.

    A host drifts from its own target where it says one, else from the release that was announced last; where
    none was, or hosts have gone on from it, from the one that most hosts run. What a silent host runs
    is not known.
    """
    headquarters = _headquarters(invocation)
    seen = run_at(headquarters, headquarters.fleet)
    if not watch or invocation.json:
        invocation.answer({"outcome": "ok", **seen.as_record()}, describe(seen))
        return
    _watch(invocation, headquarters, seen)


@fleet.command(short_help="Order updates.")
@click.argument("name", required=False)
@click.option("--all", "everybody", is_flag=True, help="All hosts.")
@click.option("--branch", metavar="NAME", help="Refused by hosts that follow another one.")
@click.option("--wait", is_flag=True, help="For the results; exits by them.")
@click.option(
    "--deadline",
    type=Duration(),
    default="1 h",
    show_default=True,
    help="Who tells nothing until then has failed.",
)
@pass_invocation
def update(
    invocation: Invocation, name: str | None, everybody: bool, branch: str | None, wait: bool, deadline: float
) -> int:
    """Orders a host, or all of them, to update; an order that is in flight is joined, not given again.

    With --wait: 0 all updated, 1 one has failed, or told nothing until the deadline, 4 one still waits for
    its gates, 5 one has refused, 6 one has rolled back, 7 one needs a person. Of several the worst counts:
    7, 6, 1, 5, 4.
    """
    from newleaf.cli.fleet.following import order_and_follow

    if everybody is (name is not None):
        raise click.UsageError("name one host, or say --all")
    if branch is not None:
        require_branch(branch)
    headquarters = _headquarters(invocation)
    seconds = deadline if wait else 0.0
    return run_at(headquarters, lambda: order_and_follow(invocation, headquarters, (name, branch), seconds))


def run_at(headquarters: Headquarters, work: Callable[[], Awaitable[Answer]]) -> Answer:
    """What comes of some work at headquarters, whose connections are let go of afterwards."""

    async def run() -> Answer:
        try:
            return await work()
        finally:
            await headquarters.close()

    return asyncio.run(run())


def _headquarters(invocation: Invocation) -> Headquarters:
    from newleaf.compose.headquarters import headquarters_of

    return headquarters_of(invocation.host())


def _watch(invocation: Invocation, headquarters: Headquarters, seen: Fleet) -> None:
    """Draws the table anew whenever it has changed; on a terminal in the same place, ages included."""
    draws, shown, trouble = sys.stdout.isatty(), "", ""
    while True:
        changed = "\n".join(describe(seen)) if draws else what_changed(seen)
        if changed != shown:
            shown = changed
            if draws:
                click.clear()
            for line in describe(seen):
                click.echo(defused(line))
        time.sleep(WATCH_SECONDS)
        try:
            seen, trouble = run_at(headquarters, headquarters.fleet), ""
        except FailedError as error:
            if error.message != trouble:
                trouble = error.message
                invocation.say(f"newleaf fleet status: {error.message}")
