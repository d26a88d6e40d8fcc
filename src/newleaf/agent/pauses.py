"""Pauses between tries: each is twice as long as the one before it, up to the longest. Waits for nothing."""

from __future__ import annotations

from msgspec import Struct


class Pauses(Struct):
    """Of something that is tried until it comes off."""

    first_seconds: float
    longest_seconds: float
    _last_seconds: float = 0.0

    def next(self) -> float:
        """How many seconds to wait before the next try."""
        longer = max(2 * self._last_seconds, self.first_seconds)
        self._last_seconds = min(longer, self.longest_seconds)
        return self._last_seconds

    def end(self) -> None:
        """It came off: the next pause is a first one again."""
        self._last_seconds = 0.0
