"""One attempt, walked forward from wherever its journal says it is.

The route is data; each step enters its state in the journal before it acts, and may be made again
after a kill. What fails is sorted here: before the live tree was touched nothing has to be undone, after
that the reversal goes back, and a restart stays owed until it is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from newleaf.core.errors import (
    InconsistentError,
    LeftByHand,
    NewleafError,
    RefusedError,
    TooManyRecords,
    Unhealthy,
)
from newleaf.core.job_errors import AppBusy, RestartBudgetSpent
from newleaf.core.launch.launcher_errors import LauncherRefused, NoCommand
from newleaf.core.ports import Restarted
from newleaf.core.records import Result, StepReport, Waiting
from newleaf.core.releases.slot_errors import PreflightFailed
from newleaf.core.requests import Request
from newleaf.core.states import MAX_RECORDS, State
from newleaf.system import files
from newleaf.update.account import Account
from newleaf.update.parts import REPAIR, ROLLBACK, Parts
from newleaf.update.reversal import revert, revert_again

_STEPS = {"install": State.INSTALL, "migrate": State.MIGRATE}
_BESIDE = (State.FETCH, State.VERIFY, State.STAGE)
_UNTOUCHED = (*_BESIDE, State.WAIT, State.SNAPSHOT)
_UNREPORTED = (State.STAGE, State.SNAPSHOT)


class Attempt:
    """Walks the open attempt of the journal to an outcome."""

    def __init__(self, parts: Parts, request: Request) -> None:
        self._parts = parts
        self._request = request
        self._account = Account(parts)

    def walk(self, *, fresh: bool = False) -> Result:
        """Goes on from the journal's last record; `fresh` when that record was written just now.

        Every failure ends in a Result; only defects raise.
        """
        try:
            if self._state is State.REVERT:
                with self._quiet():
                    return revert_again(self._account)
            return self._forward(fresh=fresh)
        except AppBusy as error:
            return self._wait(Waiting("idle", error.message, self._parts.now()))
        except NewleafError as error:
            return self._ended_by(error)

    def undo(self, *, with_data: bool) -> Result:
        """Goes back to where the attempt started, by a person's order; the release that is left is denied.

        Every failure ends in a Result; only defects raise.
        """
        account = self._account
        try:
            with self._quiet():
                if self._state is State.REVERT:
                    result = revert_again(account, by_hand=True)
                else:
                    result = revert(account, LeftByHand(), with_data=with_data)
        except AppBusy as error:
            return self._wait(Waiting("idle", error.message, self._parts.now()))
        if account.record.is_open or result.errors[1:]:
            return result
        return result._replace(outcome="ok", start=result.target, target=result.start, errors=())

    def discard(self) -> Result | None:
        """Drops what was killed before it touched anything; a Result where that has happened too often."""
        records = self._parts.journal.records_beside
        if records >= MAX_RECORDS:
            return self._ended_by(TooManyRecords(records=records))
        self._parts.journal.append(State.DISCARDED)
        return None

    def give_up(self, reason: str) -> Result:
        """Goes back, with the data, because the release did not stay healthy; it is denied.

        Every failure ends in a Result; only defects raise.
        """
        return revert(self._account, Unhealthy(name=self._account.record.target.name, reason=reason))

    @property
    def _state(self) -> State:
        return self._account.record.state

    # --- forward ------------------------------------------------------------------------

    def _forward(self, *, fresh: bool) -> Result:
        if self._state is State.CONFIRM:
            return self._hand_over() if self._parts.launcher else self._confirm(Restarted())
        for state in _left(_BESIDE, self._state):
            self._make(state, fresh=fresh)
            fresh = False
        waiting = self._gates()
        if waiting:
            return self._wait(*waiting)
        if self._state is State.WAIT:
            # It may have waited for days: since then a key was revoked, or the floor raised.
            self._verify()
        with self._quiet():
            return self._change()

    def _change(self) -> Result:
        """The steps that touch what is live, then the restart; no job starts meanwhile."""
        account, launcher = self._account, self._parts.launcher
        try:
            # Killed on the way, and the daemon was started meanwhile.
            waiting = self._offline() if self._state in _STEPS.values() else ()
            if waiting:
                return account.waits(*waiting)
            if launcher and self._must_stop_first():
                launcher.hold(account.record)
            steps = ("install",) if account.kind == REPAIR else account.target.steps
            changes = [State.SNAPSHOT, *(_STEPS[name] for name in steps), State.ACTIVATE]
            for state in changes if self._state in _UNTOUCHED else _left(changes, self._state):
                self._make(state)
            return self._repaired() if account.kind == REPAIR else self._restart()
        except NewleafError as error:
            return self._ended_by(error)
        finally:
            if launcher:
                launcher.free()

    def _must_stop_first(self) -> bool:
        """Whether the daemon must not run while the next steps are made."""
        if self._state not in (*_UNTOUCHED, *_STEPS.values()):
            return False
        restores = self._account.kind == ROLLBACK and bool(self._account.record.detail.get("snapshot"))
        return restores or self._account.pending.need_stop

    def _wait(self, *waiting: Waiting) -> Result:
        if self._state is State.STAGE:
            self._parts.journal.append(State.WAIT)
        return self._account.waits(*waiting)

    def _make(self, state: State, *, fresh: bool = False) -> None:
        """Enters a state and does its step. A state in which the attempt was killed is entered again."""
        account = self._account
        if state is State.SNAPSHOT and not (account.pending.names and account.pending.declared):
            return
        if state is State.MIGRATE and account.kind != ROLLBACK and not account.pending.names:
            account.steps.append(StepReport("migrate", skipped=True, detail="nothing to migrate"))
            return
        if not fresh:
            again = {"resumed": True} if self._state is state else {}
            self._parts.journal.append(state, **again)
        with files.explained():
            if state in _UNREPORTED:
                account.notes.append(self._step(state)()[1])
            else:
                self._report(state.value, self._step(state))

    def _report(self, name: str, step: Callable[[], tuple[bool, str]]) -> None:
        """Does a step, and adds what it did to the account."""
        began = time.monotonic()
        skipped, detail = step()
        self._account.steps.append(StepReport(name, time.monotonic() - began, skipped, detail))

    def _step(self, state: State) -> Callable[[], tuple[bool, str]]:
        return {
            State.FETCH: self._fetch,
            State.VERIFY: self._verify,
            State.STAGE: self._stage,
            State.SNAPSHOT: self._snapshot,
            State.INSTALL: self._install,
            State.MIGRATE: self._migrate,
            State.ACTIVATE: self._activate,
        }[state]

    def _fetch(self) -> tuple[bool, str]:
        self._account.publish("updating")
        target = self._parts.source.fetch(self._account.record.target)
        self._parts.journal.learn(target)
        return False, target.name

    def _verify(self) -> tuple[bool, str]:
        self._parts.source.verify(self._account.record.target, sideways=self._sideways)
        return False, ""

    def _stage(self) -> tuple[bool, str]:
        """Beside the live release, where the layout has room for that: files, dependencies, a first try."""
        self._parts.layout.stage(self._account.record.target)
        if self._account.target.preflight:
            self._report("install", self._install_dependencies)
            self._account.target.environment.attach()
            self._report("preflight", self._try)
        return False, ""

    def _try(self) -> tuple[bool, str]:
        assert self._account.target.preflight is not None
        tried = self._account.target.preflight.run(self._parts.reporter.line)
        return not tried, tried or "nothing is named that could be tried"

    def _snapshot(self) -> tuple[bool, str]:
        return False, self._account.target.data.snapshot()

    def _install(self) -> tuple[bool, str]:
        self._place()
        done = self._install_dependencies()
        self._account.target.environment.attach()
        return done

    def _install_dependencies(self) -> tuple[bool, str]:
        environment = self._account.target.environment
        reason = environment.owed()
        if reason is None:
            return True, "dependencies unchanged"
        self._account.publish("installing")
        environment.install(self._parts.reporter.line)
        return False, reason

    def _migrate(self) -> tuple[bool, str]:
        self._place()
        data = self._account.target.data
        if self._account.kind == ROLLBACK:
            restore = bool(self._account.record.detail.get("snapshot"))
            return not restore, data.restore() if restore else "data left as it is"
        self._account.publish("migrating")
        return False, ", ".join(data.migrate(self._parts.reporter.line))

    def _activate(self) -> tuple[bool, str]:
        self._place()
        self._account.notes += self._parts.layout.activate(self._account.record.target)
        return False, ""

    def _place(self) -> None:
        """Moves the tree in whichever step comes first; a second time it changes nothing."""
        self._parts.layout.place(self._account.record.target, sideways=self._sideways)

    @property
    def _sideways(self) -> bool:
        return bool(self._account.record.detail.get("sideways"))

    # --- gates and restart --------------------------------------------------------------

    def _gates(self) -> tuple[Waiting, ...]:
        if self._state not in _UNTOUCHED:
            return ()
        waiting = self._parts.gates.judge(self._account.record, self._request, "install")
        return (*waiting, *self._offline())

    def _offline(self) -> tuple[Waiting, ...]:
        """Without a launcher nothing can stop the daemon for a migration that needs it stopped."""
        names = ", ".join(self._account.pending.offline)
        if not names or self._parts.launcher or not self._parts.restarts.daemon_runs():
            return ()
        reason = f"{names} must run while the daemon is stopped: stop it, then run `newleaf update` again"
        return (Waiting("restart", reason, self._parts.now()),)

    def _quiet(self) -> AbstractContextManager[None]:
        return nullcontext() if self._request.force_busy else self._parts.gates.quiet()

    def _restart(self) -> Result:
        """Performs the restart that is owed, once the gates allow it, and ends the attempt."""
        if self._state is not State.RESTART:
            if self._account.kind == ROLLBACK:
                # Before it is owed: a newer target supersedes what is owed, and must not be what was left.
                self._deny_what_is_left()
            self._parts.journal.append(State.RESTART)
        record = self._account.record
        if self._has_reported() and not self._parts.launcher:
            return self._done(Restarted(), confirmed=True)
        waiting = self._parts.gates.judge(record, self._request, "restart")
        if waiting:
            return self._account.waits(*waiting)
        self._account.publish("restarting")
        if self._parts.launcher:
            self._parts.journal.append(State.CONFIRM)
            return self._hand_over()
        # The new process may begin jobs before it reports: it must not wait for whoever waits for it.
        self._parts.gates.let_jobs_go()
        began = time.monotonic()
        restarted = self._parts.restarts.restart(record)
        if restarted.owed and not self._request.wait_seconds:
            since = record.at(State.RESTART) or self._parts.now()
            return self._account.waits(Waiting("restart", restarted.detail, since))
        seconds = time.monotonic() - began
        self._account.steps.append(StepReport("restart", seconds, restarted.skipped, restarted.detail))
        return self._confirm(restarted)

    def _hand_over(self) -> Result:
        """Has the launcher run the release, and does by its verdict."""
        account, launcher = self._account, self._parts.launcher
        assert launcher is not None
        began = time.monotonic()
        try:
            fault = launcher.hand_over(account.record, self._parts.gates.let_jobs_go)
        except LauncherRefused as error:
            return account.waits(Waiting("restart", error.message, self._parts.now()))
        except NoCommand as error:
            # It lies where the next start looks: what cannot be started must not stay there.
            return self.give_up(error.message)
        account.steps.append(StepReport("restart", time.monotonic() - began, detail="by the launcher"))
        if fault is None:
            return self._done(Restarted(), confirmed=True)
        return self.give_up(fault)

    def confirm(self) -> Result:
        """The process that runs was found to be good."""
        return self._done(Restarted(), confirmed=True)

    def _has_reported(self) -> bool:
        """Whether the live process says that it has the target, however it came to be restarted."""
        running = self._parts.restarts.running()
        return running is not None and running.commit == self._account.record.target.commit

    def _confirm(self, restarted: Restarted) -> Result:
        seconds = self._request.wait_seconds
        if not seconds:
            return self._done(restarted, confirmed=True if self._has_reported() else None)
        if self._state is not State.CONFIRM and not restarted.owed:
            # While the old process has yet to leave, the next update must still find the restart owed.
            self._parts.journal.append(State.CONFIRM)
        began = time.monotonic()
        if self._parts.restarts.await_report(self._account.record, seconds):
            self._account.steps.append(StepReport("confirm", time.monotonic() - began))
            return self._done(restarted, confirmed=True)
        reason = (
            restarted.detail
            if restarted.owed
            else f"no process has reported the new release within {seconds:g} s"
        )
        return self._account.waits(Waiting("restart", reason, self._parts.now()))

    def _done(self, restarted: Restarted, *, confirmed: bool | None = None) -> Result:
        """Ends the attempt as completed; `confirmed` None means installed, not yet reported."""
        account = self._account
        self._parts.journal.append(State.DONE)
        result = account.result("ok" if account.kind == ROLLBACK else "updated", confirmed=confirmed)
        if confirmed:
            self._parts.clear_signal()
        account.publish("deployed" if confirmed else "restarting")
        account.remember(result, restarted=not restarted.skipped)
        return result

    def _deny_what_is_left(self) -> None:
        record = self._account.record
        why = f"left by hand for {record.target.name}"
        self._parts.decisions.deny(record.start.commit, why, record.id, self._parts.now())

    def _repaired(self) -> Result:
        self._parts.journal.append(State.DONE)
        result = self._account.result("up_to_date")
        self._account.rests(self._account.record.target)
        self._account.remember(result)
        return result

    # --- failure ------------------------------------------------------------------------

    def _ended_by(self, error: NewleafError) -> Result:
        account, state = self._account, self._state
        if isinstance(error, TooManyRecords):
            account.deny(error.message)
            return account.ends(State.INCONSISTENT, "inconsistent", error.as_record())
        if not account.record.is_open:
            # It has ended, and could not be told: the next update tells it.
            return account.result("failed", errors=(error.as_record(),))
        if isinstance(error, RestartBudgetSpent):
            if state is State.STAGE:
                self._parts.journal.append(State.WAIT)
            return account.stays(error, "inconsistent")
        if state in (State.RESTART, State.CONFIRM, State.REVERT):
            return account.stays(error, "failed")
        if state in (State.INSTALL, State.MIGRATE, State.ACTIVATE):
            return revert(account, error)
        if isinstance(error, PreflightFailed):
            account.deny(error.message)
        if isinstance(error, RefusedError):
            return account.ends(State.REFUSED, "refused", error.as_record())
        if isinstance(error, InconsistentError):
            return account.ends(State.INCONSISTENT, "inconsistent", error.as_record())
        return account.ends(State.FAILED, "failed", error.as_record())


def _left(route: Sequence[State], state: State) -> Sequence[State]:
    """What of a route is still to be done: from `state` on, where the route has it."""
    return route[route.index(state) :] if state in route else ()
