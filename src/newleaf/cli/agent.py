"""`newleaf agent`: watches, has attempts made and tries again, beside a daemon that does none of that itself.

The launcher starts it, and so may any service manager. It stands in no release slot, so that none is kept for
its sake.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from newleaf.cli.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from newleaf.agent.beside import Beside

PATIENCE_SECONDS = 0.6
"""For an attempt to end by itself: the agent is gone within a second. What is killed converges later."""

LAST_WORD_SECONDS = 0.2
"""For the last word to arrive."""

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@click.command(short_help="Watch and update, beside the daemon.", hidden=True)
@pass_invocation
def agent(invocation: Invocation) -> int:
    """Watches, has each attempt made by a process of its own, and tries again what is owed, until SIGTERM."""
    from newleaf.agent.children import Children
    from newleaf.compose.beside import beside
    from newleaf.compose.mirroring import Following
    from newleaf.core.durations import format_duration

    host = invocation.host()
    invocation.state_dir = host.state
    invocation.config = invocation.config and invocation.config.absolute()
    os.chdir(host.state if host.place.has_slots else host.place.folder)
    words = ["--state-dir", str(host.state)]
    words += ["--config", str(invocation.config)] if invocation.config else []
    children = Children()

    def say(text: str) -> None:
        invocation.say(f"newleaf agent: {text}")

    following = Following(say)
    made = beside(invocation.host, words, children, following, say)
    every = format_duration(host.settings.watch.poll_seconds)
    greeting = f"watches {host.name} on {host.settings.deployment.channel}, every {every}"
    try:
        asyncio.run(_until_told(made, lambda: say(greeting)))
    finally:
        children.end(PATIENCE_SECONDS)
        following.stop(LAST_WORD_SECONDS)
    say("ends")
    if invocation.json:
        invocation.answer({"outcome": "ok"})
    return 0


async def _until_told(made: Beside, on_ready: Callable[[], None]) -> None:
    """Runs the agent until a signal asks this process to end; `on_ready` is called when it would be heard."""
    told = asyncio.Event()
    for number in STOPPING:
        # Ignored signals stay ignored: that is how `nohup` works.
        if signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, told.set)
    on_ready()
    working = asyncio.ensure_future(made.run())
    stopping = asyncio.ensure_future(told.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
