"""The answer to "why is it not updating?": all that stands in the way, in one record (lessons.md L6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from newleaf.core.gates import GateReport
from newleaf.core.records import AttemptRecord, short_stamp
from newleaf.core.states import State
from newleaf.system.planned_restart import PlannedRestart
from newleaf.update.history import Entry


class Reasons(Struct, frozen=True):
    """What may hold an update back on this host."""

    attempt: AttemptRecord | None
    gates: tuple[GateReport, ...]
    since: Mapping[str, datetime]
    suspended: str | None
    pin: str | None
    locked_by: str | None
    denied: Mapping[str, Mapping[str, Any]]
    last_failure: Entry | None
    restart_owed: str | None = None
    planned_restart: PlannedRestart | None = None

    def as_record(self) -> dict[str, Any]:
        """The record of `why --json`."""
        return {
            "outcome": "ok",
            "summary": self.summary,
            "attempt": self._attempt(),
            "gates": [self._gate(report) for report in self.gates],
            "suspended": self.suspended,
            "pin": self.pin,
            "locked_by": self.locked_by,
            "denied": {commit: dict(entry) for commit, entry in self.denied.items()},
            "last_failure": dict(self.last_failure.line) if self.last_failure else None,
            "planned_restart": self.planned_restart.as_record() if self.planned_restart else None,
        }

    @property
    def summary(self) -> str:
        """The first thing that stands in the way, in a sentence."""
        held = [report for report in self.gates if not report.holds]
        if self.locked_by:
            return f"an update runs now: {self.locked_by}"
        if self.suspended:
            return self.suspended
        if self.attempt and self.attempt.is_open:
            return self._owed(self.attempt, held)
        if self.last_failure and self.last_failure.target:
            name, outcome = self.last_failure.target.name, self.last_failure.outcome
            return f"the last attempt, to {name}, ended {outcome}"
        if held:
            gates = _listed(report.gate for report in held)
            return f"nothing is owed; an update would wait for {gates} now"
        return "nothing is owed, and nothing stands in the way of an update"

    def _owed(self, attempt: AttemptRecord, held: list[GateReport]) -> str:
        name = attempt.target.name
        if attempt.state in (State.RESTART, State.CONFIRM):
            return f"{name} is installed; the restart is owed: {self.restart_owed or 'it has not been done'}"
        if held:
            return f"{name} is owed; it waits for {_listed(report.gate for report in held)}"
        return f"{name} is owed; the next `newleaf update` goes on with it"

    def _attempt(self) -> dict[str, Any] | None:
        if self.attempt is None or not self.attempt.is_open:
            return None
        return {
            "id": self.attempt.id,
            "state": self.attempt.state.value,
            "from": self.attempt.start.as_record(),
            "to": self.attempt.target.as_record(),
        }

    def _gate(self, report: GateReport) -> dict[str, Any]:
        since = self.since.get(report.gate)
        return {
            "gate": report.gate,
            "holds": report.holds,
            "reason": report.reason,
            "since": short_stamp(since) if since and not report.holds else None,
        }


def _listed(gates: Iterable[str]) -> str:
    return " and ".join(gates)
