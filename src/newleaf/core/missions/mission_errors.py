"""How missions fail, as data. See `core.errors`."""

from __future__ import annotations

from newleaf.core.errors import FailedError, LockedError, RefusedError, UsageError


class BusUnconfigured(UsageError):
    """fleet.redis_url names no Redis or Valkey for missions"""

    code = "bus_unconfigured"
    cure = 'write redis_url = "redis://HOST:6379" below [fleet] in host.toml'


class RedisMissing(UsageError):
    """redis-py is not installed beside newleaf, and missions need it"""

    code = "redis_missing"
    cure = (
        "install newleaf with it: `uv tool install 'newleaf[redis]'`, in a daemon `uv add 'newleaf[redis]'`"
    )


class BusUnreachable(FailedError):
    """the bus {url} cannot be used: {reason}"""

    code = "bus_unreachable"
    cure = "look at fleet.redis_url and at the server; whoever listens goes on by itself when it is back"


class BusForgot(BusUnreachable):
    """the bus {url} was emptied: {reason}"""

    code = "bus_forgot"
    cure = "there is nothing to do: hosts enroll again by themselves"


class NotHeadquarters(RefusedError):
    """this host may not publish missions: fleet.headquarters is not set"""

    code = "not_headquarters"
    cure = "publish from headquarters, or write headquarters = true below [fleet] in host.toml"


class MissionKeysUnusable(UsageError):
    """the mission keys in {path} cannot be used: {reason}"""

    code = "mission_keys_unusable"
    cure = "mend the file that fleet.mission_keys names; until then no mission is taken, and none is lost"


class MalformedMission(RefusedError):
    """this is no mission ({rule}): {reason}"""

    code = "malformed_mission"


class MissionsTaken(LockedError):
    """another process with the state directory {state} takes the missions: {owner}"""

    code = "missions_taken"
    cure = "there is nothing to do: this one takes over when that has ended"


class NoDeadLetter(UsageError):
    """there is no dead letter {entry}"""

    code = "no_dead_letter"
    cure = "`newleaf mission dead` lists them"
