"""What lies in an app's repository, as facts: no choice, no advice.

`system.repository` and `system.checkout` fill these in; `core.adoption.proposal` and
`core.adoption.obstacles` judge them. Paths are relative to the top of the repository, with `/`; "." is the
top itself. A finding names the file it comes from, so that whatever is said of it can be looked up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

StartKind = Literal["systemd", "launchd", "procfile", "docker", "compose", "script", "module", "file"]
BuildKind = Literal["node", "extension", "script"]


class Start(Struct, frozen=True):
    """A way to start a process: an argv, or a line that a shell reads.

    `restart` is what its keeper does when the process ends: systemd's word (`always`, `on-failure`,
    `no`…), for launchd the nearest of these; None where the file does not say. `working_directory` is
    where the app lies for the keeper: an image's WORKDIR, a unit's WorkingDirectory.
    """

    kind: StartKind
    source: str
    name: str
    command: tuple[str, ...] | str
    restart: str | None = None
    refuses_exit_42: bool = False
    working_directory: str | None = None
    user_level: bool = False


class Project(Struct, frozen=True):
    """One Python project of the repository: a folder with pyproject.toml, setup.py or requirements."""

    path: str = "."
    name: str | None = None
    version: Literal["static", "dynamic", "missing"] = "missing"
    version_file: str | None = None
    build_backend: str | None = None
    scripts: tuple[str, ...] = ()
    manifests: tuple[str, ...] = ()
    locks: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    needs_newleaf: bool = False
    src_layout: bool = False
    packages: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    workspace: bool = False
    problem: str | None = None

    @property
    def uses_poetry(self) -> bool:
        """Whether poetry made its lock file."""
        return "poetry.lock" in self.locks

    @property
    def is_installable(self) -> bool:
        """Whether the project says how it is built, so that its entry points can be installed."""
        return self.build_backend is not None or "setup.py" in self.manifests


class Unit(Struct, frozen=True):
    """A systemd unit or launchd job that is no daemon: run by a timer, or once."""

    source: str
    name: str
    commands: tuple[str, ...]


class BuildStep(Struct, frozen=True):
    """Something that must be built before the app works, and the command that does it."""

    kind: BuildKind
    source: str
    command: str


class DeployScript(Struct, frozen=True):
    """What deploys this repository today, by the look of it."""

    source: str
    why: str


class Findings(Struct, frozen=True):
    """Everything read from the files of a repository."""

    projects: tuple[Project, ...] = ()
    starts: tuple[Start, ...] = ()
    units: tuple[Unit, ...] = ()
    make_targets: Mapping[str, str] = field(default_factory=dict)
    submodules: tuple[str, ...] = ()
    lfs: tuple[str, ...] = ()
    builds: tuple[BuildStep, ...] = ()
    deploy_scripts: tuple[DeployScript, ...] = ()
    images: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    migrations: tuple[str, ...] = ()
    foreign_migrations: tuple[str, ...] = ()
    paths: frozenset[str] = frozenset()
    untracked: tuple[str, ...] = ()
    programs: frozenset[str] = frozenset()
    unread: tuple[str, ...] = ()


class GitSetting(Struct, frozen=True):
    """One setting of git, as `git config` has it; `scope` is system, global, local, worktree or command."""

    key: str
    value: str
    scope: str


class CheckoutFacts(Struct, frozen=True):
    """What git says of a checkout.

    `branch` is None when HEAD is detached; `unpushed` counts commits that no remote has; `embedded` are the
    repositories inside the tree (submodules), by path; `operation` is a merge or rebase under way.
    """

    top: str
    head: str | None = None
    branch: str | None = None
    default_branch: str | None = None
    upstream_remote: str | None = None
    upstream_branch: str | None = None
    remote_branches: frozenset[str] = frozenset()
    """As `origin/main`, by what was fetched last."""
    remotes: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unpushed: int = 0
    operation: str | None = None
    tracked: frozenset[str] = frozenset()
    embedded: tuple[str, ...] = ()
    settings: tuple[GitSetting, ...] = ()
    linked_worktree: bool = False
    shallow: bool = False
