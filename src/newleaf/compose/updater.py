"""`newleaf.Updater`: the agent inside a daemon, put together.

What it needs is loaded when it begins, in a thread: that takes longer than an event loop may stand still.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from newleaf.agent.attempt_process import inherited
from newleaf.agent.beside import Beside, BesideParts
from newleaf.agent.children import Children
from newleaf.agent.departure import Leaving
from newleaf.agent.embed import Embedded, Inside
from newleaf.agent.status_mirror import FINISH_SECONDS
from newleaf.core.settings.fragments import GivenSettings

if TYPE_CHECKING:
    from newleaf.agent.jobs import Busy
    from newleaf.compose.beside import Calls
    from newleaf.compose.host import Host
    from newleaf.compose.mirroring import Following

__all__ = ["Updater"]


class Updater(Embedded):
    """Keeps the daemon that it lives in up to date.

    The app is found by its tree, or by `name`; `settings` rank as the host's. In an event loop write
    `async with updater:`, elsewhere `with updater:`, which starts a thread.
    """

    def __init__(self, name: str | None = None, settings: GivenSettings | None = None) -> None:
        making = _Making(name, settings or GivenSettings())
        super().__init__(making, logging.getLogger("newleaf").warning, lambda: datetime.now(UTC))


class _Making:
    """Implements `agent.embed.Makes`."""

    def __init__(self, name: str | None, given: GivenSettings) -> None:
        said = given.fragment.inputs.get("app.name")
        self.app = name or (said.value if said else None)
        self.state_dir: Path | None = None
        self.config: Path | None = None
        self._given = given

    def find(self) -> Path:
        from newleaf.compose import noted
        from newleaf.system.place import find_place

        return find_place(self, _tree(), os.environ, noted).state

    def is_deployed(self, state: Path) -> bool:
        from newleaf.compose import is_deployed

        return is_deployed(state)

    def job(self, state: Path, name: str) -> Busy:
        from newleaf.agent.jobs import Busy

        return Busy(state, name)

    def make(self, say: Callable[[str], None]) -> Inside:
        from newleaf.compose import host
        from newleaf.compose.beside import parts
        from newleaf.compose.mirroring import Following

        looks, attempts, following = Children(), Children(), Following(say)
        leaving = [Leaving("none")]
        words: list[Callable[[datetime], None]] = []

        def read() -> BesideParts:
            found = host(self, self._given.fragment, _tree())
            leaves = _leaving(found)
            made = parts(found, self._calls(found, leaves, attempts, following), looks, say)
            leaving[0], words[:] = leaves, [found.status_file.say_restarting]
            return made

        return Inside(
            Beside(read, say, read()),
            lambda: leaving[0],
            looks,
            attempts,
            lambda: following.stop(FINISH_SECONDS),
            lambda: words[0](datetime.now(UTC)),
        )

    def _calls(self, found: Host, leaving: Leaving, attempts: Children, following: Following) -> Calls:
        """Attempts are told what this process was told; a daemon signals itself, when it has drained."""
        from newleaf.compose.beside import Calls

        env = {**self._given.variables, **inherited(os.environ)}
        if leaving.mode == "sigterm":
            env["NEWLEAF_RESTART__MODE"] = "exit"
        folder = found.state if found.place.has_slots else found.place.folder
        return Calls(("--state-dir", str(found.state)), folder, env, attempts, following)


def _tree() -> Path:
    from newleaf.compose import own_tree
    from newleaf.system.place import current_folder

    return own_tree() or current_folder()


def _leaving(found: Host) -> Leaving:
    restart, stop = found.settings.restart, found.settings.app.stop_seconds
    away = stop + found.settings.health.ready
    return Leaving(restart.mode, restart.exit_code, found.settings.gates.max_wait, stop, away)
