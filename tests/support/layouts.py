"""A host of each layout, alike to those who test what every layout must do."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from newleaf.core.ports import Layout
from newleaf.core.release import Release
from newleaf.core.releases.names import HEADS
from newleaf.core.releases.retention import Claims
from newleaf.system import files as files_of_records
from newleaf.system.commands import Runner
from newleaf.system.git.directory import Git, Repository
from newleaf.system.git.environment import Access
from newleaf.system.git.tree_writer import TreeWriter
from newleaf.update.slots.pruning import Pruning
from newleaf.update.slots.shared_paths import SharedPaths
from newleaf.update.slots.slot_places import SlotPlaces
from newleaf.update.slots.slots import Slots
from tests.support.hosts import make_host
from tests.support.repositories import Content, Remote


@dataclass
class LayoutHost:
    """One host with one app at the remote's first commit; `layout` is made as a fresh process would."""

    remote: Remote
    layout: Callable[[], Layout]
    git: Callable[[], Git]
    app: Path
    """The folder that a start of the daemon would begin in."""
    folder: Path
    """All that the layout may write to."""

    def push(self, files: dict[str, Content]) -> Release:
        """A new commit at the remote, whose objects are here."""
        commit = self.remote.commit(files)
        self.git().fetch({HEADS + self.remote.branch: commit})
        return Release(commit)

    def move(self, release: Release, *, sideways: bool = False) -> list[str]:
        """All that an attempt asks of a layout, by a fresh process."""
        layout = self.layout()
        layout.stage(release)
        layout.place(release, sideways=sideways)
        return layout.activate(release)

    def text(self, path: str) -> str | None:
        """What a file of the live tree holds; None when there is none."""
        file = self.app / path
        return file.read_text() if file.exists() else None


def in_place_host(folder: Path, files: dict[str, Content]) -> LayoutHost:
    remote = Remote.make(folder)
    remote.commit(files)
    host = make_host(folder / "host", remote)
    return LayoutHost(remote, lambda: host.layout, lambda: host.git, host.checkout.path, host.checkout.path)


def slots_of(state: Path, git: Git, *shared: str, keep: int = 3, claims: Claims | None = None) -> Slots:
    """The slots of one state directory, as a fresh process would make them."""
    places = SlotPlaces(state)
    paths = SharedPaths(places.shared, ".", shared)

    pruning = Pruning(places, ".", lambda: claims or Claims((), (), ()), keep, TreeWriter(git).intact)
    return Slots(places, lambda: git, lambda _: paths, pruning, "alpha")


def slots_host(folder: Path, files: dict[str, Content]) -> LayoutHost:
    remote = Remote.make(folder)
    remote.commit(files)
    state = folder / "state"
    state.mkdir(mode=0o700)

    def git() -> Git:
        outer = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        return Git(Repository(state / "repo.git"), Access(remote.url), Runner(), outer)

    def layout() -> Slots:
        files_of_records.prepare_state_directory(state)
        return slots_of(state, git())

    host = LayoutHost(remote, layout, git, state / "current", state)
    head = remote.id_of(HEADS + remote.branch)
    git().fetch({HEADS + remote.branch: head})
    host.move(Release(head))
    return host


HOSTS = {"in_place": in_place_host, "slots": slots_host}
