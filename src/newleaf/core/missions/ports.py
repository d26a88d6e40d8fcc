"""What missions need of a bus, as Protocols; `system.redis_bus` implements them.

Everything that speaks to the bus may raise `BusUnreachable`; `BusForgot` means that it is there, and has lost
what was arranged with it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from newleaf.core.missions.envelope import Envelope
    from newleaf.core.missions.results import MissionResult


class Entry(Struct, frozen=True):
    """One entry of a stream. `deliveries` is how often it was handed out; peeked at, it was not."""

    stream: str
    id: str
    fields: Mapping[bytes, bytes]
    deliveries: int = 1
    is_peeked: bool = False

    @property
    def name(self) -> str:
        return f"{self.stream}/{self.id}"

    @property
    def at(self) -> datetime | None:
        """When it was published, by the bus's clock; None where its id says no such time."""
        try:
            return datetime.fromtimestamp(int(self.id.partition("-")[0]) / 1000, UTC)
        except (ValueError, OverflowError, OSError):
            return None


class Inbox(Protocol):
    """The streams that a host reads, with what others of them do not have: its own place in each."""

    async def enroll(self, *, is_known: bool) -> None:
        """Makes what is missing of the host's places: at the end of everybody's stream the first time."""
        ...

    async def read(self, count: int, seconds: float) -> list[Entry]:
        """Entries that were not handed out before; waits for one, for so long at most."""
        ...

    async def retake(self, idle_seconds: float) -> list[Entry]:
        """Entries that were handed out, to this consumer or to one that is idle for so long, and kept."""
        ...

    async def acknowledge(self, entry: Entry) -> None:
        """The entry is taken care of."""
        ...


class Outbox(Protocol):
    """Where a host speaks."""

    async def report(self, fields: Mapping[str, str]) -> None:
        """Publishes a result."""
        ...

    async def bury(self, fields: Mapping[str, str]) -> None:
        """Adds a dead letter."""
        ...

    async def register(self, name: str, registration: str) -> None:
        """Makes a host known."""
        ...


class Announces(Protocol):
    """Where hosts tell each other of new releases."""

    async def announce(self, fields: Mapping[str, str]) -> None:
        """Says that a release is available, unless that was the last thing that was said."""
        ...

    async def announced(self, seconds: float) -> list[Mapping[bytes, bytes]]:
        """What was announced since the last call; nothing at the first. Waits, for so long at most."""
        ...

    async def close(self) -> None:
        """Lets go of the connections."""
        ...


class Lookout(Protocol):
    """What is looked at, and changed by nobody."""

    async def peek(self, count: int, seconds: float) -> list[Entry]:
        """Entries that were not handed out, from where the last peek ended; waits as `read` does."""
        ...

    def forget_peeks(self) -> None:
        """The next peek begins at the first entry that was not handed out."""
        ...

    async def registration(self, name: str) -> bytes | None:
        """The registration of a host, as it was written last."""
        ...


class Bus(Inbox, Outbox, Lookout, Protocol):
    """All of it, for one host."""

    async def close(self) -> None:
        """Lets go of the connections."""
        ...


class Handler(Protocol):
    """What an app does with missions of a kind."""

    @property
    def mission_kind(self) -> str:
        """The kind; those that begin with `system:` are newleaf's."""
        ...

    def handle(self, envelope: Envelope, context: Mapping[str, object]) -> Awaitable[MissionResult]:
        """Does it, and says what came of it. `context` is the payload's."""
        ...
