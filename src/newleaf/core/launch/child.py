"""One process of the daemon, as the launcher knows it: plain data that outlives a launcher's own restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from newleaf.core.launch.plan import OVERLAP, Plan

INCOMING = "incoming"
"""Started beside the one that serves, and not yet let in."""
SERVING = "serving"
LEAVING = "leaving"
"""Asked to end."""


class Child:
    """A process that was started; times are in seconds of the steady clock.

    `is_gated` until it is told to accept; `waits` once it has said that it waits for that. `reason` is why
    it has to leave, empty where it did nothing wrong; `takes` once it has taken a question on its own socket.
    """

    ready_at: float | None = None
    said_ready: bool = False
    proven_at: float | None = None
    pinged_at: float | None = None
    leaves_by: float | None = None
    waits: bool = False
    was_killed: bool = False
    reason: str = ""
    fault: str = ""
    passed: int = 0
    failed: int = 0
    ask_at: float = 0.0
    is_asked: bool = False
    takes: bool = False

    def __init__(self, number: int, plan: Plan, role: str, now: float) -> None:
        self.number = number
        self.plan = plan
        self.role = role
        self.began = now
        self.ready_by = now + plan.health.ready
        self.is_gated = role == INCOMING
        self.has_health = role == INCOMING and plan.handover == OVERLAP

    @property
    def commit(self) -> str:
        return self.plan.release.commit

    def let_in(self, now: float) -> None:
        """It was told to accept: from now on it has the time of a start to be ready."""
        self.is_gated = False
        self.began = now
        self.ready_by = now + self.plan.health.ready

    def as_record(self) -> dict[str, Any]:
        return {**vars(self), "plan": self.plan.as_record()}

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Child:
        child = cls.__new__(cls)
        child.__dict__.update(record, plan=Plan.read(record["plan"]))
        return child
