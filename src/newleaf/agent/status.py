"""The published word of a host: the status file, and what of it is true now.

`running` is what the live process reported; a process that has died takes its word with it, and
unknown is shown as unknown (lessons.md L1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from newleaf.core.records import AttemptRecord, Status, moment
from newleaf.core.release import Release
from newleaf.system import files

STATUS_FILE = "status.json"


class StatusFile:
    """`status.json` of one state directory."""

    def __init__(self, state: Path, running: Callable[[], Release | None]) -> None:
        self._path = state / STATUS_FILE
        self._running = running

    def publish(self, status: Status) -> None:
        """Replaces the published word; an unchanged one is not written again."""
        record = status.as_record()
        if _without_time(record) != _without_time(self.published() or {}):
            files.write_record(self._path, record)

    def published(self) -> dict[str, Any] | None:
        """The last word as it was published; None before the first."""
        return files.read_record(self._path)

    def not_holding_since(self, attempt: AttemptRecord) -> dict[str, datetime]:
        """Since when each gate has not held, as the published word has it for this very attempt."""
        record = self.published() or {}
        waiting = record.get("waiting_for")
        if record.get("attempt") != attempt.id or not isinstance(waiting, list):
            return {}
        return {str(entry["gate"]): moment(str(entry["since"])) for entry in waiting}

    def current(self, unknown: Status) -> dict[str, Any]:
        """The last word, with what runs now; `unknown` stands in before the first."""
        record = self.published() or unknown.as_record()
        running = self._running()
        return {**record, "running": running.as_record() if running else None}


def _without_time(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "timestamp"}
