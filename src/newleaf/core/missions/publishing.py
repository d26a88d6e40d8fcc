"""How an order is made: the mission that a person, or a program, publishes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from newleaf.core.missions import kinds
from newleaf.core.missions.envelope import (
    DEFAULT_LIFE,
    DEFAULT_RETRIES,
    Envelope,
    read_envelope,
    read_fields,
    write_payload,
)
from newleaf.core.missions.signatures import MissionKey, sign
from newleaf.core.missions.targeting import EVERYBODY
from newleaf.core.records import stamp


class Wish(Struct, frozen=True, kw_only=True):
    """What is to be done, by whom, and for how long it may wait."""

    kind: str = kinds.UPDATE
    target: str = EVERYBODY
    task: Any = None
    context: Mapping[str, Any] = {}
    priority: int = 0
    timeout_seconds: float = 0.0
    max_retries: int = DEFAULT_RETRIES
    life: timedelta = DEFAULT_LIFE
    idempotency_key: str | None = None


class Order(Struct, frozen=True):
    """A mission ready to be published: itself, and the fields of its entry."""

    envelope: Envelope
    fields: Mapping[str, str]


def make_order(wish: Wish, job_id: str, now: datetime, prefix: str, key: MissionKey | None) -> Order:
    """The order that the wish comes to, signed where there is a key; read as its receivers will read it.

    Raises: MalformedMission; ValueError, TypeError where the context is no JSON.
    """
    fields = {
        "job_id": job_id,
        "idempotency_key": wish.idempotency_key or job_id,
        "mission_kind": wish.kind,
        "target": wish.target,
        "priority": str(wish.priority),
        "timeout_seconds": f"{wish.timeout_seconds:.6f}".rstrip("0").rstrip("."),
        "max_retries": str(wish.max_retries),
        "issued_at": stamp(now),
        "expires_at": stamp(now + wish.life),
        "payload": write_payload(wish.task, wish.context),
    }
    if key:
        # A time to the microsecond: it grows without being remembered, also after a restart.
        sequence = int(now.timestamp() * 1_000_000)
        fields["signature"] = sign(fields, prefix, key, sequence)
    encoded = {name.encode(): value.encode() for name, value in fields.items()}
    return Order(read_envelope(read_fields(encoded)), fields)


def wish_again(envelope: Envelope) -> Wish:
    """The same wish once more, for an order of its own."""
    return Wish(
        kind=envelope.mission_kind,
        target=envelope.target.text,
        task=envelope.task,
        context=envelope.context,
        priority=envelope.priority,
        timeout_seconds=envelope.timeout_seconds,
        max_retries=envelope.max_retries,
        life=envelope.expires_at - envelope.issued_at,
    )
