"""The app's data on its way to one target: what is pending, the snapshot, the migrations, the way back.

Pending is read from the target's commit, so that it is known before the tree has moved; it is run from
the tree, by the app's own interpreter.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path

from msgspec import Struct

from newleaf.core.data.migration import Plan, Script, Span, is_script, plan_forward, read_scripts
from newleaf.core.ports import OnLine, Pending
from newleaf.core.release import CommitId, Release
from newleaf.core.settings.model import Settings
from newleaf.system.commands import Runner
from newleaf.system.git.directory import Git
from newleaf.update.data.migrations import Ground, child_environment, find_python, read_state, run_plan
from newleaf.update.data.restoration import restore
from newleaf.update.data.snapshots import Snapshots
from newleaf.update.history import History


class Surface(Struct, frozen=True):
    """What of the host a target's data lies on.

    `folder` is the app's in the target's tree, `inner` the same as git names it; relative paths of data begin
    in `data`.
    """

    state: Path
    folder: Path
    data: Path
    inner: str
    environ: Mapping[str, str]
    git: Git
    runner: Runner
    now: Callable[[], datetime]


class TargetData(Struct, dict=True):
    """Implements `core.ports.Data`. `kept` is the attempt whose snapshot `restore` puts back."""

    surface: Surface
    settings: Settings
    start: Release
    target: Release
    attempt: str
    kept: str

    def pending(self) -> Pending:
        """Raises: MigrationBadlyNamed and its kin, CorruptMigrationState."""
        plan = self._plan()
        is_declared = bool(self.settings.update.state_paths)
        return Pending(plan.names, plan.offline, is_declared, plan.all_online)

    def snapshot(self) -> str:
        """Raises: StatePathRefused, SnapshotFailed, DiskFull."""
        snapshots = Snapshots(self.surface.state)
        snapshots.prune(self._completed(), self.attempt, self.settings.update.keep_releases)
        paths = self.settings.update.state_paths
        taken = snapshots.take(self.attempt, self.surface.data, paths, self.surface.now())
        notes = "; ".join(taken.manifest.notes)
        return f"data kept in {taken.folder}" + (f"; {notes}" if notes else "")

    def migrate(self, on_line: OnLine) -> tuple[str, ...]:
        """Raises: MigrationFailed, CorruptMigrationState, ProgramMissing, CommandFailed."""
        surface, update = self.surface, self.settings.update
        ground = Ground(
            surface.folder,
            update.migrations,
            find_python(surface.folder),
            self.environment,
            update.migrate_timeout,
        )
        done = run_plan(self._plan(), surface.state, ground, surface.runner, on_line)
        return tuple(each.name for each in done)

    def restore(self) -> str:
        """Raises: SnapshotDamaged, RestoreFailed."""
        return restore(Snapshots(self.surface.state), self.kept)

    @property
    def environment(self) -> dict[str, str]:
        """What a process of the app is started with."""
        facts = {
            "NEWLEAF_STATE_DIR": str(self.surface.state),
            "NEWLEAF_COMMIT": self.target.commit,
            "NEWLEAF_VERSION": self.target.version,
        }
        python_path = self.settings.app.python_path or ()
        return child_environment(self.surface.environ, self.surface.folder, python_path, facts)

    def _completed(self) -> set[str]:
        entries = History(self.surface.state / "history.jsonl").entries()
        return {entry.attempt for entry in entries if entry.attempt and entry.outcome == "updated"}

    def _plan(self) -> Plan:
        span = Span.between(self.start.version, self.target.version)
        return plan_forward(self._scripts, read_state(self.surface.state), span)

    @cached_property
    def _scripts(self) -> tuple[Script, ...]:
        folder = posixpath.normpath(posixpath.join(self.surface.inner, self.settings.update.migrations))
        commit = CommitId(self.target.commit)
        entries = self.surface.git.list_tree(commit, folder)
        paths = [entry.path for entry in entries if is_script(posixpath.relpath(entry.path, folder))]
        sources = self.surface.git.show_many(commit, paths)
        return read_scripts({posixpath.relpath(path, folder): text for path, text in sources.items()})
