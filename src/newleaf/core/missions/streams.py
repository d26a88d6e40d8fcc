"""The names of the streams of one app, and how long they may grow."""

from __future__ import annotations

from msgspec import Struct

from newleaf.core.missions.targeting import Target

ALL, OWN = "all", "host"
"""The two streams that a host reads: everybody's, and its own."""

MAX_ENTRIES = 10_000
"""About so many a stream keeps; trimmed whenever something is added."""


class Streams(Struct, frozen=True):
    """Of `fleet.stream_prefix`."""

    prefix: str

    @property
    def all(self) -> str:
        return f"{self.prefix}:all"

    @property
    def results(self) -> str:
        return f"{self.prefix}:results"

    @property
    def dead(self) -> str:
        return f"{self.prefix}:dead"

    @property
    def available(self) -> str:
        return f"{self.prefix}:available"

    @property
    def registrations(self) -> str:
        """No stream: a hash, host name to registration."""
        return f"{self.prefix}:registrations"

    @property
    def orders(self) -> str:
        """No stream: a hash, target to the last update that headquarters has ordered for it."""
        return f"{self.prefix}:orders"

    def host(self, name: str) -> str:
        return f"{self.prefix}:host:{name}"

    def towards(self, target: Target) -> str:
        """Where an order for the target is published."""
        return self.host(target.host) if target.host else self.all
