"""`newleaf busy -- COMMAND…`: a job that a restart waits for, in any language."""

from __future__ import annotations

import sys

import click

from newleaf.agent.jobs import find_state
from newleaf.cli.invocation import Invocation, draws_progress, pass_invocation
from newleaf.system.busy_lock import open_shared, try_shared, wait_shared
from newleaf.system.files import prepare_state_directory
from newleaf.system.foreground import run_job
from newleaf.system.locks import update_owner


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    short_help="Run a job that a restart waits for.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@pass_invocation
def busy(invocation: Invocation, command: tuple[str, ...]) -> int:
    """Run COMMAND while holding busy.lock: no restart happens before it has ended.

    A job that begins while an update changes the live tree waits for that to end. The exit status is
    COMMAND's own; 128 + n when signal n ended it, 127 when there is no such program.
    """
    state = find_state(invocation)
    prepare_state_directory(state)
    with open_shared(state) as lock:
        if not try_shared(lock):
            if draws_progress():
                invocation.say(f"waiting for the update to end: {update_owner(state) or 'it ends just now'}")
            wait_shared(lock)
        status = run_job(command, lock, stdout=sys.stderr if invocation.json else None)
    if invocation.json:
        invocation.answer({"outcome": "failed" if status else "ok", "exit": status})
    return status
