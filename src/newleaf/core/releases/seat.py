"""What is known at a maintainer's seat when a release is to be made: the facts that `releasing` judges.

Rules: a fact that is not known is None, and an error stands for what is there instead of something
sound; nothing here is judged but what follows from the facts alone: version, tag, last release.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct
from packaging.version import Version

from newleaf.core.data.migration import Script
from newleaf.core.errors import NewleafError
from newleaf.core.release import CommitId
from newleaf.core.releases.channels import HEADS, TAGS, Published, parse_version


class Wish(Struct, frozen=True):
    """What was asked for."""

    version: str | None = None
    sign: bool = True
    push: bool = True


class Key(Struct, frozen=True):
    """The key that signs. `name` is for people; `fault` says why it cannot be used without asking."""

    name: str
    fault: str = ""
    cure: str = ""


class Line(Struct, frozen=True):
    """The branch that is released from, here and at the remote; what is not known is None."""

    branch: str | None = None
    remote: str | None = None
    url: str = ""
    remotes: tuple[str, ...] = ()
    refs: Mapping[str, CommitId] | None = None
    """Of the remote; None when it was not asked, or did not answer."""
    error: NewleafError | None = None
    contains_remote: bool = True
    """Whether HEAD contains the head of the remote's branch."""


class Tree(Struct, frozen=True):
    """What the commit holds. An error stands for what it holds instead of something sound."""

    settings_file: str
    settings_error: NewleafError | None = None
    app: str | None = None
    version: str | None = None
    version_files: tuple[str, ...] = ()
    migrations_folder: str = "migrations"
    scripts: tuple[Script, ...] = ()
    scripts_error: NewleafError | None = None
    faults: tuple[str, ...] = ()


class Before(Struct, frozen=True):
    """The last release, as this clone has it: whether its commit is here, and what it held."""

    release: Published
    is_here: bool = True
    app: str | None = None
    scripts: frozenset[str] = frozenset()


class Seat(Struct, frozen=True):
    """Everything that is known when a release is to be made."""

    wish: Wish
    head: CommitId
    line: Line
    tree: Tree
    prefix: str = "v"
    operation: str | None = None
    changed: tuple[str, ...] = ()
    untracked_scripts: tuple[str, ...] = ()
    shallow: bool = False
    published: tuple[Published, ...] = ()
    contained: frozenset[str] = frozenset()
    """The tags of higher releases that HEAD's history holds."""
    local_tag: CommitId | None = None
    """The object of the tag to be made, where a tag of that name is here already."""
    local_fault: str | None = None
    """Why that tag is not the one to be made; None when it is."""
    before: Before | None = None
    key: Key | None = None

    @property
    def version(self) -> Version | None:
        return choose_version(self.wish, self.tree.version)

    @property
    def tag(self) -> str | None:
        return f"{self.prefix}{self.version}" if self.version else None

    @property
    def remote_tag(self) -> CommitId | None:
        """The object of the tag at the remote."""
        return (self.line.refs or {}).get(f"{TAGS}{self.tag}")

    @property
    def goes_on(self) -> bool:
        """Whether the tag is here already, as it is to be made."""
        return self.local_tag is not None and self.local_fault is None

    @property
    def is_done(self) -> bool:
        """Whether that tag is at the remote too, and the branch with it."""
        head = (self.line.refs or {}).get(f"{HEADS}{self.line.branch}")
        return self.goes_on and self.remote_tag == self.local_tag and head is not None


def choose_version(wish: Wish, said: str | None) -> Version | None:
    """The version to release: the tree's where it says one, else the one that was asked for."""
    text = said or wish.version
    return parse_version(text) if text else None


def last_release(published: Iterable[Published], version: Version) -> Published | None:
    """What hosts come from: the highest release below `version`."""
    return max((p for p in published if p.version < version), key=lambda p: p.version, default=None)
