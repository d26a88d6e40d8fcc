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

_FAILURES = {"update_failed": "failed", "stale": "failed", "inconsistent": "inconsistent"}
"""Status words of a failure, and the outcome that each stands for."""


def failure_without_attempt(published: Mapping[str, Any] | None) -> Entry | None:
    """The failure that is published and is no attempt's (of an update that could not begin one, of a start).

    It has no line in the history; nothing was published after it, so that it is the newest.
    """
    record = published or {}
    word = str(record.get("status"))
    if word not in _FAILURES or record.get("attempt") or not record.get("error"):
        return None
    error = {"code": word, "message": record["error"]}
    return Entry({"outcome": _FAILURES[word], "at": record["timestamp"], "to": None, "errors": [error]})


class Reasons(Struct, frozen=True):
    """What may hold an update back on this host.

    `restart_owed` is what the restart of an open attempt was last found to wait for.
    """

    attempt: AttemptRecord | None
    surveyed: tuple[GateReport, ...]
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
    def gates(self) -> tuple[GateReport, ...]:
        """Every gate as it stands; the one that a restart waits at is not said to hold."""
        if not (self.restart_owed and self.attempt and self.attempt.is_open):
            return self.surveyed
        owed = GateReport("restart", False, self.restart_owed)
        return tuple(owed if each.gate == "restart" and each.holds else each for each in self.surveyed)

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
        if self.last_failure:
            return _ended(self.last_failure)
        if held:
            gates = _listed(report.gate for report in held)
            return f"nothing is owed; an update would wait for {gates} now"
        if self.denied:
            commits = _listed(commit[:9] for commit in self.denied)
            return f"nothing is owed; denied on this host: {commits}"
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


def _ended(failure: Entry) -> str:
    if failure.target:
        return f"the last attempt, to {failure.target.name}, ended {failure.outcome}"
    errors = failure.line.get("errors") or [{}]
    return f"the last failure was of no attempt: {errors[0].get('message', failure.outcome)}"


def _listed(gates: Iterable[str]) -> str:
    return " and ".join(gates)
