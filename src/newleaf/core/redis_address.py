"""Where a Redis is and how one gets in, read from an address as redis-py writes it.

Rules: what is wrong with an address is said without any part of it, because each may be one of the password's
(threats.md T29): an @ after the first / ? or # means that one of these stands in it unescaped. Options that
nothing here obeys are refused, so that nobody believes in them. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from msgspec import Struct

PORT = 6379
PASSED_BY = frozenset({"decode_responses", "protocol", "health_check_interval", "max_connections"})
"""Options of redis-py that make no difference to the few words that are spoken here."""
TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
KNOWN = frozenset({"db", "username", "password", *TLS_FILES, "ssl_cert_reqs", "ssl_check_hostname"})
_NO = ("false", "no", "0", "none")


class RedisAddress(Struct, frozen=True):
    """One Redis. `path` is that of its unix socket; `files` are those of TLS."""

    host: str = "localhost"
    port: int = PORT
    path: str | None = None
    user: str | None = None
    password: str | None = None
    database: int = 0
    is_encrypted: bool = False
    files: Mapping[str, str] = {}
    is_verified: bool = True
    """Whether the certificate must be good."""
    is_name_checked: bool = True

    def __repr__(self) -> str:
        return f"RedisAddress({self.host!r}, {self.port!r}, {self.path!r})"


def parse_redis_url(url: str) -> RedisAddress:
    """The address.

    Raises: ValueError, which says nothing of what stands there.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(_UNREADABLE) from None
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("must begin with redis://, rediss:// or unix:///")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    is_socket = parts.scheme == "unix"
    if parts.fragment or (not is_socket and "@" in parts.path + parts.query):
        raise ValueError(_UNREADABLE)
    if set(options) - KNOWN - PASSED_BY:
        raise ValueError("has an option that newleaf does not know")
    user = unquote(parts.username) if parts.username else options.get("username")
    password = unquote(parts.password) if parts.password else options.get("password")
    return RedisAddress(
        host=unquote(parts.hostname or "localhost"),
        port=port or PORT,
        path=unquote(parts.path) if is_socket else None,
        user=user or None,
        password=password or None,
        database=_read_database(parts, options),
        is_encrypted=parts.scheme == "rediss",
        files={name: options[name] for name in TLS_FILES if options.get(name)},
        is_verified=options.get("ssl_cert_reqs", "").lower() not in _NO,
        is_name_checked=options.get("ssl_check_hostname", "").lower() not in _NO,
    )


_UNREADABLE = "cannot be read: / ? # @ and : in its password must be written %2F %3F %23 %40 and %3A"


def _read_database(parts: SplitResult, options: Mapping[str, str]) -> int:
    said = options.get("db") or ("" if parts.scheme == "unix" else parts.path.strip("/"))
    if said and not (said.isascii() and said.isdecimal()):
        raise ValueError("has a database that is not a number")
    return int(said or 0)
