"""What the watcher remembers from one look at the remote to the next: `watch.json`.

A help, never the truth: when it cannot be read it counts as empty, and the next look writes it anew.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from newleaf.core.errors import CorruptFile
from newleaf.core.records import moment, stamp
from newleaf.system import files

WATCH = "watch.json"


class WatchFile:
    """`watch.json` of one state directory."""

    def __init__(self, state: Path) -> None:
        self._path = state / WATCH

    def read(self) -> dict[str, Any]:
        """All that is remembered. Raises: NewerSchema."""
        try:
            return files.read_record(self._path) or {}
        except CorruptFile:
            return {}

    def table(self, name: str) -> dict[str, Any]:
        """A remembered table; empty when there is none. Raises: NewerSchema."""
        found = self.read().get(name)
        return found if isinstance(found, dict) else {}

    def moment(self, name: str) -> datetime | None:
        """A remembered moment. Raises: NewerSchema."""
        found = self.read().get(name)
        try:
            return moment(found) if isinstance(found, str) else None
        except ValueError:
            return None

    def change(self, **fields: Any) -> None:
        """Remembers `fields`, moments among them; None forgets. Writes nothing when nothing changes.

        Raises: NewerSchema, DiskFull, StateDirectoryUnwritable.
        """
        record = self.read()
        written = {
            name: stamp(value) if isinstance(value, datetime) else value for name, value in fields.items()
        }
        changed = {name: value for name, value in {**record, **written}.items() if value is not None}
        if changed != record:
            files.write_record(self._path, changed)
