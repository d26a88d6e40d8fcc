"""Which releases stay on the disk (lessons.md L24). Pure.

Rules, in their order:

1. What `current` and `previous` lead to stays, and so do both ends of the open attempt.
2. A release that a living process uses stays.
3. The newest `keep` of those that were good stay: confirmed ones, and those that an attempt completed.
4. All others go.

An environment stays as long as a release that stays links to it, or a living process uses it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct


class Holdings(Struct, frozen=True):
    """What lies on the disk, by name: releases, each with the environment it links to, and all of these."""

    releases: Mapping[str, str | None]
    environments: Collection[str]


class Claims(Struct, frozen=True):
    """What stays, whatever its age. `good` are the releases that were good here, newest first."""

    pinned: Collection[str]
    used: Collection[str]
    good: tuple[str, ...]


class Superfluous(Struct, frozen=True):
    """What may go."""

    releases: tuple[str, ...]
    environments: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.releases or self.environments)


def superfluous(holdings: Holdings, claims: Claims, keep: int) -> Superfluous:
    """What goes by the rules. `used` may name releases and environments alike."""
    here = [name for name in dict.fromkeys(claims.good) if name in holdings.releases]
    staying = {*claims.pinned, *claims.used, *here[:keep]}
    needed = {*claims.used, *(holdings.releases[name] for name in holdings.releases if name in staying)}
    return Superfluous(
        tuple(sorted(name for name in holdings.releases if name not in staying)),
        tuple(sorted(name for name in holdings.environments if name not in needed)),
    )
