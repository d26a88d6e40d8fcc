"""One attempt, walked forward from wherever its journal says it is.

The route is data; each step enters its state in the journal before it acts, and may be made again
after a kill. What fails is sorted here: before the live tree was touched nothing has to be undone, after
that the reversal goes back, and a restart stays owed until it is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from newleaf.core.errors import InconsistentError, NewleafError, RefusedError
from newleaf.core.ports import Data, Environment, Gates, Layout, Pending, Reporter, Restarts, Source
from newleaf.core.records import AttemptRecord, Result, Status, StepReport, Waiting, stamp
from newleaf.core.release import Release
from newleaf.core.requests import Request
from newleaf.core.states import State
from newleaf.update.decisions import Decisions
from newleaf.update.history import History
from newleaf.update.journal import Journal

ROLLBACK = "rollback"
"""The kind of an attempt that goes back by a person's order; its data step restores instead of migrating."""


REPAIR = "repair"
"""The kind of an attempt that stays at its commit and mends what is installed; it restarts nothing."""


@dataclass(frozen=True)
class TargetParts:
    """What the target's own copy of the app's settings governs."""

    environment: Environment
    data: Data
    steps: tuple[str, ...]


@dataclass(frozen=True)
class Identity:
    """What every status says of this host."""

    app: str
    computer: str
    channel: str


@dataclass(frozen=True)
class Parts:
    """Everything an attempt works with; put together by `compose`."""

    identity: Identity
    journal: Journal
    history: History
    decisions: Decisions
    source: Source
    layout: Layout
    parts_for: Callable[[Release, AttemptRecord], TargetParts]
    restarts: Restarts
    gates: Gates
    reporter: Reporter
    clear_signal: Callable[[], None]
    now: Callable[[], datetime]


@dataclass
class Attempt:
    """Walks the open attempt of the journal to an outcome."""

    parts: Parts
    request: Request
    steps: list[StepReport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def walk(self, fresh: bool = False) -> Result:
        """Goes on from the journal's last record; `fresh` when that record was written just now.

        Every failure ends in a Result; only defects raise.
        """
        if self.record.state is State.REVERT:
            return self._revert_again()
        try:
            return self._forward(fresh)
        except NewleafError as error:
            return self._ended_by(error)

    @property
    def record(self) -> AttemptRecord:
        """The attempt as the journal has it now."""
        last = self.parts.journal.last
        assert last is not None
        return last

    @property
    def kind(self) -> str:
        return str(self.record.detail.get("kind", "update"))

    @property
    def is_rollback(self) -> bool:
        return self.kind == ROLLBACK

    # --- forward ------------------------------------------------------------------------

    def _forward(self, fresh: bool) -> Result:
        if self.record.state is State.CONFIRM:
            return self._confirm(None)
        route = self._route()
        for state in route[: route.index(State.WAIT)]:
            self._make(state, fresh)
            fresh = False
        waiting = self._beside_gates()
        if waiting:
            return self._owed(waiting)
        with self._quiet():
            for state in route[route.index(State.WAIT) + 1 : route.index(State.RESTART)]:
                self._make(state, fresh)
            if self.kind == REPAIR:
                return self._repaired()
            if self.record.state is not State.RESTART:
                self.parts.journal.append(State.RESTART)
            return self._restart()

    def _repaired(self) -> Result:
        self.parts.journal.append(State.DONE)
        result = self._result("up_to_date")
        self._remember(result, restarted=False)
        return result

    def _route(self) -> list[State]:
        """What is still to be done, in order. WAIT marks where the gates stand."""
        steps = {"install": State.INSTALL, "migrate": State.MIGRATE}
        ordered = [steps[name] for name in self._target.steps]
        route = [State.FETCH, State.VERIFY, State.STAGE, State.WAIT, State.SNAPSHOT, *ordered]
        route += [State.ACTIVATE, State.RESTART]
        left = route[route.index(self.record.state) :]
        return left if State.WAIT in left else [State.WAIT, *left]

    def _make(self, state: State, fresh: bool) -> None:
        """Enters a state and does its step. A state in which the attempt was killed is entered again."""
        if state is State.SNAPSHOT and not self._wants_snapshot:
            return
        if state is State.MIGRATE and not self.is_rollback and not self._pending.names:
            self.steps.append(StepReport("migrate", skipped=True, detail="nothing to migrate"))
            return
        if not fresh:
            again = {"resumed": True} if self.record.state is state else {}
            self.parts.journal.append(state, **again)
        began = time.monotonic()
        skipped, detail = self._step(state)()
        if state not in (State.STAGE, State.SNAPSHOT):
            self.steps.append(StepReport(state.value, time.monotonic() - began, skipped, detail))
        elif detail:
            self.notes.append(detail)

    def _step(self, state: State) -> Callable[[], tuple[bool, str]]:
        return {
            State.FETCH: self._fetch,
            State.VERIFY: self._verify,
            State.STAGE: self._stage,
            State.SNAPSHOT: self._snapshot,
            State.INSTALL: self._install,
            State.MIGRATE: self._restore_or_migrate,
            State.ACTIVATE: self._activate,
        }[state]

    def _fetch(self) -> tuple[bool, str]:
        self._publish("updating")
        self.parts.source.fetch(self.record.target)
        return False, self.record.target.name

    def _verify(self) -> tuple[bool, str]:
        self.parts.source.verify(self.record.start, self.record.target, self._sideways)
        return False, ""

    def _stage(self) -> tuple[bool, str]:
        self.parts.layout.stage(self.record.target)
        return False, ""

    def _snapshot(self) -> tuple[bool, str]:
        return False, self._target.data.snapshot()

    def _install(self) -> tuple[bool, str]:
        self._place()
        reason = self._target.environment.owed()
        if reason is None:
            return True, "dependencies unchanged"
        self._publish("installing")
        self._target.environment.install(self.parts.reporter.line)
        return False, reason

    def _restore_or_migrate(self) -> tuple[bool, str]:
        self._place()
        if self.is_rollback:
            restore = self.record.detail.get("data")
            return not restore, self._target.data.restore() if restore else "data left as it is"
        self._publish("migrating")
        return False, ", ".join(self._target.data.migrate(self.parts.reporter.line))

    def _activate(self) -> tuple[bool, str]:
        self._place()
        self.notes += self.parts.layout.activate(self.record.target)
        return False, ""

    def _place(self) -> None:
        self.parts.layout.place(self.record.target, self._sideways)

    # --- gates and restart --------------------------------------------------------------

    def _beside_gates(self) -> tuple[Waiting, ...]:
        if self.record.state not in (State.FETCH, State.VERIFY, State.STAGE, State.WAIT):
            return ()
        waiting = self.parts.gates.judge(self.record, self.request, "install")
        offline = self._offline_waiting()
        return (*waiting, *offline)

    def _offline_waiting(self) -> tuple[Waiting, ...]:
        if not self.parts.restarts.daemon_runs():
            return ()
        names = ", ".join(self._pending.offline)
        if not names:
            return ()
        reason = f"{names} must run while the daemon is stopped; stop it and run `newleaf update` again"
        return (Waiting("restart", reason, self.parts.now()),)

    def _owed(self, waiting: tuple[Waiting, ...]) -> Result:
        if self.record.state is State.STAGE:
            self.parts.journal.append(State.WAIT)
        return self._waiting(waiting)

    def _waiting(self, waiting: tuple[Waiting, ...]) -> Result:
        self._publish("waiting", waiting_for=waiting)
        return self._result("waiting", waiting_for=waiting)

    def _quiet(self) -> AbstractContextManager[None]:
        return nullcontext() if self.request.force_busy else self.parts.gates.quiet()

    def _restart(self) -> Result:
        """Performs the restart that is owed, once the gates allow it, and ends the attempt."""
        waiting = self.parts.gates.judge(self.record, self.request, "restart")
        if waiting:
            return self._waiting(waiting)
        self._publish("restarting")
        began = time.monotonic()
        owed = self.parts.restarts.restart(self.record)
        if owed and not self.request.wait_seconds:
            return self._waiting(
                (Waiting("restart", owed, self.record.at(State.RESTART) or self.parts.now()),)
            )
        self.steps.append(StepReport("restart", time.monotonic() - began))
        return self._confirm(owed)

    def _confirm(self, owed: str | None) -> Result:
        if not self.request.wait_seconds:
            return self.done(confirmed=None)
        if self.record.state is not State.CONFIRM:
            self.parts.journal.append(State.CONFIRM)
        began = time.monotonic()
        if self.parts.restarts.await_report(self.record, self.request.wait_seconds):
            self.steps.append(StepReport("confirm", time.monotonic() - began))
            return self.done(confirmed=True)
        reason = owed or f"no process has reported the new release within {self.request.wait_seconds:g} s"
        return self._waiting((Waiting("restart", reason, self.parts.now()),))

    def done(self, confirmed: bool | None) -> Result:
        """Ends the attempt as completed; `confirmed` None means installed, not yet reported."""
        target = self.record.target
        if self.is_rollback:
            why = f"rolled back by hand to {target.name}"
            self.parts.decisions.deny(self.record.start.commit, why, self.record.id, self.parts.now())
        self.parts.journal.append(State.DONE)
        result = self._result("ok" if self.is_rollback else "updated", confirmed=confirmed)
        self._remember(result, restarted=True)
        if confirmed:
            self.parts.clear_signal()
        self._publish("deployed" if confirmed else "restarting")
        return result

    # --- failure ------------------------------------------------------------------------

    def _ended_by(self, error: NewleafError) -> Result:
        state = self.record.state
        if state in (State.RESTART, State.CONFIRM):
            return self._stays(error, "failed")
        if state in (State.INSTALL, State.MIGRATE, State.ACTIVATE) and error.code != "too_many_records":
            return self._revert(error)
        if error.code == "restart_budget_spent":
            if state is State.STAGE:
                self.parts.journal.append(State.WAIT)
            return self._stays(error, "inconsistent")
        if error.code == "too_many_records":
            self._deny(error)
            return self._end(State.INCONSISTENT, "inconsistent", error)
        if isinstance(error, RefusedError):
            return self._end(State.REFUSED, "refused", error)
        if isinstance(error, InconsistentError):
            return self._end(State.INCONSISTENT, "inconsistent", error)
        return self._end(State.FAILED, "failed", error)

    def _stays(self, error: NewleafError, outcome: str) -> Result:
        """The attempt stays open, owed; the failure is told."""
        self._publish("update_failed" if outcome == "failed" else outcome, error=error.message)
        return self._result(outcome, errors=(error.as_record(),))

    def _end(self, state: State, outcome: str, *errors: NewleafError, records: Any = ()) -> Result:
        self.parts.journal.append(state)
        words = {State.ROLLED_BACK: "rolled_back", State.INCONSISTENT: "inconsistent"}
        result = self._result(outcome, errors=(*records, *(error.as_record() for error in errors)))
        self._remember(result, restarted=False)
        first = result.errors[0]["message"] if result.errors else None
        self._publish(words.get(state, "update_failed"), error=first)
        return result

    def _deny(self, error: NewleafError) -> None:
        target = self.record.target
        self.parts.decisions.deny(target.commit, error.message, self.record.id, self.parts.now())

    def _revert(self, error: NewleafError) -> Result:
        restore = self.record.state is State.MIGRATE and self.record.at(State.SNAPSHOT) is not None
        self.parts.journal.append(State.REVERT, error=error.as_record(), restore=restore)
        return self._finish_reverting()

    def _revert_again(self) -> Result:
        try:
            self.parts.journal.append(State.REVERT, resumed=True)
        except NewleafError as error:
            self._deny(error)
            return self._end(State.INCONSISTENT, "inconsistent", error)
        return self._finish_reverting()

    def _finish_reverting(self) -> Result:
        """Goes back to where the attempt started: data, tree, dependencies. May be made again after a kill."""
        start, detail = self.record.start, self.record.detail
        errors = [detail["error"]]
        try:
            with self._quiet():
                if detail.get("restore"):
                    self.notes.append(self._target.data.restore())
                self.parts.layout.place(start, sideways=True)
                back = self.parts.parts_for(start, self.record)
                if self.kind != REPAIR and back.environment.owed():
                    errors += self._reinstall(back.environment)
                self.notes += self.parts.layout.activate(start)
        except NewleafError as error:
            return self._stays(error, "inconsistent")
        if not detail.get("restore"):
            return self._end(State.FAILED, "failed", records=errors)
        why = str(errors[0]["message"])
        self.parts.decisions.deny(self.record.target.commit, why, self.record.id, self.parts.now())
        return self._end(State.ROLLED_BACK, "rolled_back", records=errors)

    def _reinstall(self, environment: Environment) -> list[dict[str, object]]:
        """Old dependencies back. A failure here is owed by fingerprint: the next update repairs it."""
        try:
            environment.install(self.parts.reporter.line)
        except NewleafError as error:
            return [error.as_record()]
        return []

    # --- words --------------------------------------------------------------------------

    @property
    def _target(self) -> TargetParts:
        return self.parts.parts_for(self.record.target, self.record)

    @property
    def _pending(self) -> Pending:
        return self._target.data.pending() if self.kind == "update" else Pending()

    @property
    def _wants_snapshot(self) -> bool:
        return bool(self._pending.names) and self._pending.declared

    @property
    def _sideways(self) -> bool:
        return bool(self.record.detail.get("sideways"))

    def _result(self, outcome: str, **fields: Any) -> Result:
        start, target = self.record.start, self.record.target
        try:
            count, commits = self.parts.source.commits(start, target)
        except NewleafError:
            count, commits = 0, ()
        return Result(
            outcome,
            start,
            target,
            commits,
            count,
            steps=tuple(self.steps),
            attempt=self.record.id,
            notes=tuple(note for note in self.notes if note),
            **fields,
        )

    def _remember(self, result: Result, restarted: bool) -> None:
        line = {
            "attempt": self.record.id,
            "at": stamp(self.parts.now()),
            "began": stamp(self.record.records[0].at),
            "kind": self.kind,
            "origin": self.record.detail.get("origin"),
            "outcome": result.outcome,
            "from": self.record.start.as_record(),
            "to": self.record.target.as_record(),
            "durations": {step.name: round(step.seconds, 3) for step in result.steps if not step.skipped},
            "confirmed": result.confirmed,
            "restarted": restarted,
            "errors": list(result.errors),
            "notes": list(result.notes),
        }
        self.parts.history.add(line)
        self.parts.gates.release()

    def _publish(self, word: str, error: str | None = None, waiting_for: tuple[Waiting, ...] = ()) -> None:
        identity, record = self.parts.identity, self.record
        self.parts.reporter.publish(
            Status(
                word,
                self.parts.now(),
                identity.computer,
                identity.app,
                identity.channel,
                running=None if word == "restarting" else self.parts.restarts.running(),
                target=record.target if record.is_open else None,
                attempt=record.id,
                error=error,
                waiting_for=waiting_for,
            )
        )
