"""Who is let in at a door: by a secret, read anew each time, and not after too many failures.

Rules: after ten failures in a minute a caller is not judged, with the right secret either (threats.md T23);
what is too long to be a token is not looked at; the event loop waits for no disk (lessons.md L30).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from http import HTTPStatus
from time import monotonic
from typing import TypeVar

from newleaf.agent.background import run_in_background
from newleaf.core.credentials import Recent
from newleaf.integrations.http_messages import Answer, Scope, refusal

MAX_TOKEN_BYTES = 4096
Secret = TypeVar("Secret")


class Gate:
    """One door's."""

    def __init__(self) -> None:
        self._failures = Recent()
        self._reading = asyncio.Lock()

    async def read(self, secret: Callable[[], Secret]) -> Secret:
        """A secret as it is now; one after another, so that a flood of callers is no flood of threads."""
        async with self._reading:
            return await run_in_background(secret, "newleaf-secret")

    def judge(self, scope: Scope, is_right: Callable[[], bool], **headers: str) -> Answer | None:
        """Why the caller is not let in; None when what it has is right."""
        caller, now = caller_of(scope), monotonic()
        refused = too_often(self._failures, caller, "too many failures")
        if refused:
            return refused
        if is_right():
            return None
        self._failures.note(caller, now)
        return refusal(HTTPStatus.UNAUTHORIZED, "that is not the secret", **headers)


def too_long(given: bytes) -> Answer | None:
    """What is answered to who gives something that no token is as long as."""
    if len(given) > MAX_TOKEN_BYTES:
        return refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "no token is as long as that")
    return None


def too_often(recent: Recent, caller: str, reason: str) -> Answer | None:
    """What is answered to who has done something too often of late."""
    seconds = recent.wait_seconds(caller, monotonic())
    if seconds > 0:
        return refusal(HTTPStatus.TOO_MANY_REQUESTS, reason, Retry_After=str(math.ceil(seconds)))
    return None


def caller_of(scope: Scope) -> str:
    """Whose failures are counted together: those of one address."""
    client = scope.get("client")
    return str(client[0]) if client else ""
