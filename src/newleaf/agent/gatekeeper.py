"""The gates of a host: gathers their facts, has them judged, and keeps jobs from starting meanwhile.

Rules: what the gates say is decided in core/gates.py; the lease is asked for last, and given back when the
attempt has ended; once the tree may be touched no job starts until the restart, and what keeps them out is
no job itself. A job that began between the judgement and the first touch is waited for; when an attempt is
resumed after a kill, or goes back, the tree cannot be left as it is: jobs are kept out if none runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from newleaf.core.errors import NewleafError
from newleaf.core.gates import Facts, GateReport, Idle, Unknown, is_lease_due, judge, survey
from newleaf.core.job_errors import AppBusy
from newleaf.core.records import AttemptRecord, Waiting
from newleaf.core.release import Release
from newleaf.core.requests import Request
from newleaf.core.sections import Gates
from newleaf.core.states import State
from newleaf.system import busy_lock
from newleaf.system.lease import LeaseClient

Moment = datetime | Unknown


@dataclass(frozen=True)
class GateFacts:
    """Where the facts come from.

    `ask_idle` is told whether this very process keeps the jobs out. `released_at` says when a release was
    published or committed, `last_update_at` when the last update was completed, None for never.
    """

    computer: str
    ask_idle: Callable[[bool], Idle]
    released_at: Callable[[Release], Moment]
    last_update_at: Callable[[], Moment | None]
    now: Callable[[], datetime]


@dataclass
class Gatekeeper:
    """Implements `core.ports.Gates`. `on_problem` is told what could not be given back."""

    state: Path
    gates: Gates
    facts: GateFacts
    lease: LeaseClient | None
    on_problem: Callable[[str], None]
    _is_quiet: bool = field(default=False, init=False)
    _must_be_quiet: bool = field(default=False, init=False)

    def judge(self, attempt: AttemptRecord, request: Request, before: str) -> tuple[Waiting, ...]:
        """The gates that do not hold now, before the install or before the restart."""
        now = self.facts.now()
        facts = self._gather(attempt.target, attempt.at(State.WAIT), request)
        if self.lease and is_lease_due(self.gates, facts, now):
            facts = replace(facts, lease=self.lease.acquire())
        self._must_be_quiet = before == "install" and facts.idle == Idle(is_idle=True)
        return judge(self.gates, facts, now)

    def survey(self, target: Release, waiting_since: datetime | None) -> tuple[GateReport, ...]:
        """Every gate as it stands for this release, the lease left unasked; for `why`."""
        facts = self._gather(target, waiting_since, Request())
        return survey(self.gates, facts, self.facts.now())

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Keeps new jobs from starting.

        Raises: AppBusy when a job began after the gates were found to hold.
        """
        must, self._must_be_quiet = self._must_be_quiet, False
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(busy_lock.quiet(self.state))
                self._is_quiet = True
            except AppBusy:
                if must:
                    self.release()
                    raise
            try:
                yield
            finally:
                self._is_quiet = False

    def release(self) -> None:
        """Gives the lease back."""
        if self.lease is None:
            return
        try:
            self.lease.release()
        except NewleafError as error:
            self.on_problem(f"the lease could not be given back: {error.message}")

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
