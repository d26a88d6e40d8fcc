"""A host's place on the bus, put together: for who takes missions, and for who publishes them.

redis-py is an extra: it is loaded here, when a url is configured and somebody wants the bus.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from newleaf.agent.jobs import Busy
from newleaf.agent.missions.door import MissionDoor
from newleaf.compose.host import Host, now
from newleaf.core.missions.judging import Receiver
from newleaf.core.missions.mission_errors import (
    BusUnconfigured,
    MissionKeysUnusable,
    NotHeadquarters,
    RedisMissing,
)
from newleaf.core.missions.publishing import Order, Wish, make_order
from newleaf.core.missions.signatures import MissionKey
from newleaf.core.missions.streams import Streams
from newleaf.core.secrets import mask_text
from newleaf.system.mission_keys import load_keys

if TYPE_CHECKING:
    from newleaf.core.missions.ports import Bus
    from newleaf.system.redis.bus import RedisRoom

__all__ = ["bus_url", "mission_door", "order", "require_headquarters", "room", "streams"]


def mission_door(found: Host) -> MissionDoor:
    """What the settings say of taking missions.

    Raises: BusUnconfigured, RedisMissing, UsageError and its kin.
    """
    settings, url = found.settings, bus_url(found)
    name, prefix = settings.app.computer_name, streams(found).prefix
    receiver = Receiver(name, prefix, settings.fleet.labels, settings.source.branch)

    def connect(consumer: str) -> Bus:
        from newleaf.system.redis.bus import RedisBus

        return RedisBus(url, Streams(prefix), name, consumer)

    # Loaded now, like all that is used later: after a checkout in place it would be another release's (L25).
    status, _ = found.status_file, found.mirror
    return MissionDoor(
        receiver,
        connect,
        job=lambda name: Busy(found.state, name),
        bus_name=hashlib.sha256(f"{mask_text(url)} {prefix}".encode()).hexdigest()[:16],
        keys=_keys(found),
        app=settings.app.name,
        capabilities=settings.fleet.capabilities,
        say_restarting=status.say_restarting,
    )


def room(found: Host) -> RedisRoom:
    """The streams, for who publishes and looks.

    Raises: BusUnconfigured, RedisMissing, BusUnreachable, UsageError and its kin.
    """
    url = bus_url(found)
    from newleaf.system.redis.bus import RedisRoom

    return RedisRoom(url, streams(found))


def bus_url(found: Host) -> str:
    """The address of the bus, where redis-py is there to use it. Raises: BusUnconfigured, RedisMissing."""
    url = _url(found)
    _require_redis()
    return url


def streams(found: Host) -> Streams:
    """The names of the app's streams."""
    return Streams(found.settings.fleet.stream_prefix.replace("{app}", found.name))


def require_headquarters(found: Host) -> None:
    """Refuses to publish where the settings do not say that this is headquarters. Raises: NotHeadquarters."""
    if not found.settings.fleet.headquarters:
        raise NotHeadquarters


def order(found: Host, wish: Wish, key: str | None = None) -> Order:
    """An order as this host gives it, signed by the key of a name, or by its first one, where it has keys.

    Raises: MissionKeysUnusable, MalformedMission.
    """
    return make_order(wish, uuid.uuid4().hex, now(), streams(found).prefix, _signing_key(found, key))


def _signing_key(found: Host, name: str | None) -> MissionKey | None:
    keys = _keys(found)()
    if keys is None and name is None:
        return None
    path = found.settings.fleet.mission_keys or "fleet.mission_keys"
    if keys is None or (name is not None and name not in keys):
        raise MissionKeysUnusable(path=path, reason=f"there is no key {name}")
    return keys[name] if name else next(iter(keys.values()))


def _keys(found: Host) -> Callable[[], Mapping[str, MissionKey] | None]:
    named = found.settings.fleet.mission_keys
    if not named:
        return lambda: None
    path = Path(named).expanduser()
    return lambda: load_keys(path)


def _url(found: Host) -> str:
    url = found.settings.fleet.redis_url
    if not url:
        raise BusUnconfigured
    return url


def _require_redis() -> None:
    try:
        import redis.asyncio  # noqa: F401
    except ImportError as error:
        raise RedisMissing from error
