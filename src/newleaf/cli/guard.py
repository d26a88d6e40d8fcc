"""`newleaf guard`: the pre-start check where nothing but a service manager keeps the daemon."""

from __future__ import annotations

import contextlib
from typing import Any

import click

from newleaf.cli.invocation import Invocation, pass_invocation
from newleaf.core.crashes import SPAN_SECONDS
from newleaf.core.durations import format_duration
from newleaf.core.errors import NewleafError, OutputLost
from newleaf.core.job_errors import CrashLoop


@click.command(short_help="Before each start of the daemon: stop a crash loop.")
@pass_invocation
def guard(invocation: Invocation) -> None:
    """Counts a start of the daemon, and refuses it in a crash loop.

    For a service manager to call before each start. Exits 7 once a release that was never confirmed has ended
    abnormally more than `health.max_starts` times within half an hour, and 0 otherwise, whatever cannot be
    read or written: that is a warning. It never reverts.
    """
    warnings: list[str] = []
    record, line = _judge(invocation, warnings)
    for warning in warnings:
        invocation.say(f"{click.style('newleaf guard:', fg='yellow')} {warning}")
    # Nobody may be listening; the daemon starts all the same.
    with contextlib.suppress(OutputLost):
        invocation.answer({"outcome": "ok", **record, "warnings": warnings}, [line])


def _judge(invocation: Invocation, warnings: list[str]) -> tuple[dict[str, Any], str]:
    """What is known of the start that follows, as a record and in a line.

    Raises: CrashLoop.
    """
    try:
        from newleaf.compose.guarding import admit

        admission = admit(invocation.host(), warnings.append)
    except CrashLoop:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, a check must not keep a daemon from starting
        known = error.message if isinstance(error, NewleafError) else f"{type(error).__name__}: {error}"
        warnings.append(f"{known}; this start is not counted")
        return {"release": None, "abnormal_ends": None}, "not counted: the daemon may start"
    name, ends = admission.release.name, admission.abnormal_ends
    said = f"{name} may start"
    if ends:
        said += f"; abnormal ends within {format_duration(SPAN_SECONDS)}, never confirmed: {ends}"
    return {"release": admission.release.as_record(), "abnormal_ends": ends}, said
