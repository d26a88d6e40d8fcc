"""`allow`, `pin`, `unpin`, `suspend`, `resume`: what this host decides for itself."""

from __future__ import annotations

import click

from newleaf.cli.invocation import Invocation, pass_invocation
from newleaf.core.errors import NotDenied
from newleaf.core.releases.channels import parse_pin


@click.command(short_help="Lift the denial of a commit.")
@click.argument("commit")
@pass_invocation
def allow(invocation: Invocation, commit: str) -> None:
    """Lets COMMIT be tried again on this host: updated to, or started after a crash loop."""
    from newleaf.agent.guard import allow_starts
    from newleaf.compose.host import now

    host = invocation.host()
    counted = allow_starts(host.state, commit)
    try:
        lifted = host.decisions.allow(commit, now())
        said = f"{lifted} may be tried again; `newleaf update` does it"
    except NotDenied:
        if counted is None:
            raise
        lifted, said = counted, f"{counted} may start again"
    invocation.answer({"outcome": "ok", "commit": lifted}, [said])


@click.command(short_help="Hold one version.")
@click.argument("version")
@pass_invocation
def pin(invocation: Invocation, version: str) -> None:
    """Makes VERSION the target, older than the channel's choice or not."""
    host = invocation.host()
    pinned = str(parse_pin(version, host.settings.source.tag_prefix))
    host.decisions.set_pin(pinned)
    said = f"pinned to {pinned}; the next update goes there, and stays"
    invocation.answer({"outcome": "ok", "pin": pinned}, [said])


@click.command(short_help="Return to the channel.")
@pass_invocation
def unpin(invocation: Invocation) -> None:
    """Takes the pin away; a pin in host.toml counts again."""
    host = invocation.host()
    # Settings that are wrong say so before anything is changed.
    deployment = host.settings.deployment
    host.decisions.set_pin(None)
    left = deployment.pin
    said = f"host.toml pins {left}" if left else f"back on channel {deployment.channel}"
    invocation.answer({"outcome": "ok", "pin": left}, [said])


@click.command(short_help="Do nothing until resumed.")
@click.option("--why", default="", help="The reason, which `newleaf why` repeats.")
@pass_invocation
def suspend(invocation: Invocation, why: str) -> None:
    """Keeps this host as it is until `newleaf resume`."""
    from newleaf.compose.host import now

    invocation.host().decisions.suspend(why, now())
    answer = {"outcome": "ok", "suspended": True, "why": why}
    invocation.answer(answer, ["suspended; `newleaf resume` ends it"])


@click.command(short_help="End a suspension.")
@pass_invocation
def resume(invocation: Invocation) -> None:
    """Lets this host follow its channel again; a suspension in host.toml still counts."""
    host = invocation.host()
    still = host.settings.deployment.suspended
    host.decisions.resume()
    said = "deployment.suspended is still set in the host's settings" if still else "resumed"
    invocation.answer({"outcome": "ok", "suspended": still}, [said])
