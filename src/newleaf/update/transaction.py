"""From a request to an outcome.

What is open is finished first, then the channel is asked, then one attempt is walked. The caller holds
`update.lock`. An open attempt is resumed, discarded (nothing live was touched), or, while it is owed,
superseded by a newer target; where that then fails, the restart that was put off is owed again.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from newleaf.core.decide import Decision, decide
from newleaf.core.errors import (
    AlreadyHere,
    InconsistentError,
    NewleafError,
    NoSnapshot,
    NoWayBack,
    UsageError,
)
from newleaf.core.records import AttemptRecord, Result, Status, StepReport
from newleaf.core.release import Release
from newleaf.core.requests import Request
from newleaf.core.states import BESIDE, OWED, State
from newleaf.update.account import Account
from newleaf.update.attempt import Attempt
from newleaf.update.parts import REPAIR, ROLLBACK, UPDATE, Parts

_INSTALLED = (State.RESTART, State.CONFIRM, State.DONE, State.SUPERSEDED)


ARRIVED = ("updated", "ok", "up_to_date")
"""Outcomes after which the host is where it should be."""
FAILED = ("failed", "refused", "rolled_back")
"""Outcomes after which it is where it was."""


class Transaction(Struct):
    """Brings the host to its target, or back. `suspended` says why this host does nothing now."""

    parts: Parts
    new_id: Callable[[], str]
    suspended: str | None = None

    def update(self, request: Request) -> Result:
        """One attempt at most. Failures of host or remote end in a Result.

        Raises: UsageError, and InconsistentError where records cannot be relied on; nothing was begun then.
        """
        Account(self.parts).tell_end()
        return self._tidied(self._update(request))

    def _update(self, request: Request) -> Result:
        begun = self._finish_what_is_open(request)
        if begun is not None:
            return begun
        live = self.parts.layout.live()
        if self.suspended:
            return self._stay(live, Decision(False, "held", self.suspended))
        if self._has_rollback_waiting() and request.to is None and request.branch is None:
            return Attempt(self.parts, request).walk()
        try:
            choice = self.parts.source.resolve(request, live)
            decision = decide(live.commit, choice.target, choice.message, self.parts.decisions.denied)
        except (UsageError, InconsistentError):
            raise
        except NewleafError as error:
            restarted = self._restart_owed(live, request) if request.to is request.branch is None else None
            return _with_notes(restarted, error.message) if restarted else self._unresolved(live, error)
        target, owed = choice.target, self.parts.journal.open_attempt
        if target is None or not decision.move:
            return self._stay_or_repair(live, owed, decision, request)
        if owed and owed.target.commit == target.commit:
            return self._or_restarted(Attempt(self.parts, request).walk(), request)
        if owed:
            self.parts.journal.append(State.SUPERSEDED)
        sideways = {"sideways": True} if choice.sideways or request.branch else {}
        return self._or_restarted(self._begin(live, target, State.FETCH, request, **sideways), request)

    def plan(self, request: Request) -> Result:
        """What `update` would do now; nothing is fetched or changed.

        Raises: what resolving gives reason to.
        """
        live = self.parts.layout.live()
        if self.suspended:
            return self._stay(live, Decision(False, "held", self.suspended))
        choice = self.parts.source.resolve(request, live)
        decision = decide(live.commit, choice.target, choice.message, self.parts.decisions.denied)
        if choice.target is None or not decision.move:
            return self._stay(live, decision)
        return Result("available", live, choice.target)

    def rollback(self, request: Request, *, with_data: bool) -> Result:
        """Goes back to what the request names, else to the last good release.

        An update that was killed while it changed the live tree is undone, which is the way back unless
        another one is named.
        Raises: NoWayBack, AlreadyHere, NoSnapshot, and what resolving gives reason to.
        """
        Account(self.parts).tell_end()
        return self._tidied(self._roll_back(request, with_data=with_data))

    def _roll_back(self, request: Request, *, with_data: bool) -> Result:
        undone = self._undo_what_is_open(request, with_data=with_data)
        if undone and (request.to is None or undone.outcome != "ok"):
            return undone
        live = self.parts.layout.live()
        snapshot = {"snapshot": self._snapshot_of(live)} if with_data else {}
        to = self._way_back(request, live)
        if to is None or to.commit == live.commit:
            # What was named exists, or resolving had raised: then it is what is here.
            raise AlreadyHere(name=live.name) if request.to else NoWayBack
        self._close_open_attempt()
        return self._begin(live, to, State.FETCH, request, kind=ROLLBACK, sideways=True, **snapshot)

    def give_up(self, request: Request, reason: str) -> Result | None:
        """Goes back from a release that failed before its probation ended, its data with it, and denies it.

        None when no attempt is at its restart or its probation: what is confirmed is not left by itself.
        """
        owed = self.parts.journal.open_attempt
        if owed is not None and owed.state is State.REVERT:
            return Attempt(self.parts, request).walk()
        if not _is_judged(owed):
            return None
        return Attempt(self.parts, request).give_up(reason)

    def confirm(self, request: Request) -> Result | None:
        """Ends the attempt whose release runs and was found to be good; None when none is at that point."""
        owed, running = self.parts.journal.open_attempt, self.parts.restarts.running()
        if owed is None or not _is_judged(owed) or running is None or running.commit != owed.target.commit:
            return None
        return self._tidied(Attempt(self.parts, request).confirm())

    def take_up(self, request: Request) -> Result | None:
        """Finishes what a kill has left in the middle, as far as its restart; None when there is nothing."""
        Account(self.parts).tell_end()
        return self._finish_what_is_open(request)

    def _tidied(self, result: Result) -> Result:
        """The result, once room is made: after the restart, so that nobody waits for it."""
        if result.outcome not in ARRIVED or self.parts.journal.open_attempt:
            return result
        notes = self.parts.housekeeping.tidy()
        for note in notes:
            self.parts.reporter.line(note)
        return result._replace(notes=(*result.notes, *notes))

    def _way_back(self, request: Request, live: Release) -> Release | None:
        if request.to is None:
            last = self._last_restart
            # Also when it is done: its line of the history may not have been written before a kill.
            is_here = last and last.state in _INSTALLED and last.target.commit == live.commit
            installed_from = last.start if last and is_here else None
            return self.parts.history.way_back(live.commit, self.parts.decisions.denied, installed_from)
        return self.parts.source.resolve(request, live).target

    def _snapshot_of(self, live: Release) -> str:
        """The attempt that kept the data before `live` was installed."""
        for attempt in self.parts.journal.attempts[::-1]:
            # What came after it says that keeping the data did not fail.
            kept = attempt.at(State.SNAPSHOT) and (attempt.at(State.INSTALL) or attempt.at(State.MIGRATE))
            if kept and attempt.target.commit == live.commit:
                return attempt.id
        raise NoSnapshot(name=live.name)

    def _finish_what_is_open(self, request: Request) -> Result | None:
        owed = self.parts.journal.open_attempt
        if owed is None or owed.state in OWED:
            return None
        attempt = Attempt(self.parts, request)
        return attempt.discard() if owed.state in BESIDE else attempt.walk()

    def _has_rollback_waiting(self) -> bool:
        """Whether a person's way back waits for the gates: no channel is asked whether it still holds."""
        owed = self.parts.journal.open_attempt
        return owed is not None and owed.state is State.WAIT and owed.detail.get("kind") == ROLLBACK

    def _undo_what_is_open(self, request: Request, *, with_data: bool) -> Result | None:
        owed = self.parts.journal.open_attempt
        if owed is None or owed.state in (*OWED, *BESIDE, State.SNAPSHOT):
            return None
        attempt = Attempt(self.parts, request)
        if owed.detail.get("kind", UPDATE) != UPDATE:
            return attempt.walk()
        return attempt.undo(with_data=with_data)

    def _close_open_attempt(self) -> None:
        owed = self.parts.journal.open_attempt
        if owed:
            untouched = owed.state in (*BESIDE, State.WAIT, State.SNAPSHOT)
            self.parts.journal.append(State.DISCARDED if untouched else State.SUPERSEDED)

    def _begin(
        self, live: Release, target: Release, state: State, request: Request, **detail: object
    ) -> Result:
        self.parts.require_sound()
        self.parts.journal.begin(self.new_id(), live, target, state, origin=request.origin, **detail)
        return Attempt(self.parts, request).walk(fresh=True)

    def _stay_or_repair(
        self, live: Release, owed: AttemptRecord | None, decision: Decision, request: Request
    ) -> Result:
        """Nothing to move to. A restart may be owed all the same, or dependencies (lessons.md L13)."""
        if owed and not _owes_restart(owed, live):
            # Told first: killed in between, the next update finds it owed again.
            Account(self.parts).rests(live)
            self.parts.journal.append(State.DISCARDED if owed.state is State.WAIT else State.SUPERSEDED)
        restarted = self._restart_owed(live, request)
        if restarted:
            return restarted
        if decision.outcome == "up_to_date":
            self.parts.clear_signal()
            if self._environment_owed(live):
                return self._begin(live, live, State.WAIT, request, kind=REPAIR)
        return self._stay(live, decision)

    @property
    def _last_restart(self) -> AttemptRecord | None:
        """The last attempt that came to its restart."""
        attempts = reversed(self.parts.journal.attempts)
        return next((attempt for attempt in attempts if attempt.at(State.RESTART)), None)

    def _or_restarted(self, result: Result, request: Request) -> Result:
        """What an attempt came to; where it failed, the restart that it had put off is made first."""
        if result.outcome not in FAILED or self.parts.journal.open_attempt:
            return result
        restarted = self._restart_owed(self.parts.layout.live(), request)
        if restarted is None:
            return result
        if restarted.outcome in ARRIVED and restarted.target:
            return _with_notes(result, f"the restart that {restarted.target.name} was owed is made")
        return _with_notes(restarted, *(str(error["message"]) for error in result.errors))

    def _restart_owed(self, live: Release, request: Request) -> Result | None:
        """Makes the restart that what is live is owed, whatever came of a newer target (lessons.md L27).

        It is owed by the attempt that is open, or by one that was superseded and that no other restart came
        after: another attempt takes that up, and goes back to where it began. None when none is owed.
        """
        journal, running = self.parts.journal, self.parts.restarts.running()
        if _owes_restart(journal.open_attempt, live):
            return Attempt(self.parts, request).walk()
        last = self._last_restart
        if journal.open_attempt or last is None or last.state is not State.SUPERSEDED:
            return None
        if last.target.commit != live.commit or (running and running.commit == live.commit):
            return None
        known = {key: last.detail[key] for key in ("kind", "sideways", "kept") if key in last.detail}
        if last.at(State.SNAPSHOT):
            known["kept"] = last.id
        return self._begin(last.start, live, State.WAIT, request, **known, takes_up=last.id)

    def _environment_owed(self, live: Release) -> str | None:
        return self.parts.parts_for(live, None).environment.owed()

    def _stay(self, live: Release, decision: Decision) -> Result:
        running = self.parts.restarts.running()
        confirmed = True if running and running.commit == live.commit else None
        notes = (decision.reason,) if decision.reason else ()
        return Result(decision.outcome, live, live, confirmed=confirmed, notes=notes)

    def _unresolved(self, live: Release, error: NewleafError) -> Result:
        """The remote could not be asked, or what it says is refused: nothing was begun."""
        identity = self.parts.identity
        self.parts.reporter.publish(
            Status(
                "update_failed",
                self.parts.now(),
                identity.computer,
                identity.app,
                identity.channel,
                running=self.parts.restarts.running(),
                error=error.message,
            )
        )
        steps = (StepReport("fetch", detail=error.message),)
        return Result(error.outcome, live, None, steps=steps, errors=(error.as_record(),))


def _with_notes(result: Result, *notes: str) -> Result:
    return result._replace(notes=(*result.notes, *notes))


def _owes_restart(owed: AttemptRecord | None, live: Release) -> bool:
    """Whether an attempt has put there what is live, and its restart is still to come."""
    if owed is None or owed.target.commit != live.commit:
        return False
    return owed.state is not State.WAIT or "takes_up" in owed.detail


def _is_judged(owed: AttemptRecord | None) -> bool:
    """Whether an attempt waits for how its release runs."""
    return owed is not None and owed.state in (State.RESTART, State.CONFIRM)
