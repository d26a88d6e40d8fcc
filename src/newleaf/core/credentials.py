"""Whether somebody at a door holds the secret, and how often somebody did something of late.

Rules: secrets are compared as bytes, in a time that says nothing of where they differ (threats.md T23); after
ten failures in a minute a caller is not judged again until the minute is over, the right secret or not.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict, deque

MAX_FAILURES = 10
WINDOW_SECONDS = 60.0
MAX_CALLERS = 1024
"""Remembered at a time; of more, those that failed longest ago are forgotten."""

_SCHEME = b"bearer "
_SIGNED = b"sha256="


def read_bearer(header: bytes) -> bytes:
    """The token in an Authorization header; empty when there is none."""
    return header[len(_SCHEME) :].strip() if header[: len(_SCHEME)].lower() == _SCHEME else b""


def is_same(secret: str, given: bytes) -> bool:
    """Whether what was given is the secret; nothing given never is."""
    return bool(given) and hmac.compare_digest(secret.encode(), given)


def is_signed(secret: str, body: bytes, header: bytes) -> bool:
    """Whether `X-Hub-Signature-256` says that who knows the secret has sent this very body (T25)."""
    made = _SIGNED + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode()
    return hmac.compare_digest(made, header)


class Recent:
    """Who did something, and when, `most` times in a minute: seconds of a clock that never goes back."""

    def __init__(self, most: int = MAX_FAILURES) -> None:
        self._most = most
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def note(self, caller: str, now: float) -> None:
        """The caller did it."""
        self._times.setdefault(caller, deque(maxlen=self._most)).append(now)
        self._times.move_to_end(caller)
        if len(self._times) > MAX_CALLERS:
            self._times.popitem(last=False)

    def wait_seconds(self, caller: str, now: float) -> float:
        """How long the caller has to wait before it may again; 0 when it may now."""
        times = self._times.get(caller)
        if times is None or len(times) < self._most:
            return 0.0
        return max(0.0, times[0] + WINDOW_SECONDS - now)
