"""The account of one attempt: what its steps did, what is published, and how it ends."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from newleaf.core.errors import NewleafError
from newleaf.core.ports import Pending
from newleaf.core.records import AttemptRecord, Result, Status, StepReport, Waiting, stamp
from newleaf.core.release import Release
from newleaf.core.states import State
from newleaf.update.parts import REPAIR, ROLLBACK, UPDATE, Parts, TargetParts

_END_WORDS = {State.ROLLED_BACK: "rolled_back", State.INCONSISTENT: "inconsistent"}
_RESTING = ("deployed", "checking")
"""Words of a host that is on its way to nowhere: they name no target."""
_UNTOLD = (State.SUPERSEDED, State.DISCARDED)
_DONE_OUTCOMES = {UPDATE: "updated", ROLLBACK: "ok", REPAIR: "up_to_date"}


class Account(Struct):
    """What is known, and told, of the attempt that the journal has last."""

    parts: Parts
    steps: list[StepReport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def record(self) -> AttemptRecord:
        """The attempt as the journal has it now."""
        last = self.parts.journal.last
        assert last is not None
        return last

    @property
    def kind(self) -> str:
        return str(self.record.detail.get("kind", UPDATE))

    @property
    def target(self) -> TargetParts:
        """What the target's settings govern."""
        return self.parts.parts_for(self.record.target, self.record)

    @property
    def pending(self) -> Pending:
        """The migrations that this attempt has before it."""
        return self.target.data.pending() if self.kind == UPDATE else Pending()

    def publish(self, word: str, error: str | None = None, waiting_for: tuple[Waiting, ...] = ()) -> None:
        """Tells the world a status word. What runs is unknown from the restart to the next report."""
        identity, record = self.parts.identity, self.record
        running = None if word == "restarting" else self.parts.restarts.running()
        is_bound = record.is_open and word not in _RESTING
        status = Status(
            word,
            self.parts.now(),
            identity.computer,
            identity.app,
            identity.channel,
            running=running,
            target=record.target if is_bound else None,
            attempt=record.id,
            error=error,
            waiting_for=waiting_for,
        )
        self.parts.reporter.publish(status)

    def result(self, outcome: str, **fields: Any) -> Result:
        """The outcome with everything that led to it."""
        start, target = self.record.start, self.record.target
        try:
            count, commits = self.parts.source.commits(start, target)
        except NewleafError:  # the objects may not be here; the outcome is told all the same
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

    def waits(self, *waiting: Waiting) -> Result:
        """The attempt stays open and owed."""
        self.publish("waiting", waiting_for=waiting)
        return self.result("waiting", waiting_for=waiting)

    def rests(self, live: Release) -> None:
        """Nothing is under way and nothing owed: no word of what was may stand (lessons.md L3)."""
        self.publish("deployed" if self._has_reported(live) else "checking")

    def stays(self, error: NewleafError, outcome: str) -> Result:
        """The attempt stays open after a failure that the next try may overcome."""
        self.publish("update_failed" if outcome == "failed" else outcome, error=error.message)
        return self.result(outcome, errors=(error.as_record(),))

    def ends(self, state: State, outcome: str, *errors: dict[str, Any]) -> Result:
        """The attempt has failed: it is closed, published and remembered."""
        self.parts.journal.append(state)
        result = self.result(outcome, errors=errors)
        self._publish_failure(result)
        self.remember(result)
        return result

    def tell_end(self) -> None:
        """Tells how the last attempt ended, where its process was killed once it had closed it (L3).

        The line of the history is written last of all: where it is, all else was told.
        """
        last = self.parts.journal.last
        if last is None or last.is_open or last.state in _UNTOLD or self._is_remembered(last.id):
            return
        cause = last.detail.get("error")
        if last.state is not State.DONE:
            errors = (cause,) if isinstance(cause, dict) else ()
            result = self.result(str(last.state), errors=errors)
            self._publish_failure(result)
            self.remember(result)
            return
        has_reported = self._has_reported(last.target)
        if self.kind == REPAIR:
            self.rests(last.target)
        else:
            self.publish("deployed" if has_reported else "restarting")
        result = self.result(_DONE_OUTCOMES[self.kind], confirmed=True if has_reported else None)
        self.remember(result, restarted=last.at(State.RESTART) is not None)

    def _has_reported(self, release: Release) -> bool:
        running = self.parts.restarts.running()
        return running is not None and running.commit == release.commit

    def _publish_failure(self, result: Result) -> None:
        first = str(result.errors[0]["message"]) if result.errors else None
        self.publish(_END_WORDS.get(self.record.state, "update_failed"), error=first)

    def _is_remembered(self, attempt: str) -> bool:
        """Whether the attempt's own line is in the history; a report of the daemon alone has no durations."""
        return any(e.attempt == attempt and "durations" in e.line for e in self.parts.history.entries())

    def deny(self, why: str) -> None:
        """Remembers that the target failed here."""
        self.parts.decisions.deny(self.record.target.commit, why, self.record.id, self.parts.now())

    def _durations(self, result: Result) -> dict[str, float]:
        """Seconds of each step: as this process measured it, else as the journal has it of an earlier one."""
        measured = {step.name: step.seconds for step in result.steps if not step.skipped}
        skipped = {step.name for step in result.steps if step.skipped}
        known = {name: took for name, took in self.record.durations().items() if name not in skipped}
        return {name: round(took, 3) for name, took in {**known, **measured}.items()}

    def remember(self, result: Result, *, restarted: bool = False) -> None:
        """Gives back what the attempt had taken, and writes the line of the history."""
        self.parts.gates.release()
        record = self.record
        line = {
            "attempt": record.id,
            "at": stamp(self.parts.now()),
            "began": stamp(record.records[0].at),
            "kind": self.kind,
            "origin": record.detail.get("origin"),
            "outcome": result.outcome,
            "from": record.start.as_record(),
            "to": record.target.as_record(),
            "durations": self._durations(result),
            "confirmed": result.confirmed,
            "restarted": restarted,
            "errors": list(result.errors),
            "notes": list(result.notes),
        }
        self.parts.history.add(line)
