"""The layout with names: a commit is what lies on disk, a release is what people know it as."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from newleaf.core.release import CommitId, Release

if TYPE_CHECKING:
    from newleaf.update.checkout.in_place import InPlace


class NamedInPlace(Struct, frozen=True):
    """`InPlace`, whose live release carries its version. Implements `core.ports.Layout`."""

    in_place: InPlace
    name: Callable[[CommitId], Release]

    def live(self) -> Release:
        """What is checked out, with its version."""
        return self.name(self.in_place.live().commit)

    def stage(self, release: Release) -> None:
        """See `InPlace`."""
        self.in_place.stage(release)

    def place(self, release: Release, *, sideways: bool) -> None:
        """See `InPlace`."""
        self.in_place.place(release, sideways=sideways)

    def activate(self, release: Release) -> list[str]:
        """See `InPlace`."""
        return self.in_place.activate(release)
