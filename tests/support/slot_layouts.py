"""A host with release slots: the updater's own git, and the layout, as a fresh process would make them."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from newleaf.core.release import CommitId, Release
from newleaf.core.releases.retention import Claims
from newleaf.system.commands import Runner
from newleaf.system.git.directory import Git, Repository
from newleaf.system.git.environment import Access
from newleaf.system.git.tree_writer import TreeWriter
from newleaf.update.slots.pruning import Pruning
from newleaf.update.slots.shared_paths import SharedPaths
from newleaf.update.slots.slot_places import SlotPlaces
from newleaf.update.slots.slots import Slots
from tests.support.repositories import Content, Link, Remote, Script

MAIN = "refs/heads/main"
FIRST: dict[str, Content] = {
    "app.py": "one\n",
    "run.sh": Script("#!/bin/sh\n"),
    "link": Link("app.py"),
    "data/seed.txt": "seed\n",
    ".gitattributes": "*.txt text eol=crlf\n",
}
SECOND: dict[str, Content] = {"app.py": "two\n", "new.py": "n\n", "link": Link("new.py")}


@dataclass
class SlotHost:
    """A state directory that follows `remote`; `good` are the releases that were good, newest first."""

    remote: Remote
    state: Path
    shared: tuple[str, ...] = ()
    inner: str = "."
    good: list[CommitId] = field(default_factory=list)
    pinned: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    keep: int = 3
    runner: Runner = field(default_factory=Runner)

    @property
    def places(self) -> SlotPlaces:
        return SlotPlaces(self.state)

    @property
    def git(self) -> Git:
        outer = {"PATH": os.environ["PATH"], "HOME": str(self.state)}
        return Git(Repository(self.places.repository), Access(self.remote.url), self.runner, outer)

    @property
    def pruning(self) -> Pruning:
        def intact(commit: CommitId, folder: Path) -> frozenset[str]:
            return TreeWriter(self.git).intact(commit, folder)

        return Pruning(self.places, self.inner, self._claims, self.keep, intact)

    @property
    def layout(self) -> Slots:
        def shared(_commit: CommitId) -> SharedPaths:
            return SharedPaths(self.places.shared, self.inner, self.shared)

        return Slots(self.places, lambda: self.git, shared, self.pruning, "alpha")

    def _claims(self) -> Claims:
        return Claims(set(self.pinned), set(self.used), tuple(self.good))

    def fetched(self, contents: dict[str, Content], version: str | None = None) -> Release:
        """A new commit on the branch, its objects fetched."""
        commit = self.remote.commit(contents)
        self.git.fetch({MAIN: commit})
        return Release(commit, version)

    def update(self, contents: dict[str, Content]) -> tuple[Release, list[str]]:
        """A new commit, staged, made live and counted as good; with the notes."""
        release = self.fetched(contents)
        return release, self.move_to(release)

    def move_to(self, release: Release) -> list[str]:
        """Stages a release and makes it live; the notes."""
        layout = self.layout
        layout.stage(release)
        layout.place(release, sideways=False)
        notes = layout.activate(release)
        self.good.insert(0, release.commit)
        return notes

    def folder(self, release: Release) -> Path:
        return self.places.folder(release.commit)

    def is_whole(self, release: Release) -> bool:
        """Whether all of a release lies there, its links to what is shared too."""
        paths = SharedPaths(self.places.shared, self.inner, self.shared).from_top
        folder = self.folder(release)
        return (
            self.layout._is_whole(release)
            and TreeWriter(self.git).holds(release.commit, folder, paths)
            and all((folder / path).is_symlink() for path in paths)
        )

    def names(self) -> set[str]:
        """What lies among the releases."""
        return set(os.listdir(self.places.releases))


def make_slot_host(folder: Path) -> SlotHost:
    """An empty host and its empty remote."""
    state = folder / "state"
    state.mkdir(mode=0o700)
    return SlotHost(Remote.make(folder), state)


def picture(folder: Path) -> dict[str, object]:
    """All that lies in a folder: links by where they lead, files by mode and content."""
    found: dict[str, object] = {}
    for top, folders, names in os.walk(folder):
        for path in (Path(top, name) for name in (*folders, *names)):
            name = str(path.relative_to(folder))
            if path.is_symlink():
                found[name] = os.readlink(path)
            elif path.is_file():
                found[name] = stat.S_IMODE(path.stat().st_mode), path.read_bytes()
            else:
                found[name] = None
    return found
