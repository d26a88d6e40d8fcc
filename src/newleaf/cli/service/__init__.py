"""`service`: has systemd or launchd run the app, and its updates by a timer."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import click

from newleaf.cli.invocation import Invocation, pass_invocation
from newleaf.cli.service import servicing
from newleaf.cli.service.servicing import Done, Place, Planned
from newleaf.core.secrets import mask_text
from newleaf.core.services.subject import Manager, Wish
from newleaf.core.services.timer import parse_timer

SAID = {"write": "will be written", "keep": "is there", "remove": "will be removed"}


@click.command(short_help="Have systemd or launchd run the app, and its updates.")
@click.argument("action", type=click.Choice(["install", "uninstall", "show"]))
@click.option("--systemd", is_flag=True, help="For systemd (else what the machine has).")
@click.option("--launchd", is_flag=True, help="For launchd.")
@click.option("--timer", metavar="TIMES|SPAN", help='Updates too, at "06:00,18:00" or every 12h.')
@click.option("--socket", is_flag=True, help="systemd holds the sockets of app.listen.")
@click.option("--user", is_flag=True, help="For this user alone (unless root calls).")
@click.option("--system", is_flag=True, help="For the machine.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@pass_invocation
def service(
    invocation: Invocation,
    action: str,
    systemd: bool,
    launchd: bool,
    timer: str | None,
    socket: bool,
    user: bool,
    system: bool,
    yes: bool,
) -> None:
    """Have the machine's service manager run the daemon under newleaf, and with --timer its updates.

    install says what it writes, asks first on a terminal, writes it and has it run. What it finds of its own
    that is no longer asked for, an older timer say, it takes away. Where restart.mode is exit, sigterm,
    command or none, the service manager runs app.command itself, with `newleaf guard` before it.

    uninstall stops all that and takes it away. show says what install would write, and what is there. Files
    that newleaf did not write are never touched.
    """
    if (systemd and launchd) or (user and system):
        raise click.UsageError("--systemd or --launchd, --user or --system: not both")
    manager: Manager | None = "systemd" if systemd else "launchd" if launchd else None
    wish = Wish(
        manager or servicing.choose_manager(os.environ),
        is_system=system or (not user and os.geteuid() == 0),
        timer=None if timer is None else parse_timer(timer),
        has_socket=socket,
    )
    asks = not yes and not invocation.json and sys.stdin.isatty() and sys.stdout.isatty()
    if action == "uninstall":
        _uninstall(invocation, wish, asks=asks)
    else:
        _install(invocation, wish, asks=asks, only_shows=action == "show")


def _install(invocation: Invocation, wish: Wish, *, asks: bool, only_shows: bool) -> None:
    from newleaf import compose

    host = compose.host(invocation, of_owner=wish.is_system)
    subject = servicing.subject_of(host, os.environ)
    place = servicing.find_place(wish, os.environ, subject.start_seconds + subject.stop_seconds)
    made, planned = servicing.plan_install(subject, place)
    if only_shows:
        states = _states([each.path.name for each in planned], place)
        invocation.answer(
            record(subject.app, place, planned, Done()) | {"services": states},
            [*describe(planned, whole=True), "", *describe_states(states, place)],
        )
        return
    is_new = any(each.action != "keep" for each in planned)
    if asks and is_new and not _confirm(describe(planned), "Write this?"):
        invocation.answer(record(subject.app, place, planned, Done()), ["nothing was written"])
        return
    done = servicing.install(subject, made, planned, place)
    shown = [] if asks and is_new else [*describe(planned)]
    invocation.answer(record(subject.app, place, planned, done), [*shown, *describe_done(done, place)])


def _uninstall(invocation: Invocation, wish: Wish, *, asks: bool) -> None:
    from newleaf import compose

    # A name is enough: what is taken away may have lost its checkout, or its settings.
    app = servicing.app_named(invocation.app) if invocation.app else ""
    host = None if app else compose.host(invocation, of_owner=wish.is_system)
    app = app or (host.place.name or host.name if host else "")
    place = servicing.find_place(wish, os.environ, host.settings.app.stop_seconds if host else 600.0)
    planned, foreign = servicing.plan_uninstall(app, place)
    if asks and planned and not _confirm(describe(planned), "Stop and remove this?"):
        invocation.answer(record(app, place, planned, Done()), ["nothing was removed"])
        return
    done = servicing.uninstall(planned, place)
    left = [f"{found.path} is left: newleaf did not write it ({found.foreign})" for found in foreign]
    lines = [f"removed {path}" for path in done.removed] or ["there is nothing to take away"]
    answer = record(app, place, planned, done) | {"foreign": [str(found.path) for found in foreign]}
    invocation.answer(answer, [*lines, *left])


def _confirm(lines: Iterable[str], question: str) -> bool:
    for line in lines:
        click.echo(line)
    return click.confirm(question, default=True)


def _states(names: Iterable[str], place: Place) -> dict[str, str]:
    """What each service does now; empty where no service manager can be spoken to."""
    if not place.manager.runs():
        return {}
    return {name: place.manager.state(name) for name in names}


def describe(planned: Iterable[Planned], *, whole: bool = False) -> Iterator[str]:
    """What becomes of each file, and what it will say; with `whole`, also of those that stay."""
    for each in planned:
        said = "will be replaced" if each.action == "write" and not each.is_new else SAID[each.action]
        yield click.style(f"{each.path} {said}", bold=True)
        if each.action == "write" or (whole and each.action == "keep"):
            yield from (f"  {mask_text(line)}".rstrip() for line in each.content.decode().splitlines())


def describe_states(states: dict[str, str], place: Place) -> Iterator[str]:
    """What the service manager says."""
    yield from (f"{name}: {state}" for name, state in states.items())
    if not states:
        yield no_manager(place)


def describe_done(done: Done, place: Place) -> Iterator[str]:
    """What has been done, and what is left for a person."""
    yield ""
    yield from (f"removed {path}" for path in done.removed)
    yield from (f"written: {path}" for path in done.written)
    yield from done.lines
    if not (done.written or done.removed or done.lines):
        yield "nothing to change: it is all there"
    if done.steps:
        if not place.manager.runs():
            yield no_manager(place)
        yield click.style("Now type:", fg="green", bold=True)
        yield from (f"  {step}" for step in done.steps)


def no_manager(place: Place) -> str:
    """Said where the files are all that can be had."""
    whose = "" if place.wish.is_system else " of this user"
    return f"no {place.wish.manager}{whose} can be spoken to from here; the files alone start nothing"


def record(app: str, place: Place, planned: Iterable[Planned], done: Done) -> dict[str, Any]:
    """The answer as JSON."""
    return {
        "outcome": "ok",
        "app": app,
        "manager": place.wish.manager,
        "scope": "system" if place.wish.is_system else "user",
        "running": place.manager.runs(),
        "files": [
            {"path": str(each.path), "action": each.action, "content": mask_text(each.content.decode())}
            for each in planned
        ],
        "written": [str(path) for path in done.written],
        "removed": [str(path) for path in done.removed],
        "done": list(done.lines),
        "steps": list(done.steps),
    }
