"""Tries a release beside the live one: its code is loaded with its own interpreter, and its own check is run.

Rules: in the release's folder and environment, under `update.preflight_timeout`, its output kept; what it
needs of the host it finds as the daemon would, and NEWLEAF_PREFLIGHT tells it that it is only tried. Loading
leaves byte code behind, so that the daemon starts warm. A release that cannot be loaded is denied by whoever
asked; this module only says so.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from newleaf.core.errors import CommandFailed, CommandTimedOut, ProgramMissing
from newleaf.core.ports import OnLine
from newleaf.core.release import Release
from newleaf.core.releases.slot_errors import PreflightFailed
from newleaf.core.releases.start_point import find_start_point
from newleaf.core.settings.model import Settings
from newleaf.system.commands import Command, Runner
from newleaf.update.data.migrations import find_python

CHILD = Path(__file__).resolve().with_name("preflight_child.py")
LEFT_OUT = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
"""Variables that would leave the daemon without byte code."""


class Preflight(Struct, frozen=True):
    """Implements `core.ports.Preflight` for the release whose app lies in `folder`."""

    release: Release
    folder: Path
    settings: Settings
    env: Mapping[str, str]
    runner: Runner

    def run(self, on_line: OnLine) -> str:
        """Tries the release; returns what was tried, empty when nothing is named.

        Raises: PreflightFailed.
        """
        update = self.settings.update
        point = find_start_point(self.settings.app.command or (), update.preflight)
        deadline = time.monotonic() + update.preflight_timeout
        own = {**self.env, **dict(point.variables), "NEWLEAF_PREFLIGHT": "1"}
        env = {name: value for name, value in own.items() if name not in LEFT_OUT}
        tried = []
        if point:
            shown = ", ".join(filter(None, (point.started, point.script, *point.imported)))
            child = (str(find_python(self.folder)), str(CHILD))
            order = json.dumps(point.as_record()).encode()
            self._run(Command(child, f"loading {shown}", self.folder, env, 0, order, on_line), deadline)
            tried.append(f"{shown} can be loaded")
        if update.preflight_command:
            argv = update.preflight_command
            command = Command(argv, "update.preflight_command", self.folder, env, 0, on_line=on_line)
            self._run(command, deadline)
            tried.append(f"{argv[0]} is content")
        return "; ".join(tried)

    def _run(self, command: Command, deadline: float) -> None:
        what, left = command.what, max(deadline - time.monotonic(), 0.001)
        try:
            finished = self.runner.run(replace(command, timeout_seconds=left))
        except CommandTimedOut as error:
            limit = self.settings.update.preflight_timeout
            reason = f"it took longer than {limit:g} s (update.preflight_timeout) and was stopped"
            raise self._failure(what, reason, error.facts["lines"]) from error
        except (ProgramMissing, CommandFailed) as error:
            raise self._failure(what, error.message, ()) from error
        if finished.status != 0:
            said = next((line.strip() for line in reversed(finished.tail) if line.strip()), "it said nothing")
            raise self._failure(what, f"{said} (exit {finished.status})", finished.tail)

    def _failure(self, what: str, reason: str, lines: object) -> PreflightFailed:
        return PreflightFailed(
            name=self.release.name,
            commit=self.release.commit[:12],
            what=what,
            reason=reason,
            lines=lines,
        )
