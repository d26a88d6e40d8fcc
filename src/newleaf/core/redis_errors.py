"""How a Redis can fail to take a word, as data. Updates do not fail by it. See `core.errors`."""

from __future__ import annotations

from newleaf.core.errors import FailedError


class RedisSilent(FailedError):
    """the Redis at {url} {reason}"""

    code = "redis_silent"
    cure = "see that it runs, and that the address is right; updates go on without it"


class RedisRefuses(FailedError):
    """the Redis at {url} refuses: {reason}"""

    code = "redis_refuses"
    cure = "see to what it asks for: a password, memory, leave to write; updates go on without it"
