"""The tokens of the operator's endpoint: whose each is, and which of them somebody holds.

Rules: an operator's token does everything, a factory's registers the one host that it is bound to, and does
nothing else (threats.md T32). Only hashes are kept: a token is 256 random bits, so its SHA-256 gives
nothing away and needs no salt. What is given is hashed, and compared as bytes with every hash there is, in a
time that says nothing of where they differ (T23).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

SECRET_BYTES = 32
MAX_BYTES = 4096
"""Of what is given: no token is as long as that."""
ID_LENGTH = 12
_DIGEST = r"[0-9a-f]{64}"


class Token(Struct, frozen=True):
    """What is kept of a token. `host` is the one that a factory's token is bound to; operators' have none."""

    digest: str
    created_at: str
    host: str | None = None
    note: str = ""

    @property
    def id(self) -> str:
        """What people call it by; says nothing of the token."""
        return self.digest[:ID_LENGTH]

    @property
    def is_operators(self) -> bool:
        return self.host is None

    def as_record(self) -> dict[str, Any]:
        """As its file has it."""
        return {
            "sha256": self.digest,
            "created_at": self.created_at,
            "factory": self.host,
            "note": self.note,
        }

    def shown(self) -> dict[str, Any]:
        """As a list for people and programs has it: without the hash."""
        role = "operator" if self.is_operators else "factory"
        return {"id": self.id, "role": role, **self.as_record()} | {"sha256": "****"}


def make_text(secret: str, host: str | None) -> str:
    """The token, out of random characters; its beginning says what it is, for who finds it somewhere."""
    return f"newleaf_{'ops' if host is None else 'factory'}_{secret}"


def digest_of(text: bytes) -> str:
    """What is kept instead of the token."""
    return hashlib.sha256(text).hexdigest()


def find_token(tokens: Iterable[Token], given: bytes) -> Token | None:
    """The token that was given, None when it is none of them; nothing given never is."""
    digest, found = digest_of(given).encode(), None
    for token in tokens:
        if hmac.compare_digest(token.digest.encode(), digest):
            found = token
    return found if given else None


def read_tokens(records: object) -> tuple[Token, ...]:
    """The tokens as their file has them. Raises: ValueError, whose text completes "because"."""
    if not isinstance(records, list):
        raise ValueError("it holds no list of tokens")
    return tuple(map(read_token, records))


def read_token(record: object) -> Token:
    """A token as its file has it. Raises: ValueError, whose text completes "because"."""
    if not isinstance(record, Mapping):
        raise ValueError("an entry of it is no table")
    digest, host = record.get("sha256"), record.get("factory")
    if not isinstance(digest, str) or not re.fullmatch(_DIGEST, digest):
        raise ValueError("an entry of it has no sha256")
    # Without the name that it is bound to, a factory's token would be an operator's.
    if "factory" not in record or not (host is None or (isinstance(host, str) and host)):
        raise ValueError(f"the entry {digest[:ID_LENGTH]} does not say whose it is")
    return Token(digest, str(record.get("created_at") or ""), host, str(record.get("note") or ""))
