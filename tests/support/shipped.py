"""What a simulated host has: releases, data, a run of its daemon."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from newleaf.core.release import CommitId, Release


@dataclass(frozen=True)
class Shipped:
    """One release as it was pushed. `broken` names the step that it fails in, for ever."""

    release: Release
    lock: str = "lock 1"
    migrations: tuple[str, ...] = ()
    offline: frozenset[str] = frozenset()
    declared: bool = False
    broken: str = ""

    @property
    def commit(self) -> CommitId:
        return self.release.commit


@dataclass(frozen=True)
class Store:
    """The app's data: what the daemon wrote, and what migrations made of it."""

    rows: frozenset[int] = frozenset()
    applied: frozenset[str] = frozenset()
    half: str = ""


@dataclass
class Process:
    """One run of the daemon. `loaded` is the truth, None for parts of two trees."""

    loaded: Shipped | None
    started: datetime
    reported: Release | None = None
    has_reported: bool = False
