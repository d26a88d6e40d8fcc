"""A mission as an order keeps it: what was read, where, how often it was tried, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from newleaf.core.missions.envelope import Envelope, read_envelope
from newleaf.core.missions.results import MissionResult
from newleaf.core.orders import Order

DOOR = "mission"


class Kept(Struct, frozen=True):
    """`fields` are the entry's; `entry` names it; `tries` counts how often a handler has begun.

    `rule` is why the host has given up on it, if it has.
    """

    fields: Mapping[str, str]
    entry: str
    tries: int = 0
    result: MissionResult | None = None
    rule: str = ""

    @property
    def envelope(self) -> Envelope:
        """Raises: MalformedMission for what no newleaf kept."""
        return read_envelope(self.fields)

    def as_record(self) -> dict[str, Any]:
        result = self.result
        said = [result.status, result.error, result.result] if result else None
        known = {"entry": self.entry, "tries": self.tries, "rule": self.rule}
        return {**known, "fields": dict(self.fields), "result": said}


def key_of(envelope: Envelope) -> str:
    """What the mission's order is known by, whoever publishes it again."""
    return f"{DOOR}:{envelope.idempotency_key}"


def kept_of(order: Order) -> Kept:
    """What the order keeps of its mission."""
    said = order.mission or {}
    result = said.get("result")
    return Kept(
        said.get("fields") or {},
        str(said.get("entry") or ""),
        int(said.get("tries") or 0),
        MissionResult(*result) if result else None,
        str(said.get("rule") or ""),
    )
