"""An app's handler at work: whatever it does, a result comes of it, in time.

Rules: its limit is the mission's, and never longer than the host's own (lessons.md L22); it may raise, hang,
end the program or give back nonsense: that is a failure with its reason, and the next mission's turn.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable
from typing import Any

from newleaf.core.missions.envelope import Envelope, is_kind
from newleaf.core.missions.kinds import PREFIX
from newleaf.core.missions.ports import Handler
from newleaf.core.missions.results import MissionResult, failed, read_result

GRACE_SECONDS = 2.0
"""For a handler to end when it is told to."""


def by_kind(handlers: Iterable[Handler]) -> dict[str, Handler]:
    """The handlers by their kinds. Raises: ValueError where one has none, or another's."""
    found: dict[str, Handler] = {}
    for handler in handlers:
        kind = handler.mission_kind
        if not is_kind(kind):
            raise ValueError(f"{kind!r} can be no kind: a letter, then letters, digits or _ . : / -")
        if kind.startswith(PREFIX):
            raise ValueError(f"{kind} is newleaf's own; kinds of an app do not begin with {PREFIX}")
        if kind in found:
            raise ValueError(f"two handlers are of the kind {kind}")
        found[kind] = handler
    return found


def limit_seconds(envelope: Envelope, own_seconds: float) -> float:
    """How long a mission may take here."""
    return min(envelope.timeout_seconds or own_seconds, own_seconds)


async def run_handler(handler: Handler, envelope: Envelope, seconds: float) -> MissionResult:
    """What the handler makes of the mission. Cancelled, it cancels the handler."""
    working = asyncio.ensure_future(_call(handler, envelope))
    try:
        done, _ = await asyncio.wait({working}, timeout=seconds)
        if not done:
            working.cancel()
            _, hanging = await asyncio.wait({working}, timeout=GRACE_SECONDS)
            said = ", and does not end when it is told to" if hanging else ""
            return failed(f"the handler did not end within {seconds:g} s{said}")
    except asyncio.CancelledError:
        working.cancel()
        raise
    if working.cancelled():
        return failed("the handler cancelled itself")
    return working.result()


async def _call(handler: Handler, envelope: Envelope) -> MissionResult:
    try:
        given: Any = handler.handle(envelope, dict(envelope.context))
        return read_result(await given if inspect.isawaitable(given) else given)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a mission must not end the daemon
        return failed(f"the handler failed: {type(error).__name__}: {error}".rstrip(": "))
