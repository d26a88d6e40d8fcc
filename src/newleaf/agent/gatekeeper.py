"""The gates of one attempt: gathers what they are judged by, and keeps jobs away while the tree changes.

The decision is `core.gates`'s. A way back ordered by a person and a repair wait for running jobs
only; the restart budget stops an update before anything live is touched (lessons.md L34).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from newleaf.agent.idle import IdleSources, ask_idle
from newleaf.core.durations import format_duration, parse_rate
from newleaf.core.errors import NewleafError, RestartBudgetSpent
from newleaf.core.gates import Facts, GateReport, Lease, Unknown, is_lease_due, judge, survey
from newleaf.core.records import AttemptRecord, Waiting, moment, short_stamp
from newleaf.core.release import Release
from newleaf.core.requests import Request
from newleaf.core.sections import Gates
from newleaf.core.states import State
from newleaf.core.verdict import spent
from newleaf.system import busy_lock
from newleaf.system.lease import LeaseClient
from newleaf.update.history import History
from newleaf.update.parts import UPDATE


@dataclass
class Gatekeeper:
    """Implements `core.ports.Gates` for one host.

    `released_at` is when a release appeared; `published` the status record, which remembers since when a
    gate has not held; `restarts` whether updates restart the daemon at all.
    """

    computer: str
    gates: Gates
    budget: str
    restarts: bool
    sources: IdleSources
    lease: LeaseClient | None
    history: History
    released_at: Callable[[Release], datetime | Unknown]
    published: Callable[[], Mapping[str, object] | None]
    now: Callable[[], datetime]
    _is_quiet: bool = False
    _goes_on_busy: bool = False
    _has_lease: bool = False

    def judge(self, attempt: AttemptRecord, request: Request, before: str) -> tuple[Waiting, ...]:
        """The gates that do not hold; takes the lease when it is all that is missing.

        Raises: RestartBudgetSpent.
        """
        gates, now = self._gates_of(attempt), self.now()
        if before == "install" and attempt.detail.get("kind", UPDATE) == UPDATE:
            self._require_budget(now)
        facts = self._facts(attempt, request, before)
        if self.lease and is_lease_due(gates, facts, now):
            lease = self.lease.acquire()
            self._has_lease = lease.is_granted
            facts = replace(facts, lease=lease)
        reports = survey(gates, facts, now)
        self._goes_on_busy = any(report.gate == "idle" and report.is_overridden for report in reports)
        return judge(gates, facts, now)

    def survey(self, target: Release, attempt: AttemptRecord | None) -> tuple[GateReport, ...]:
        """Every gate as it stands for a target, for `why`; asks for no lease."""
        facts = self._facts_for(target, attempt, Request(), "install")
        return survey(self.gates, facts, self.now())

    def budget_spent_until(self) -> datetime | None:
        """Until when no further restart may happen; None when one may."""
        return spent(parse_rate(self.budget), self.history.restarts(), self.now()) if self.restarts else None

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Keeps jobs from starting. Raises: AppBusy."""
        if self._goes_on_busy:
            yield
            return
        with busy_lock.quiet(self.sources.state):
            self._is_quiet = True
            try:
                yield
            finally:
                self._is_quiet = False

    def release(self) -> None:
        """Gives the lease back; a server that cannot be told will see it expire."""
        if self.lease and self._has_lease:
            with contextlib.suppress(NewleafError):
                self.lease.release()
            self._has_lease = False

    def _gates_of(self, attempt: AttemptRecord) -> Gates:
        if attempt.detail.get("kind", UPDATE) == UPDATE:
            return self.gates
        return msgspec.structs.replace(
            self.gates, window=(), min_age=0.0, cooldown=0.0, spread=0.0, lease_url=None
        )

    def _require_budget(self, now: datetime) -> None:
        until = self.budget_spent_until()
        if until is not None:
            budget = parse_rate(self.budget)
            raise RestartBudgetSpent(
                count=budget.count, span=format_duration(budget.seconds), until=short_stamp(until)
            )

    def _facts(self, attempt: AttemptRecord, request: Request, before: str) -> Facts:
        return self._facts_for(attempt.target, attempt, request, before)

    def _facts_for(
        self, target: Release, attempt: AttemptRecord | None, request: Request, before: str
    ) -> Facts:
        waiting = None
        if attempt:
            waiting = attempt.at(State.RESTART if before == "restart" else State.WAIT)
        return Facts(
            computer=self.computer,
            version=target.version or target.commit,
            idle=ask_idle(self.sources, lock=not self._is_quiet),
            released_at=self.released_at(target),
            last_update_at=self.history.last_update_at(),
            lease=Lease(is_granted=True) if self._has_lease else None,
            waiting_since=waiting,
            not_holding_since=self._not_holding_since(attempt),
            now=request.now,
            force_busy=request.force_busy,
        )

    def _not_holding_since(self, attempt: AttemptRecord | None) -> dict[str, datetime]:
        """Since when each gate has not held, as the published status has it for this very attempt."""
        record = self.published() or {}
        waiting = record.get("waiting_for")
        if attempt is None or record.get("attempt") != attempt.id or not isinstance(waiting, list):
            return {}
        return {str(entry["gate"]): moment(str(entry["since"])) for entry in waiting}
