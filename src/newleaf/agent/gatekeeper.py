"""The gates of a host: gathers their facts, has them judged, and keeps jobs from starting meanwhile.

Rules: what the gates say is decided in core/gates.py; the lease is asked for last, and given back when the
attempt has ended; once the tree may be touched no job starts until the restart, and what keeps them out is
no job itself. A job that began between the judgement and the first touch is waited for; when an attempt is
resumed after a kill, or goes back, the tree cannot be left as it is: jobs are kept out if none runs. A way
back that a person orders, and a repair, wait for running jobs only; a spent restart budget stops an
update before anything live is touched (lessons.md L34).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from newleaf.core.durations import Rate, format_duration
from newleaf.core.errors import NewleafError
from newleaf.core.gates import Facts, GateReport, Idle, Unknown, is_lease_due, judge, survey
from newleaf.core.job_errors import AppBusy, RestartBudgetSpent
from newleaf.core.records import AttemptRecord, Waiting, short_stamp
from newleaf.core.release import Release
from newleaf.core.requests import Request
from newleaf.core.settings.sections import Gates
from newleaf.core.states import State
from newleaf.core.verdict import spent
from newleaf.system import busy_lock
from newleaf.system.lease import LeaseClient
from newleaf.update.parts import UPDATE

Moment = datetime | Unknown


def _never_held_back(_: AttemptRecord) -> Mapping[str, datetime]:
    return {}


class GateFacts(Struct, frozen=True):
    """Where the facts come from.

    `ask_idle` is told whether this very process keeps the jobs out. `released_at` says when a release was
    published or committed, `last_update_at` when the last update was completed, None for never; `restarts`
    when the daemon was restarted, and `not_holding_since` since when each gate has held an attempt back.
    """

    computer: str
    ask_idle: Callable[[bool], Idle]
    released_at: Callable[[Release], Moment]
    last_update_at: Callable[[], Moment | None]
    now: Callable[[], datetime]
    restarts: Callable[[], list[datetime]] = list
    not_holding_since: Callable[[AttemptRecord], Mapping[str, datetime]] = _never_held_back


class Gatekeeper(Struct):
    """Implements `core.ports.Gates`. `on_problem` is told what could not be given back.

    `budget` is None where updates restart nothing.
    """

    state: Path
    gates: Gates
    facts: GateFacts
    lease: LeaseClient | None
    on_problem: Callable[[str], None]
    budget: Rate | None = None
    _quiet: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _is_quiet: bool = False
    _must_be_quiet: bool = False

    def judge(self, attempt: AttemptRecord, request: Request, before: str) -> tuple[Waiting, ...]:
        """The gates that do not hold now, before the install or before the restart.

        Raises: RestartBudgetSpent.
        """
        now, gates = self.facts.now(), self.gates
        if attempt.detail.get("kind", UPDATE) != UPDATE:
            gates = _idle_alone(gates)
        elif before == "install":
            self._require_budget()
        waiting_since = attempt.at(State.WAIT if before == "install" else State.RESTART)
        facts = self._gather(attempt.target, waiting_since, request)
        facts = replace(facts, not_holding_since=self.facts.not_holding_since(attempt))
        if self.lease and is_lease_due(gates, facts, now):
            facts = replace(facts, lease=self.lease.acquire())
        self._must_be_quiet = before == "install" and facts.idle == Idle(is_idle=True)
        return judge(gates, facts, now)

    def survey(self, target: Release, waiting_since: datetime | None) -> tuple[GateReport, ...]:
        """Every gate as it stands for this release, the lease left unasked; for `why`."""
        facts = self._gather(target, waiting_since, Request())
        until = self.budget_spent_until()
        if until:
            facts = replace(facts, restart=f"the restart budget is spent until {short_stamp(until)}")
        return survey(self.gates, facts, self.facts.now())

    def budget_spent_until(self) -> datetime | None:
        """Until when no further restart may happen; None while one may."""
        return spent(self.budget, self.facts.restarts(), self.facts.now()) if self.budget else None

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Keeps new jobs from starting.

        Raises: AppBusy when a job began after the gates were found to hold.
        """
        must, self._must_be_quiet = self._must_be_quiet, False
        with contextlib.ExitStack() as self._quiet:
            try:
                self._quiet.enter_context(busy_lock.quiet(self.state))
                self._is_quiet = True
            except AppBusy:
                if must:
                    self.release()
                    raise
            try:
                yield
            finally:
                self._is_quiet = False

    def let_jobs_go(self) -> None:
        """Ends the quiet before its time; without one it does nothing."""
        self._quiet.close()
        self._is_quiet = False

    def release(self) -> None:
        """Gives the lease back."""
        if self.lease is None:
            return
        try:
            self.lease.release()
        except NewleafError as error:
            self.on_problem(f"the lease could not be given back: {error.message}")

    def _require_budget(self) -> None:
        until = self.budget_spent_until()
        if self.budget and until:
            span = format_duration(self.budget.seconds)
            raise RestartBudgetSpent(count=self.budget.times, span=span, until=short_stamp(until))

    def _gather(self, target: Release, waiting_since: datetime | None, request: Request) -> Facts:
        return Facts(
            computer=self.facts.computer,
            version=target.version or target.commit,
            idle=self.facts.ask_idle(self._is_quiet),
            released_at=self.facts.released_at(target),
            last_update_at=self.facts.last_update_at(),
            waiting_since=waiting_since,
            now=request.now,
            force_busy=request.force_busy,
        )


def _idle_alone(gates: Gates) -> Gates:
    return replace(gates, window=(), min_age=0.0, cooldown=0.0, spread=0.0, lease_url=None)
