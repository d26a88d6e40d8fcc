"""A client of Redis or Valkey, for whichever url the settings name; a library's habits put away.

Rules: it never tries again by itself, because who calls knows better what that would mean; nothing is waited
for without end; answers come as the server's own protocol has them, in its second version, which all servers
and all releases of the library share. Loaded only where a url is configured: redis-py is an extra.
"""

from __future__ import annotations

import contextlib
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from newleaf.core.missions.sentinels import Sentinels, read_sentinels
from newleaf.core.redis_address import RedisAddress, parse_redis_url

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
"""For an answer; what waits for news at the server waits for less."""
MAX_CONNECTIONS = 16


def connect(url: str) -> Redis:
    """A client, not connected yet. Raises: ValueError for what is no url of a server."""
    options: dict[str, Any] = {
        "socket_timeout": ANSWER_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "decode_responses": False,
        "max_connections": MAX_CONNECTIONS,
    }
    sentinels = read_sentinels(url)
    if sentinels:
        client = _behind(sentinels, options | {"socket_connect_timeout": CONNECT_SECONDS})
    else:
        client = _at(parse_redis_url(url), options)
    client.response_callbacks.clear()
    return client


def secrets_of(client: Redis) -> list[str | None]:
    """What it logs in with, which a server may repeat."""
    given = [each.connection_pool.connection_kwargs for each in _parts(client)]
    return [each.get(name) for each in given for name in ("password", "username")]


async def close(client: Redis) -> None:
    """Lets go of its connections, to the sentinels too."""
    for each in _parts(client):
        with contextlib.suppress(RedisError, OSError):
            await each.aclose(close_connection_pool=True)


def _parts(client: Redis) -> tuple[Redis, ...]:
    manager = getattr(client.connection_pool, "sentinel_manager", None)
    return (client, *(manager.sentinels if manager else ()))


def _at(address: RedisAddress, options: dict[str, Any]) -> Redis:
    # Of its own reading of a url the library would obey options that change what answers look like.
    options |= {"db": address.database, "username": address.user, "password": address.password}
    if address.path is not None:
        return Redis(unix_socket_path=address.path, **options)
    if address.is_encrypted:
        options |= {
            "ssl": True,
            "ssl_cert_reqs": "required" if address.is_verified else "none",
            "ssl_check_hostname": address.is_verified and address.is_name_checked,
            **address.files,
        }
    options |= {"host": address.host, "port": address.port, "socket_connect_timeout": CONNECT_SECONDS}
    return Redis(**options)


def _behind(sentinels: Sentinels, options: dict[str, Any]) -> Redis:
    own = {name: options[name] for name in ("socket_timeout", "socket_connect_timeout", "retry", "protocol")}
    own |= {"ssl": True} if sentinels.has_tls else {}
    if sentinels.sentinel_password:
        own["password"] = sentinels.sentinel_password
    watching = Sentinel(sentinels.addresses, sentinel_kwargs=own)  # type: ignore[no-untyped-call]
    options |= {"ssl": True} if sentinels.has_tls else {}
    client: Redis = watching.master_for(
        sentinels.service,
        db=sentinels.db,
        username=sentinels.username,
        password=sentinels.password,
        **options,
    )
    return client
