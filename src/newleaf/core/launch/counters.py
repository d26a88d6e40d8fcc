"""What the launcher remembers beyond its own end: `launcher-state.json`.

Restarts, crashes and starts are counted across launchers, or a machine that is switched off and on would
give a bad release new tries for ever (lessons.md L32, L34). Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from newleaf.core.launch.plan import Plan

KEPT_TIMES = 50


class Counters:
    """Times are seconds since 1970.

    `attempt`, `commit` and `starts` are those of the release on trial; `notifies` and `waits` say what this
    app's processes were seen to do: report that they are ready, wait for "go".
    """

    def __init__(self) -> None:
        self.confirmed: str | None = None
        self.attempt: str | None = None
        self.commit: str | None = None
        self.starts = 0
        self.crashes: list[float] = []
        self.restarts: list[float] = []
        self.alarmed = False
        self.notifies = False
        self.waits = False

    def note(self, times: list[float], wall: float) -> None:
        """Adds a crash, or a restart."""
        times.append(wall)
        del times[:-KEPT_TIMES]

    def begin_trial(self, attempt: str | None, commit: str) -> None:
        """From now on starts are this release's."""
        if (self.attempt, self.commit) != (attempt, commit):
            self.attempt, self.commit, self.starts = attempt, commit, 0

    @property
    def is_on_trial(self) -> bool:
        """Whether a release is that has not been confirmed."""
        return self.commit is not None

    def is_tried(self, commit: str) -> bool:
        """Whether a release is on trial, with a way back."""
        return self.attempt is not None and self.commit == commit

    def is_given_up(self, plan: Plan) -> bool:
        """Whether a release on trial has had its starts."""
        return self.is_tried(plan.release.commit) and self.starts >= plan.max_starts

    def never_proven(self, plan: Plan) -> str | None:
        """Why a release on trial has had all starts that any may have, though no failure of it was seen.

        Each time its launcher was killed with it, or the machine.
        """
        most = max(plan.max_starts, plan.health.max_starts)
        is_spent = self.is_tried(plan.release.commit) and self.starts >= most
        return f"it was started {self.starts} times and never proven" if is_spent else None

    def count_start(self, plan: Plan, attempt: str | None) -> None:
        """A process of a release is started, for `attempt` where one asks for it.

        A release on trial that is not what is started now has been left behind.
        """
        commit = plan.release.commit
        known = self.attempt if self.commit == commit else None
        brought = attempt or known or plan.attempt
        if brought or commit != self.confirmed:
            self.begin_trial(brought, commit)
            self.starts += 1
        else:
            self.end_trial(None)

    def end_trial(self, confirmed: str | None) -> None:
        """The release on trial is confirmed, or given up."""
        self.attempt, self.commit, self.starts = None, None, 0
        self.confirmed = confirmed or self.confirmed

    def as_record(self) -> dict[str, Any]:
        return {name: list(value) if isinstance(value, list) else value for name, value in vars(self).items()}

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Counters:
        """What can be made of a record; what is not as it should be counts as never noted."""
        counters = cls()
        for name, empty in vars(counters).items():
            found = record.get(name, empty)
            if name in ("confirmed", "attempt", "commit"):
                fits = isinstance(found, str | None)
            else:
                fits = type(found) is type(empty)
            if isinstance(found, list):
                fits = fits and all(isinstance(time, int | float) for time in found)
            if fits:
                setattr(counters, name, found)
        return counters
