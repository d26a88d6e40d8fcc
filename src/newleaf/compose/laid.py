"""How releases lie on this host's disk, and what follows from it: all in which layouts differ."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from newleaf.core.ports import Environment, Housekeeping, Layout, Preflight
    from newleaf.core.release import CommitId, Release
    from newleaf.core.settings.model import Settings
    from newleaf.core.states import State
    from newleaf.system.git.directory import Repository


class Laid(Protocol):
    """What a layout decides. Made of a host by `Host.laid`; `InPlaceLaid` and `SlotsLaid` implement it."""

    @property
    def layout(self) -> Layout:
        """What the transaction moves."""
        ...

    @property
    def housekeeping(self) -> Housekeeping:
        """What makes room."""
        ...

    @property
    def origin(self) -> str | None:
        """Where releases come from when `source.url` does not say it."""
        ...

    @property
    def data(self) -> Path:
        """Where relative paths of declared data begin."""
        ...

    @property
    def trees(self) -> tuple[Path, ...]:
        """The folders in which fetched files come to lie."""
        ...

    def repository(self) -> Repository:
        """Where the updater's git keeps its objects."""
        ...

    def folder(self, commit: CommitId) -> Path:
        """The app's folder in the tree of a release."""
        ...

    def stays_untracked(self, path: str) -> bool:
        """Whether a file that a commit does not have lies there all the same when the commit is live."""
        ...

    def check_movable(self, target: Release, *, sideways: bool) -> None:
        """Refuses a target that the layout would not move to."""
        ...

    def note_fetched(self, branch: str, commit: CommitId) -> None:
        """Lets others know what the branch has at the remote."""
        ...

    def moves(self, tree: Path) -> Collection[State]:
        """The states of an attempt in which what a process has loaded from `tree` may change under it."""
        ...

    def environment(self, release: Release, settings: Settings) -> Environment:
        """The dependencies of a release."""
        ...

    def steps(self, settings: Settings) -> tuple[str, ...]:
        """The steps that change what is live, in their order."""
        ...

    def preflight(self, release: Release, settings: Settings) -> Preflight | None:
        """What tries a release beside the live one; None where there is no place for that."""
        ...
