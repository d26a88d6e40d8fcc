"""Who has signed a mission: HMAC-SHA256 over its fields, the app's streams, and a number that only grows.

Rules: the target and the times are among what is signed, so an order for one host, or for yesterday, is none
for another, or for today (threats.md T26, T27); a key may speak to many hosts at once only where the
receiver's own file says so; signatures are compared in a time that says nothing of where they differ.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from newleaf.core.missions.envelope import Envelope
from newleaf.core.missions.faults import Fault

MIN_SECRET_BYTES = 32
_SIGNATURE = r"(?P<key>[A-Za-z0-9][A-Za-z0-9_-]{0,63}):(?P<sequence>[0-9]{1,19}):(?P<mac>[0-9a-f]{64})"
_KEY = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_MAY = ("secret_file", "broadcast", "kinds")


class MissionKey(Struct, frozen=True):
    """A key, and what it may say. Without `kinds` it may order anything."""

    id: str
    secret: bytes
    broadcast: bool = False
    kinds: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"MissionKey({self.id!r})"


class KeyEntry(Struct, frozen=True):
    """A key as its file names it."""

    id: str
    secret_file: str
    broadcast: bool
    kinds: tuple[str, ...]


def read_keys(text: str) -> list[KeyEntry]:
    """The keys that a file of TOML names. Raises: ValueError, whose text completes "because"."""
    found = tomllib.loads(text)
    if not found:
        raise ValueError("it names no key")
    return [_read_key(name, said) for name, said in found.items()]


def _read_key(name: str, said: Any) -> KeyEntry:
    if not re.fullmatch(_KEY, name) or not isinstance(said, dict):
        raise ValueError(f"[{name[:40]}] is no table of a key; letters, digits, - and _ make its name")
    unknown = sorted(set(said) - set(_MAY))
    if unknown:
        raise ValueError(f"[{name}] has no {unknown[0][:40]}; it may have {', '.join(_MAY)}")
    file, broadcast, kinds = said.get("secret_file"), said.get("broadcast", False), said.get("kinds", [])
    if not isinstance(file, str) or not file:
        raise ValueError(f"[{name}] must name its secret_file")
    if not isinstance(broadcast, bool):
        raise ValueError(f"[{name}] broadcast must be true or false")
    if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
        raise ValueError(f"[{name}] kinds must be a list of texts")
    return KeyEntry(name, file, broadcast, tuple(kinds))


def sign(fields: Mapping[str, str], prefix: str, key: MissionKey, sequence: int) -> str:
    """The signature of an entry of the streams of `prefix`."""
    return f"{key.id}:{sequence}:{_mac(fields, prefix, key, sequence)}"


def sequence_of(envelope: Envelope) -> tuple[str, int] | None:
    """The key that a mission says it is signed by, and its number; None when it says nothing like it."""
    found = re.fullmatch(_SIGNATURE, envelope.signature)
    return (found["key"], int(found["sequence"])) if found else None


def find_fault(
    fields: Mapping[str, str], envelope: Envelope, prefix: str, keys: Mapping[str, MissionKey]
) -> Fault | None:
    """Why the mission's signature does not count, None when it does."""
    if not envelope.signature:
        return Fault("unsigned", "this host obeys signed missions only")
    found = re.fullmatch(_SIGNATURE, envelope.signature)
    if found is None:
        return Fault("bad_signature", "the signature is not written KEY:NUMBER:HMAC")
    key = keys.get(found["key"])
    if key is None:
        return Fault("unknown_key", "this host does not know the key that has signed it")
    if not hmac.compare_digest(_mac(fields, prefix, key, int(found["sequence"])), found["mac"]):
        return Fault("bad_signature", "the signature is not of this mission")
    if envelope.target.is_broadcast and not key.broadcast:
        return Fault("may_not_broadcast", f"the key {key.id} may order single hosts only, by their names")
    if key.kinds and envelope.mission_kind not in key.kinds:
        return Fault("kind_not_allowed", f"the key {key.id} may not order {envelope.mission_kind}")
    return None


def _mac(fields: Mapping[str, str], prefix: str, key: MissionKey, sequence: int) -> str:
    signed = {name: value for name, value in fields.items() if name != "signature"}
    text = json.dumps(["newleaf mission 1", prefix, key.id, sequence, signed], sort_keys=True)
    return hmac.new(key.secret, text.encode(), hashlib.sha256).hexdigest()
