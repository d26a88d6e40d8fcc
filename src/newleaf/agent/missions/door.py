"""What the settings of a host say of missions, and how a restart is noticed while it takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from newleaf.core.missions.judging import Receiver
    from newleaf.core.missions.ports import Bus
    from newleaf.core.missions.signatures import MissionKey


class Wants(Protocol):
    """Who restarts the daemon from inside: `newleaf.Updater`."""

    @property
    def restart_wanted(self) -> bool:
        """Whether no further job should begin now."""
        ...


class MissionDoor(Struct, frozen=True):
    """What the settings say of missions.

    `keys` reads the keys as they are now, None where there need be none; `connect` makes the bus, for a
    consumer of a name, and `bus_name` tells it from others; `job` is one that a restart waits for;
    `handler_seconds` is the host's own limit; `say_restarting` publishes that the daemon leaves.
    """

    receiver: Receiver
    connect: Callable[[str], Bus]
    job: Callable[[str], AbstractAsyncContextManager[None]]
    bus_name: str = ""
    keys: Callable[[], Mapping[str, MissionKey] | None] = lambda: None
    app: str = ""
    capabilities: tuple[str, ...] = ()
    handler_seconds: float = 3600.0
    say_restarting: Callable[[datetime], None] = lambda _: None
