"""Hosts that keep a folder for each release: newleaf's, and what a shell makes with git and uv."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.ground import Ground, newleaf_program, resident_program
from bench.measure import DidNotWork, Program, Resident
from tests.support.repositories import Remote

MANY = 1000
"""Releases to keep: more than a run of the bench makes."""
FETCH_AND_TREE = (
    "git --git-dir=repo.git fetch --quiet origin main && id=$(git --git-dir=repo.git rev-parse FETCH_HEAD)"
    " && git --git-dir=repo.git worktree add --quiet --detach $PWD/releases/$id $id"
)
LINK = " && ln -sfn releases/$id current"
REMOVE_OLD = (
    " && for old in $(ls -t releases | tail -n +3);"
    " do git --git-dir=repo.git worktree remove --force releases/$old || exit; done"
)
SYNC = " && (cd releases/$id && exec uv sync --frozen --quiet)"


@dataclass(frozen=True)
class SlotsHost:
    """One host with release slots below `state`, whose releases are not tried before they are live.

    `keep` is `update.keep_releases`; `variables` are more of its settings.
    """

    ground: Ground
    remote: Remote
    state: Path
    keep: int
    variables: Mapping[str, str]

    @classmethod
    def make(
        cls,
        ground: Ground,
        name: str,
        remote: Remote,
        keep: int = MANY,
        variables: Mapping[str, str] | None = None,
    ) -> SlotsHost:
        """What the remote has now is live, its environment with it."""
        host = cls(ground, remote, ground.folder / "slots" / name, keep, variables or {})
        host.state.parent.mkdir(exist_ok=True)
        host.newleaf("init", "--slots", "--from", remote.url).run()
        return host

    @property
    def environments(self) -> Path:
        return self.state / "envs"

    def newleaf(self, *arguments: str) -> Program:
        """newleaf as a whole program."""
        name = " ".join(("newleaf", *arguments))
        argv = (*newleaf_program(), *arguments)
        return Program(name, argv, self.ground.folder, self.environment, self.arrived)

    def resident(self, name: str, work: str, prove: Callable[[], None]) -> Resident:
        """newleaf in a process that stays."""
        return Resident(name, resident_program(work), self.ground.folder, self.environment, prove)

    def arrived(self) -> None:
        """Proves that the head of the branch is live."""
        _require(self.state / "current", self.remote)

    @property
    def environment(self) -> dict[str, str]:
        """What newleaf is started with, so that it finds this host."""
        return self.ground.environment | {
            "NEWLEAF_STATE_DIR": str(self.state),
            "NEWLEAF_UPDATE__PREFLIGHT": "false",
            "NEWLEAF_UPDATE__KEEP_RELEASES": str(self.keep),
            **self.variables,
        }


@dataclass(frozen=True)
class ShellHost:
    """The same by hand: a bare repository, a worktree for each release, a link."""

    ground: Ground
    remote: Remote
    folder: Path

    @classmethod
    def make(cls, ground: Ground, name: str, remote: Remote) -> ShellHost:
        """An empty one."""
        host = cls(ground, remote, ground.folder / "shell" / name)
        (host.folder / "releases").mkdir(parents=True)
        ground.call("git", "init", "--quiet", "--bare", "--template=", "repo.git", folder=host.folder)
        origin = ("remote", "add", "origin", remote.url)
        ground.call("git", "--git-dir=repo.git", *origin, folder=host.folder)
        return host

    def program(self, name: str, script: str) -> Program:
        """A script that makes the branch's head the current release."""
        argv = ("/bin/sh", "-c", script)
        return Program(name, argv, self.folder, self.ground.environment, self.arrived)

    def arrived(self) -> None:
        """Proves that the head of the branch is live."""
        _require(self.folder / "current", self.remote)


def _require(link: Path, remote: Remote) -> None:
    live, wanted = link.resolve().name, remote.id_of(f"refs/heads/{remote.branch}")
    if live != wanted:
        raise DidNotWork(f"{live[:9]} is live, the remote is at {wanted[:9]}")
