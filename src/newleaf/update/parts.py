"""What an attempt works with, put together by `compose`, and the kinds of attempt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from newleaf.core.ports import Data, Environment, Gates, Layout, Reporter, Restarts, Source
from newleaf.core.records import AttemptRecord
from newleaf.core.release import Release
from newleaf.update.decisions import Decisions
from newleaf.update.history import History
from newleaf.update.journal import Journal

UPDATE = "update"
ROLLBACK = "rollback"
"""Goes back by a person's order; its data step restores instead of migrating."""
REPAIR = "repair"
"""Stays at its commit and mends what is installed; it restarts nothing."""


@dataclass(frozen=True)
class TargetParts:
    """What the target's own copy of the app's settings governs."""

    environment: Environment
    data: Data
    steps: tuple[str, ...]


@dataclass(frozen=True)
class Identity:
    """What every status says of this host."""

    app: str
    computer: str
    channel: str


@dataclass(frozen=True)
class Parts:
    """Everything a transaction is made of."""

    identity: Identity
    journal: Journal
    history: History
    decisions: Decisions
    source: Source
    layout: Layout
    parts_for: Callable[[Release, AttemptRecord | None], TargetParts]
    restarts: Restarts
    gates: Gates
    reporter: Reporter
    clear_signal: Callable[[], None]
    now: Callable[[], datetime]
