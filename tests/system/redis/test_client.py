"""A client of whichever server a url names."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio.sentinel import SentinelConnectionPool

from newleaf.system.redis.client import connect


def test_a_server_then_nothing_is_tried_again_and_nothing_waits_for_ever() -> None:
    async def work() -> None:
        client = connect("rediss://u:p@h:1/3")
        made: Any = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        assert (made.retry._retries, made.socket_timeout, made.protocol) == (0, 10.0, 2)
        assert (made.socket_connect_timeout, made.host, made.db) == (5.0, "h", 3)
        await client.aclose()

    asyncio.run(work())


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "redis://u:p%40%2F@[::1]/4",
            {"host": "::1", "port": 6379, "db": 4, "username": "u", "password": "p@/"},
        ),
        ("unix:///r.sock?db=2&password=s", {"path": "/r.sock", "db": 2, "username": None, "password": "s"}),
        (
            "redis://h?decode_responses=yes&protocol=3&max_connections=1",
            {"decode_responses": False, "protocol": 2},
        ),
        ("redis://h?ssl_cert_reqs=none", {"host": "h"}),
        ("rediss://h", {"ssl_cert_reqs": "required", "ssl_check_hostname": True}),
        ("rediss://h?ssl_cert_reqs=none&ssl_ca_certs=/ca", {"ssl_cert_reqs": "none", "ssl_ca_certs": "/ca"}),
    ],
)
def test_a_url_then_what_it_says_and_nothing_that_would_change_how_answers_look(
    url: str, said: dict[str, object]
) -> None:
    pool = connect(url).connection_pool
    found = {name: value for name, value in pool.connection_kwargs.items() if name in said}
    assert (found, pool.max_connections) == (said, 16)
    pool.make_connection()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    "url", ["redis://u:p@ss/w#rd@h/0", "redis://h/0?foo=bar", "redis://h/x", "redis://h:99999"]
)
def test_t29_a_url_that_cannot_be_read_then_that_is_said_and_no_part_of_it(url: str) -> None:
    """threats.md T29: what the library would take for a host may be a piece of the password."""
    with pytest.raises(ValueError, match=r"cannot be read|option|not a number") as raised:
        connect(url)
    assert "ss" not in str(raised.value).replace("password", "")


def test_sentinels_then_the_primary_is_asked_for_by_its_name() -> None:
    async def work() -> None:
        client = connect("rediss+sentinel://u:p@a:1,b:2/main/3?sentinel_password=s")
        pool = client.connection_pool
        assert isinstance(pool, SentinelConnectionPool)
        assert (pool.service_name, pool.connection_kwargs["db"]) == ("main", 3)
        assert (pool.connection_kwargs["username"], pool.connection_kwargs["password"]) == ("u", "p")
        asked = [s.connection_pool.connection_kwargs for s in pool.sentinel_manager.sentinels]
        assert [(each["host"], each["port"], each["password"]) for each in asked] == [
            ("a", 1, "s"),
            ("b", 2, "s"),
        ]
        await client.aclose()

    asyncio.run(work())
