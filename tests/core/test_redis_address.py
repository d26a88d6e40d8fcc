"""Addresses as redis-py writes them, and those that cannot be used: said without repeating them."""

from __future__ import annotations

from typing import Any

import pytest

from newleaf.core.redis_address import RedisAddress, parse_redis_url

CANARY = "hunter2canary"


@pytest.mark.parametrize(
    ("url", "facts"),
    [
        ("redis://example.org", {"host": "example.org"}),
        ("redis://example.org:6380/3", {"host": "example.org", "port": 6380, "database": 3}),
        ("redis://[::1]:7000/", {"host": "::1", "port": 7000}),
        ("redis://:p%40ss%2Fword@r", {"host": "r", "password": "p@ss/word"}),
        ("redis://ada:pass@r?db=2", {"host": "r", "user": "ada", "password": "pass", "database": 2}),
        ("redis://r?username=ada&password=pass", {"host": "r", "user": "ada", "password": "pass"}),
        ("redis://:6380", {"port": 6380}),
        ("redis://r?protocol=3&decode_responses=True", {"host": "r"}),
        ("unix:///run/redis.sock?db=1", {"path": "/run/redis.sock", "database": 1}),
        ("unix://:pass@/run/redis.sock", {"path": "/run/redis.sock", "password": "pass"}),
        ("unix:///run/at@home/redis%20one.sock", {"path": "/run/at@home/redis one.sock"}),
        ("rediss://r", {"host": "r", "is_encrypted": True}),
        (
            "rediss://r?ssl_ca_certs=/ca.pem&ssl_cert_reqs=none&ssl_check_hostname=false",
            {
                "host": "r",
                "is_encrypted": True,
                "files": {"ssl_ca_certs": "/ca.pem"},
                "is_verified": False,
                "is_name_checked": False,
            },
        ),
    ],
)
def test_address_is_read(url: str, facts: dict[str, Any]) -> None:
    assert parse_redis_url(url) == RedisAddress(**facts)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{CANARY}/more@r",
        f"redis://:{CANARY}#more@r",
        f"redis://:{CANARY}?more@r",
        f"redis://:pa:{CANARY}:ss",
        f"redis://[{CANARY}@r",
        f"redis://r/{CANARY}",
        f"redis://r?db={CANARY}",
        f"redis://r?{CANARY}=1",
        f"redis://r/0#{CANARY}",
        f"unix:///run/redis.sock?socket_timeout={CANARY}",
    ],
)
def test_what_cannot_be_used_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"has|cannot be read") as refused:
        parse_redis_url(url)
    assert CANARY not in str(refused.value)


def test_t29_shown_then_without_its_secrets() -> None:
    """threats.md T29"""
    assert repr(parse_redis_url("redis://u:canary@h:1/0")) == "RedisAddress('h', 1, None)"
