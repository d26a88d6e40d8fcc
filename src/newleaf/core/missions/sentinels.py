"""A bus behind Redis Sentinel, as a url names it.

`redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/SERVICE/DB`: the sentinels, the name that they watch the
servers by, and the database; `rediss+sentinel://` where sentinels and servers speak TLS. User and password
are the servers'; sentinels with a password of their own get it by `?sentinel_password=`. Options that nothing
here obeys are refused, so that nobody believes in them.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote

from msgspec import Struct

DEFAULT_PORT = 26379
_URL = (
    r"(?P<scheme>rediss?)\+sentinel://(?:(?P<user>[^\s/?#@]*)@)?(?P<hosts>[^\s/?#@]+)"
    r"/(?P<service>[A-Za-z0-9._-]+)(?:/(?P<db>[0-9]{1,4}))?(?:\?(?P<query>[^\s#]*))?"
)
_HOST = r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"


class Sentinels(Struct, frozen=True):
    """Who knows which server is the primary one."""

    addresses: tuple[tuple[str, int], ...]
    service: str
    db: int = 0
    username: str | None = None
    password: str | None = None
    sentinel_password: str | None = None
    has_tls: bool = False

    def __repr__(self) -> str:
        return f"Sentinels({self.addresses!r}, {self.service!r})"


def read_sentinels(url: str) -> Sentinels | None:
    """What a url of sentinels says; None for another url. Raises: ValueError."""
    if "+sentinel://" not in url:
        return None
    found = re.fullmatch(_URL, url)
    addresses = [re.fullmatch(_HOST, part) for part in found["hosts"].split(",")] if found else []
    if found is None or not all(addresses):
        raise ValueError("must be like redis+sentinel://HOST:26379,HOST:26379/SERVICE/0")
    user, _, password = (found["user"] or "").partition(":")
    query = parse_qs(found["query"] or "")
    if set(query) - {"sentinel_password"}:
        raise ValueError("has an option that newleaf does not know")
    return Sentinels(
        tuple((part["name"].strip("[]"), int(part["port"] or DEFAULT_PORT)) for part in addresses if part),
        found["service"],
        int(found["db"] or 0),
        unquote(user) or None,
        unquote(password) or None,
        query.get("sentinel_password", [None])[0],
        has_tls=found["scheme"] == "rediss",
    )
