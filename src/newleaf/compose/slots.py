"""A host with release slots, put together."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from newleaf.core.release import CommitId, Release

if TYPE_CHECKING:
    from newleaf.compose.host import Host
    from newleaf.core.releases.retention import Claims
    from newleaf.core.settings.model import Settings
    from newleaf.core.states import State
    from newleaf.system.git.directory import Repository
    from newleaf.update.dependencies.slot_environments import SlotEnvironment
    from newleaf.update.slots.preflight import Preflight
    from newleaf.update.slots.shared_paths import SharedPaths
    from newleaf.update.slots.slot_places import SlotPlaces
    from newleaf.update.slots.slots import Slots


class SlotsLaid:
    """Implements `compose.laid.Laid`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    @cached_property
    def places(self) -> SlotPlaces:
        from newleaf.update.slots.slot_places import SlotPlaces

        return SlotPlaces(self._host.state)

    @cached_property
    def layout(self) -> Slots:
        from newleaf.update.slots.pruning import Pruning
        from newleaf.update.slots.slots import Slots

        host = self._host
        keep = host.settings.update.keep_releases
        pruning = Pruning(self.places, host.inner, self._claims, keep, self._intact)
        return Slots(self.places, lambda: host.git, self._shared, pruning, host.settings.deployment.channel)

    @property
    def housekeeping(self) -> Slots:
        return self.layout

    @property
    def origin(self) -> str | None:
        """What `init` was given, or found in the checkout that it began with."""
        from newleaf.system import files
        from newleaf.system.place import IDENTITY

        found = (files.read_record(self._host.state / IDENTITY) or {}).get("origin")
        return found if isinstance(found, str) else None

    @property
    def data(self) -> Path:
        return self.places.shared

    @property
    def trees(self) -> tuple[Path, ...]:
        return (self.places.releases, self.places.shared)

    def repository(self) -> Repository:
        from newleaf.system.git.directory import Repository

        return Repository(self.places.repository)

    def folder(self, commit: CommitId) -> Path:
        inner = self._host.inner
        top = self.places.folder(commit)
        return top if inner == "." else top / inner

    def stays_untracked(self, path: str) -> bool:
        return False

    def check_movable(self, target: Release, *, sideways: bool) -> None:
        """A branch that was rewritten is refused; releases by tag may lie on branches of their own.

        Raises: NotDescendant.
        """
        from newleaf.core.releases.git_errors import NotDescendant

        if sideways or target.tag:
            return
        live = self.layout.live()
        if not self._host.git.is_ancestor(live.commit, target.commit):
            raise NotDescendant(target=target.commit, start=live.commit)

    def note_fetched(self, branch: str, commit: CommitId) -> None:
        """Nobody else looks into the updater's own repository."""

    def moves(self, tree: Path) -> Collection[State]:
        """A release that was started by its own path never changes; the way through a link may."""
        from newleaf.core.confirmation import LINK_MOVES
        from newleaf.core.releases.names import is_commit

        return () if is_commit(tree.name) else LINK_MOVES

    def environment(self, release: Release, settings: Settings) -> SlotEnvironment:
        from newleaf.update.dependencies.slot_environments import Slot, SlotEnvironment

        commit = release.commit
        slot = Slot(self.places.folder(commit), self.folder(commit), commit, release.version)
        live = self._host.folder / ".venv"
        around, environments = self._host.surroundings, self.places.environments
        must_have_one = settings.app.starts_from_venv
        return SlotEnvironment(slot, settings.update, around, environments, live, must_have_one)

    def steps(self, settings: Settings) -> tuple[str, ...]:
        """Dependencies are installed beside the live release, so that only migrations are left."""
        return ("migrate",)

    def preflight(self, release: Release, settings: Settings) -> Preflight:
        from newleaf.update.data.migrations import child_environment
        from newleaf.update.slots.preflight import Preflight

        host, folder = self._host, self.folder(release.commit)
        facts = {
            "NEWLEAF_STATE_DIR": str(host.state),
            "NEWLEAF_COMMIT": release.commit,
            "NEWLEAF_VERSION": release.version,
        }
        env = child_environment(host.environ, folder, settings.app.python_path or (), facts)
        return Preflight(release, folder, settings, env, host.runner)

    def _shared(self, commit: CommitId) -> SharedPaths:
        from newleaf.update.slots.shared_paths import SharedPaths, shared_by

        settings = self._host.settings_of(commit)
        paths = shared_by(settings.app.shared, settings.update.state_paths)
        return SharedPaths(self.places.shared, self._host.inner, paths)

    def _intact(self, commit: CommitId, folder: Path) -> frozenset[str]:
        from newleaf.system.git.tree_writer import TreeWriter

        return TreeWriter(self._host.git).intact(commit, folder)

    def _claims(self) -> Claims:
        """What this host's records say must stay."""
        from newleaf.core.releases.retention import Claims

        host = self._host
        attempt, running = host.journal().open_attempt, host.keeper.running()
        pinned = {attempt.start.commit, attempt.target.commit} if attempt else set()
        denied = host.decisions.denied
        good = [
            entry.target.commit
            for entry in reversed(host.history.entries())
            if entry.target and (entry.confirmed or entry.outcome in ("updated", "ok"))
        ]
        used = {running.commit} if running else set()
        return Claims(pinned, used, tuple(commit for commit in good if commit not in denied))
