"""Whether to move at all: what the channel says, against what is live and what this host has decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from newleaf.core.release import Release


class Decision(Struct, frozen=True):
    """`move` to the target, or stay with an outcome word and its reason."""

    move: bool
    outcome: str = "updated"
    reason: str = ""


def decide(
    live: str,
    target: Release | None,
    reason: str,
    denied: Mapping[str, Mapping[str, Any]],
) -> Decision:
    """Move only to a target that differs from what is live and did not fail here before (L32, L42).

    `reason` is the channel's own word on why there is no target, when there is none.
    """
    if target is None:
        return Decision(False, "up_to_date", reason)
    if target.commit == live:
        return Decision(False, "up_to_date", f"{target.name} is what this host has")
    if target.commit in denied:
        entry = denied[target.commit]
        why = f"{target.name} is denied on this host since {entry.get('when')}: {entry.get('why')}"
        return Decision(False, "held", f"{why}; `newleaf allow {target.commit[:12]}` lifts it")
    return Decision(True)


def suspension(by_hand: Mapping[str, Any] | None, *, by_settings: bool) -> str | None:
    """Why this host does nothing now; None when it is not suspended."""
    if by_hand is not None:
        why = by_hand.get("why") or "no reason given"
        return f"suspended since {by_hand.get('at')}: {why}; `newleaf resume` ends it"
    return "deployment.suspended is set in the host's settings" if by_settings else None
