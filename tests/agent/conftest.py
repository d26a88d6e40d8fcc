"""A real bus of either engine, and headquarters at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.headquarters import Centre
from tests.support.redis_server import ENGINES, RedisServer, serve_redis


@pytest.fixture(scope="module", params=ENGINES)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with serve_redis(request.param, appendonly="no") as made:
        yield made


@pytest.fixture
def centre(server: RedisServer) -> Centre:
    return Centre.with_hosts(server.url, "mini-1", "mini-2")
