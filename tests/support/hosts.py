"""A host with a checkout: the updater's git beside it, and the layout that moves it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from newleaf.core.release import CommitId, Release
from newleaf.core.releases.names import HEADS
from newleaf.system.commands import Runner
from newleaf.system.git.directory import Git, Repository
from newleaf.system.git.environment import Access
from newleaf.system.git.worktree import Worktree, read_config
from newleaf.update.checkout.in_place import InPlace
from tests.support.repositories import Checkout, Remote


@dataclass
class Host:
    """A checkout of `remote`, and newleaf's state directory beside it."""

    remote: Remote
    checkout: Checkout
    state: Path
    branch: str = "main"
    refuses_dirty: bool = False
    settings: dict[str, object] = field(default_factory=dict)
    runner: Runner = field(default_factory=Runner)

    @property
    def git(self) -> Git:
        """The updater's git, as a fresh process would make it."""
        worktree = Worktree.find(self.checkout.path)
        repository = Repository.beside(worktree, read_config(worktree, Runner()), self.state / "git")
        access = Access(self.remote.url, git_config=self.settings)
        outer = {"PATH": os.environ["PATH"], "HOME": str(self.state)}
        return Git(repository, access, self.runner, outer)

    @property
    def layout(self) -> InPlace:
        """The layout, as a fresh process would make it."""
        worktree = Worktree.find(self.checkout.path)
        return InPlace(self.git, worktree, self.branch, refuses_dirty=self.refuses_dirty)

    def update(self, ref: str = "", commit: str | None = None, *, sideways: bool = False) -> list[str]:
        """Fetches the head of a ref (the branch unless named) and moves there, or to `commit`; the notes."""
        release = self.fetched(ref, commit)
        layout = self.layout
        layout.check_movable(release, sideways=sideways)
        layout.place(release, sideways=sideways)
        return layout.activate(release)

    def fetched(self, ref: str = "", commit: str | None = None) -> Release:
        """The release that a ref of the remote stands for, its objects fetched."""
        name = ref or HEADS + self.branch
        head = self.remote.id_of(name)
        self.git.fetch({name: head})
        return Release(CommitId(commit or head))


def make_host(folder: Path, remote: Remote, *options: str, url: str | None = None) -> Host:
    """A host at `folder` with a fresh clone."""
    checkout = remote.clone(folder / "checkout", *options, url=url)
    return Host(remote, checkout, folder / "state")
