"""The published word of a host: the status file, and what of it is true now.

`running` is what the live process reported; a process that has died takes its word with it, and
unknown is shown as unknown (lessons.md L1). A word that cannot be read stands in nobody's way: who publishes
next writes it anew; only who asks for it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from newleaf.core.errors import CorruptFile
from newleaf.core.records import AttemptRecord, Status, moment, short_stamp
from newleaf.core.release import Release
from newleaf.system import files

STATUS_FILE = "status.json"


class StatusFile:
    """`status.json` of one state directory."""

    def __init__(
        self,
        state: Path,
        running: Callable[[], Release | None],
        tell: Callable[[Mapping[str, Any]], None] = lambda _: None,
    ) -> None:
        self._path = state / STATUS_FILE
        self._running = running
        self._tell = tell

    def publish(self, status: Status) -> bool:
        """Replaces the published word, and whether it had to: an unchanged one is not written again.

        Who mirrors it is told either way. Raises: NewerSchema, DiskFull, StateDirectoryUnwritable.
        """
        record, said = status.as_record(), self.published() or {}
        is_new = _without_time(record) != _without_time(said)
        if is_new:
            files.write_record(self._path, record)
            said = record
        self._tell(said)
        return is_new

    def say_restarting(self, now: datetime) -> None:
        """The daemon leaves: what waited for that alone is `restarting` until a process reports (L3).

        Raises: NewerSchema, DiskFull, StateDirectoryUnwritable.
        """
        said = self.published() or {}
        if said.get("status") != "waiting" or [each["gate"] for each in said["waiting_for"]] != ["restart"]:
            return
        record = {**said, "status": "restarting", "timestamp": short_stamp(now), "running": None}
        record["waiting_for"] = []
        files.write_record(self._path, record)
        self._tell(record)

    def published(self) -> dict[str, Any] | None:
        """The last word as it was published; None before the first, and when it cannot be read.

        Raises: NewerSchema.
        """
        try:
            return self._read()
        except CorruptFile:
            return None

    def trace(self) -> files.Trace | None:
        """What differs once another word is published."""
        return files.trace(self._path)

    def not_holding_since(self, attempt: AttemptRecord) -> dict[str, datetime]:
        """Since when each gate has not held, as the published word has it for this very attempt."""
        record = self.published() or {}
        if record.get("attempt") != attempt.id:
            return {}
        return {entry["gate"]: moment(entry["since"]) for entry in record["waiting_for"]}

    def current(self, unknown: Status) -> dict[str, Any]:
        """The last word, with what runs now; `unknown` stands in before the first.

        Raises: CorruptFile, NewerSchema.
        """
        record = self._read() or unknown.as_record()
        running = self._running()
        return {**record, "running": running.as_record() if running else None}

    def _read(self) -> dict[str, Any] | None:
        record = files.read_record(self._path)
        if record is not None:
            fault = _find_fault(record)
            if fault:
                raise CorruptFile(path=self._path, reason=f"{fault} is missing or of another kind")
        return record


def _find_fault(record: Mapping[str, Any]) -> str | None:
    """The field that no newleaf writes like this; None when all are right."""
    return next((name for name, is_right in _FIELDS.items() if not is_right(record.get(name))), None)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_release(value: object) -> bool:
    return value is None or Release.read(value) is not None


def _is_text_or_none(value: object) -> bool:
    return isinstance(value, str | None)


def _are_gates(value: object) -> bool:
    try:
        return isinstance(value, list) and all(
            isinstance(entry["gate"], str) and isinstance(entry["reason"], str) and moment(entry["since"])
            for entry in value
        )
    except (KeyError, TypeError, ValueError):
        return False


_FIELDS: Mapping[str, Callable[[object], bool]] = {
    "status": _is_text,
    "timestamp": _is_text,
    "computer": _is_text,
    "app": _is_text,
    "channel": _is_text,
    "target": _is_release,
    "attempt": _is_text_or_none,
    "error": _is_text_or_none,
    "waiting_for": _are_gates,
}


def _without_time(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "timestamp"}
