"""What the launcher tells the service manager: ready, what runs, stopping, alive, what its daemon asks."""

from __future__ import annotations

import os
from collections.abc import Mapping

from newleaf.system.notify_socket import send

MICROSECONDS = 1_000_000
MOST_DIGITS = 18


class Upward:
    """The way up; `environ` is this process's own. Where nobody listens nothing is said."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._interval = _watchdog_seconds(environ)
        self._pinged = 0.0

    def say(self, message: str) -> None:
        """Says something."""
        send(message, self._environ)

    def relay(self, fields: Mapping[str, str]) -> None:
        """More time that the daemon asks for, to start or to stop, is asked for its launcher too."""
        extension = fields.get("EXTEND_TIMEOUT_USEC", "")
        if extension.isascii() and extension.isdecimal():
            self.say(f"EXTEND_TIMEOUT_USEC={extension[:MOST_DIGITS]}")

    def seconds_to_ping(self, now: float) -> float | None:
        """In how long it is to hear of this process again; None where it has no watchdog for it."""
        return self._pinged + self._interval / 2 - now if self._interval else None

    def ping_if_due(self, now: float) -> None:
        """The service manager's own watchdog: this loop is alive."""
        left = self.seconds_to_ping(now)
        if left is not None and left <= 0.0:
            self._pinged = now
            self.say("WATCHDOG=1")


def _watchdog_seconds(environ: Mapping[str, str]) -> float:
    """As sd_watchdog_enabled(3) reads it: for this very process, or for whom it may concern."""
    interval, meant = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    is_meant = meant in ("", str(os.getpid()))
    is_number = interval.isascii() and interval.isdecimal() and len(interval) <= MOST_DIGITS
    return int(interval) / MICROSECONDS if is_number and is_meant else 0.0
