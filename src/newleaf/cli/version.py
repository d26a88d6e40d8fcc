"""`version`: newleaf's own, and the app's."""

from __future__ import annotations

import click

from newleaf.cli.invocation import Invocation, pass_invocation
from newleaf.core.errors import NewleafError


@click.command(short_help="newleaf's version, and the app's.")
@pass_invocation
def version(invocation: Invocation) -> None:
    """Prints newleaf's version; for the app its version, channel and commit."""
    from importlib.metadata import version as installed

    own = installed("newleaf")
    record: dict[str, object] = {"outcome": "ok", "newleaf": own, "app": None}
    lines = [f"newleaf {own}"]
    try:
        host = invocation.host()
        live = host.layout.live()
    except NewleafError:
        if invocation.app or invocation.state_dir or invocation.config:
            raise
    else:
        channel = host.settings.deployment.channel
        record["app"] = {"name": host.name, "channel": channel, **live.as_record()}
        lines.append(f"{host.name} {live.version or 'unknown version'} ({channel}, {live.commit})")
    invocation.answer(record, lines)
