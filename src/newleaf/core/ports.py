"""What the update transaction needs of the outside, as Protocols; `system` and `update` implement them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from newleaf.core.release import CommitId, Release

OnLine = Callable[[str], None]
"""Is given each line of progress."""


class Clock(Protocol):
    """Where the time comes from; read once per decision."""

    def now(self) -> datetime:
        """The time now, in UTC."""
        ...


class Layout(Protocol):
    """How releases lie on disk. Every method may be called again after a kill, with the same effect."""

    def live(self) -> CommitId:
        """The commit that a start of the daemon would load now."""
        ...

    def stage(self, release: Release) -> None:
        """Makes the release ready beside the live one, touching nothing live."""
        ...

    def place(self, release: Release) -> None:
        """Moves the live tree to the release, where the layout has only one tree."""
        ...

    def activate(self, release: Release) -> None:
        """Makes the release the one that a start of the daemon loads."""
        ...


class Environment(Protocol):
    """The dependencies that the live tree runs with."""

    def owed(self) -> str | None:
        """Why the installed dependencies are not what the tree asks for; None when they are."""
        ...

    def install(self, on_line: OnLine) -> None:
        """Makes the installed dependencies what the tree asks for."""
        ...


class Journal(Protocol):
    """Where every move of an attempt is written before it is made."""

    def append(self, state: str, **detail: object) -> None:
        """Adds a record, durably."""
        ...


__all__ = ["Clock", "CommitId", "Environment", "Journal", "Layout", "OnLine", "Release"]
