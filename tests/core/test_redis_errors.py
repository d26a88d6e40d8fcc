"""The failures of a Redis say which, why, and that updates go on."""

from __future__ import annotations

import pytest

from newleaf.core.errors import FailedError
from newleaf.core.redis_errors import RedisRefuses, RedisSilent


@pytest.mark.parametrize("kind", [RedisSilent, RedisRefuses])
def test_error_says_which_redis_and_that_updates_go_on(kind: type[FailedError]) -> None:
    error = kind(url="redis://r", reason="it rains")
    assert "redis://r" in error.message
    assert "it rains" in error.message
    assert "updates go on" in error.advice
