"""A host whose checkout moves, put together."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from newleaf.core.release import CommitId, Release

if TYPE_CHECKING:
    from newleaf.agent.naming import NamedInPlace
    from newleaf.compose.host import Host
    from newleaf.core.settings.model import Settings
    from newleaf.core.states import State
    from newleaf.system.git.directory import Repository
    from newleaf.system.git.worktree import CheckoutConfig, Worktree
    from newleaf.system.place import Place
    from newleaf.update.checkout.in_place import InPlace
    from newleaf.update.dependencies.environments import InPlaceEnvironment


class InPlaceLaid:
    """Implements `compose.laid.Laid`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._names: dict[CommitId, Release] = {}

    @cached_property
    def worktree(self) -> Worktree:
        from newleaf.system.git.worktree import Worktree

        return Worktree.find(self._host.place.top)

    @cached_property
    def config(self) -> CheckoutConfig:
        from newleaf.system.git.worktree import read_config

        return read_config(self.worktree, self._host.runner, self._host.environ)

    @cached_property
    def layout(self) -> NamedInPlace:
        from newleaf.agent.naming import NamedInPlace

        return NamedInPlace(self._host.place.top, self._name, self._in_place)

    @property
    def housekeeping(self) -> NamedInPlace:
        return self.layout

    @property
    def origin(self) -> str | None:
        return self.config.origin

    @property
    def data(self) -> Path:
        return self._host.folder

    @property
    def trees(self) -> tuple[Path, ...]:
        return (self._host.place.top,)

    def repository(self) -> Repository:
        from newleaf.system.git.directory import Repository

        return Repository.beside(self.worktree, self.config, self._host.state / "git")

    def folder(self, commit: CommitId) -> Path:
        return self._host.folder

    def stays_untracked(self, path: str) -> bool:
        in_place = self.layout.in_place
        return path in in_place.adopted.read() or self._host.git.show(in_place.live().commit, path) is None

    def check_movable(self, target: Release, *, sideways: bool) -> None:
        self.layout.in_place.check_movable(target, sideways=sideways)

    def note_fetched(self, branch: str, commit: CommitId) -> None:
        """The checkout's `origin/BRANCH` follows, where that is where newleaf fetches from."""
        if self._host.url == self.config.origin:
            self.layout.in_place.tree.note_fetched(branch, commit)

    def moves(self, tree: Path) -> Collection[State]:
        from newleaf.core.confirmation import CHECKOUT_MOVES

        return CHECKOUT_MOVES

    def environment(self, release: Release, settings: Settings) -> InPlaceEnvironment:
        from newleaf.update.dependencies.environments import InPlaceEnvironment

        host, must_have_one = self._host, settings.app.starts_from_venv
        return InPlaceEnvironment(
            host.folder, settings.update, host.surroundings, host.state, release.commit, must_have_one
        )

    def steps(self, settings: Settings) -> tuple[str, ...]:
        return settings.update.steps

    def preflight(self, release: Release, settings: Settings) -> None:
        return None

    def _in_place(self) -> InPlace:
        from newleaf.update.checkout.in_place import InPlace

        settings = self._host.settings
        refuses = settings.update.dirty_tree == "refuse"
        return InPlace(self._host.git, self.worktree, settings.source.branch, refuses_dirty=refuses)

    def _name(self, commit: CommitId) -> Release:
        """A commit with the version by which this host knows it."""
        if commit not in self._names:
            attempts = reversed(self._host.journal().attempts)
            known = next((a.target for a in attempts if a.target.commit == commit), None)
            self._names[commit] = known or Release(commit, self._host.origin.version_of(commit))
        return self._names[commit]


def app_file_amid_move(place: Place, environ: Mapping[str, str]) -> bytes | None:
    """The app's file of the commit from which a killed move had begun; None where none is under way."""
    from newleaf.system.commands import Runner
    from newleaf.system.git.directory import Git, Repository
    from newleaf.system.git.environment import Access
    from newleaf.system.git.worktree import Worktree, read_config
    from newleaf.system.loaded_tree import read_head
    from newleaf.update.checkout.move import MoveRecord

    folder, runner = place.state / "git", Runner()
    move = MoveRecord(folder / "move.json").read()
    if move is None or move.start == move.target or read_head(place.top) != move.start:
        return None
    if not place.app_file.is_relative_to(place.top):
        return None
    worktree = Worktree.find(place.top)
    repository = Repository.beside(worktree, read_config(worktree, runner, environ), folder)
    path = place.app_file.relative_to(place.top).as_posix()
    return Git(repository, Access(str(place.top)), runner, environ).show(move.start, path)
