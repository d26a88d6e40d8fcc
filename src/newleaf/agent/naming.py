"""The layout with names: a commit is what lies on disk, a release is what people know it as."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from newleaf.core.release import CommitId, Release
from newleaf.system.loaded_tree import read_head

if TYPE_CHECKING:
    from newleaf.update.checkout.in_place import InPlace


class NamedInPlace(Struct, frozen=True, dict=True):
    """`InPlace` for the checkout at `top`, whose live release carries its version.

    Implements `core.ports.Layout` and `Housekeeping`. To say what is live, git's files are read; git is asked
    where they do not say it, and what moves the checkout is made when something is to be moved.
    """

    top: Path
    name: Callable[[CommitId], Release]
    make: Callable[[], InPlace]

    @cached_property
    def in_place(self) -> InPlace:
        """What moves the checkout."""
        return self.make()

    def live(self) -> Release:
        """What is checked out, with its version."""
        return self.name(read_head(self.top) or self.in_place.live().commit)

    def stage(self, release: Release) -> None:
        """See `InPlace`."""
        self.in_place.stage(release)

    def place(self, release: Release, *, sideways: bool) -> None:
        """See `InPlace`."""
        self.in_place.place(release, sideways=sideways)

    def activate(self, release: Release) -> list[str]:
        """See `InPlace`."""
        return self.in_place.activate(release)

    def tidy(self) -> list[str]:
        """Nothing: there is one tree, and it is in use."""
        return []
