"""What an attempt works with, put together by `compose`, and the kinds of attempt."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from newleaf.core.ports import (
        Data,
        Environment,
        Gates,
        Housekeeping,
        Launcher,
        Layout,
        Preflight,
        Reporter,
        Restarts,
        Source,
    )
    from newleaf.core.records import AttemptRecord, Identity
    from newleaf.core.release import Release
    from newleaf.update.decisions import Decisions
    from newleaf.update.history import History
    from newleaf.update.journal import Journal

UPDATE = "update"
ROLLBACK = "rollback"
"""Goes back by a person's order; its data step restores instead of migrating."""
REPAIR = "repair"
"""Stays at its commit and mends what is installed; it restarts nothing."""


class TargetParts(Struct, frozen=True, dict=True):
    """What the target's own copy of the app's settings governs. Its data may never be asked for.

    `steps` are those that change what is live, in their order; `preflight` is None where the layout has no
    place to try a release in. Where it has one, dependencies are installed beside the live release too.
    """

    environment: Environment
    steps: tuple[str, ...]
    make_data: Callable[[], Data]
    preflight: Preflight | None = None

    @cached_property
    def data(self) -> Data:
        """The data on its way to the target."""
        return self.make_data()


class Parts(Protocol):
    """Everything a transaction is made of; a part may be made only when it is first asked for."""

    @property
    def identity(self) -> Identity: ...

    @property
    def journal(self) -> Journal: ...

    @property
    def history(self) -> History: ...

    @property
    def decisions(self) -> Decisions: ...

    @property
    def source(self) -> Source: ...

    @property
    def layout(self) -> Layout: ...

    @property
    def housekeeping(self) -> Housekeeping: ...

    @property
    def restarts(self) -> Restarts: ...

    @property
    def launcher(self) -> Launcher | None:
        """Who supervises the daemon; None where nobody does."""
        ...

    @property
    def gates(self) -> Gates: ...

    @property
    def reporter(self) -> Reporter: ...

    def parts_for(self, release: Release, attempt: AttemptRecord | None) -> TargetParts:
        """What the release's own copy of the settings governs."""
        ...

    def require_sound(self) -> None:
        """Refuses settings that a part would refuse only when it comes to use them.

        Raises: SettingsInvalid.
        """
        ...

    def clear_signal(self) -> None:
        """Takes the signal away: its target is here, or is no longer ahead."""
        ...

    def now(self) -> datetime:
        """The time, in UTC."""
        ...
