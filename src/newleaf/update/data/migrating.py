"""Migrations by a person's order, without an update: `newleaf migrate`.

Rules: the files count as they lie on the disk, untracked ones too. Without `start` the range begins at this
host's own version (lessons.md L21), and what an interrupted run owes is done as well; with it, the range is
taken to the letter. Only a range that is named in full may lead backward. A dry run runs nothing, not even a
`check()`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from msgspec import Struct

from newleaf.core.data.migration import (
    MigrationState,
    Plan,
    Script,
    Span,
    plan_backward,
    plan_exactly,
    plan_forward,
    read_scripts,
)
from newleaf.core.ports import OnLine
from newleaf.core.records import EXIT_CODES, Waiting
from newleaf.system.commands import Runner
from newleaf.update.data.migrations import Done, Ground, read_folder, read_state, run_plan


class MigrationOrder(Struct, frozen=True):
    """What was asked for. Versions are as people write them."""

    start: str | None = None
    end: str | None = None
    dry_run: bool = False


class Workplace(Struct, frozen=True):
    """What migrating works on. `own_version` is this host's, `tree_version` that of the files.

    `hold` keeps the app still while a plan runs, or says why the plan may not run now.
    """

    state_directory: Path
    ground: Ground
    runner: Runner
    own_version: str | None
    tree_version: str | None
    hold: Callable[[Plan], AbstractContextManager[Sequence[Waiting]]]


class MigrationResult(Struct, frozen=True):
    """What came of it. `left` names scripts that are neither recorded nor in the range."""

    outcome: str
    plan: Plan
    done: tuple[Done, ...] = ()
    waiting_for: tuple[Waiting, ...] = ()
    left: tuple[str, ...] = ()
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.outcome]

    def as_record(self) -> dict[str, Any]:
        return {
            "outcome": self.outcome,
            **self.plan.span.as_record(),
            "backward": self.plan.backward,
            "dry_run": self.dry_run,
            "scripts": list(self.plan.names),
            "done": [{"name": done.name, "ran": done.ran} for done in self.done],
            "waiting_for": [waiting.as_record() for waiting in self.waiting_for],
            "left": list(self.left),
        }


def migrate(order: MigrationOrder, place: Workplace, on_line: OnLine) -> MigrationResult:
    """Runs what is due; the caller holds the update lock, unless it is a dry run.

    Raises: NotAVersion, MigrationFailed and the like, CorruptMigrationState.
    """
    scripts = read_scripts(read_folder(place.ground.folder / place.ground.migrations))
    state = read_state(place.state_directory)
    plan = _plan(order, place, scripts, state)
    left = _left(plan, scripts, state)
    if order.dry_run:
        return MigrationResult("ok", plan, left=left, dry_run=True)
    with place.hold(plan) as held:
        if held:
            return MigrationResult("waiting", plan, waiting_for=tuple(held), left=left)
        done = run_plan(plan, place.state_directory, place.ground, place.runner, on_line)
    return MigrationResult("ok" if done else "up_to_date", plan, done, left=left)


def _plan(
    order: MigrationOrder, place: Workplace, scripts: tuple[Script, ...], state: MigrationState
) -> Plan:
    if order.start is None:
        return plan_forward(scripts, state, Span.between(place.own_version, order.end or place.tree_version))
    span = Span.between(order.start, order.end or place.tree_version)
    if order.end is not None and span.is_backward:
        return plan_backward(scripts, state, span)
    return plan_exactly(scripts, state, span)


def _left(plan: Plan, scripts: tuple[Script, ...], state: MigrationState) -> tuple[str, ...]:
    accounted = {*state.applied, *plan.names}
    return () if plan.backward else tuple(each.name for each in scripts if each.name not in accounted)
