"""The status in a Redis, put together: for one attempt, for a daemon that reports itself, for an agent."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from pathlib import Path

from newleaf.agent.status import StatusFile
from newleaf.agent.status_mirror import Manner, StatusMirror
from newleaf.core.redis_address import parse_redis_url
from newleaf.core.redis_errors import RedisSilent
from newleaf.core.secrets import mask_text
from newleaf.core.settings.sections import Status
from newleaf.system.redis.line import RedisLine

Say = Callable[[str], None]


def attempt_mirror(state: Path, settings: Status, say: Say) -> StatusMirror | None:
    """For a program that makes one attempt and ends: it waits for the last word, half a second at most."""
    made = _mirror(state, settings, Manner.ATTEMPT, say)
    if made:
        atexit.register(made.finish)
    return made


def daemon_mirror(state: Path, settings: Status, say: Say) -> StatusMirror | None:
    """For a daemon that has reported itself: until its word has arrived."""
    return _mirror(state, settings, Manner.DAEMON, say)


class Following:
    """The mirror of an agent, made anew when the settings want another one."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._wanted: object = None
        self._mirror: StatusMirror | None = None

    def follow(self, state: Path, settings: Status) -> StatusMirror | None:
        """From now on the status goes where the settings say, whoever publishes it."""
        if settings != self._wanted:
            self.stop()
            self._mirror = _mirror(state, settings, Manner.AGENT, self._say)
            self._wanted = settings
            if self._mirror:
                self._mirror.begin()
        return self._mirror

    def stop(self, seconds: float = 0.0) -> None:
        """Ends it; a word on its way is waited for, so long at most."""
        if self._mirror:
            self._mirror.finish(seconds)
            self._mirror.stop()


def redis_line(url: str) -> RedisLine:
    """How to reach a Redis.

    Raises: RedisSilent, where its address cannot be used.
    """
    shown = mask_text(url)
    try:
        address = parse_redis_url(url)
    except ValueError as error:
        raise RedisSilent(url=shown, reason=str(error)) from None
    if not address.is_encrypted:
        return RedisLine(address, shown)
    from newleaf.system.redis.tls import encrypted

    return RedisLine(address, shown, lambda connection: encrypted(connection, address))


def _mirror(state: Path, settings: Status, manner: Manner, say: Say) -> StatusMirror | None:
    if settings.redis_url is None:
        return None
    try:
        line = redis_line(settings.redis_url)
    except RedisSilent as error:
        say(f"the status does not arrive: {error.message}")
        return None
    # A status file of its own: an agent's mirror outlives the host that was made of the settings.
    file = StatusFile(state, lambda: None)
    return StatusMirror(lambda text: line.set(settings.redis_key, text), file, manner, say)
