"""The history: a line an ended attempt, kept for people and for the next decisions.

A later line with the same attempt id completes an earlier one: the daemon's own report arrives
after the attempt has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from newleaf.core.errors import CorruptFile
from newleaf.core.records import moment
from newleaf.core.release import Release
from newleaf.system import files

COMPACT_BYTES = 1024 * 1024
KEPT_LINES = 500
FAILURES = ("failed", "refused", "rolled_back", "inconsistent")
COMPLETED = ("updated", "started", "ok")


class Entry(Struct, frozen=True):
    """One attempt that ended, as its line says."""

    line: Mapping[str, Any]

    @property
    def attempt(self) -> str | None:
        return self.line.get("attempt")

    @property
    def at(self) -> datetime:
        return moment(str(self.line["at"]))

    @property
    def outcome(self) -> str:
        return str(self.line.get("outcome", ""))

    @property
    def start(self) -> Release | None:
        return Release.read(self.line.get("from"))

    @property
    def target(self) -> Release | None:
        return Release.read(self.line.get("to"))

    @property
    def confirmed(self) -> bool | None:
        return self.line.get("confirmed")

    @property
    def restarted(self) -> bool:
        """Whether the attempt restarted the daemon."""
        return bool(self.line.get("restarted"))


class History:
    """`history.jsonl`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def entries(self) -> list[Entry]:
        """Every attempt once, as its newest line tells it, oldest first.

        Raises: CorruptFile, NewerSchema.
        """
        merged: dict[str, Entry] = {}
        for number, line in enumerate(files.read_lines(self._path)):
            key = str(line.get("attempt") or f"#{number}")
            merged[key] = Entry({**(merged[key].line if key in merged else {}), **line})
        for entry in merged.values():
            fault = _find_fault(entry.line)
            if fault:
                raise CorruptFile(
                    path=self._path, reason=f"a line is not newleaf's: its {fault} is of another kind"
                )
        return list(merged.values())

    def add(self, line: Mapping[str, Any]) -> None:
        """Appends a line, durably."""
        if self._path.exists() and self._path.stat().st_size > COMPACT_BYTES:
            files.write_lines(self._path, files.read_lines(self._path)[-KEPT_LINES:])
        files.append_line(self._path, line)

    def last_failure(self) -> Entry | None:
        """The newest attempt that did not succeed, unless a later one did."""
        ended = [entry for entry in self.entries() if entry.outcome != "started"]
        return ended[-1] if ended and ended[-1].outcome in FAILURES else None

    def last_update_at(self) -> datetime | None:
        """When the last attempt was completed."""
        return next((e.at for e in reversed(self.entries()) if e.outcome == "updated"), None)

    def restarts(self) -> list[datetime]:
        """When the daemon was restarted by an attempt."""
        return [entry.at for entry in self.entries() if entry.restarted]

    def way_back(
        self, live: str, denied: Iterable[str], installed_from: Release | None = None
    ) -> Release | None:
        """Where `rollback` goes: the last confirmed release, else the last completed attempt's start.

        An attempt that is installed and owes its restart counts as completed: `installed_from` is its start.
        Neither the live release nor a denied one.
        """
        unwanted = {live, *denied}
        entries = [entry for entry in reversed(self.entries()) if entry.outcome in COMPLETED]
        for entry in entries:
            if entry.confirmed and entry.target and entry.target.commit not in unwanted:
                return entry.target
        if installed_from and installed_from.commit not in unwanted:
            return installed_from
        for entry in entries:
            if entry.start and entry.start.commit not in unwanted:
                return entry.start
        return None


def _find_fault(line: Mapping[str, Any]) -> str | None:
    """The field of a line that is not what an attempt writes; None when all are."""
    try:
        moment(str(line.get("at")))
    except ValueError:
        return "at"
    return next((name for name, is_right in _FIELDS.items() if not is_right(line.get(name))), None)


def _is_list_of_errors(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(error, dict) for error in value))


def _is_release(value: object) -> bool:
    return value is None or Release.read(value) is not None


def _is_durations(value: object) -> bool:
    return value is None or (
        isinstance(value, dict) and all(isinstance(seconds, int | float) for seconds in value.values())
    )


_FIELDS: Mapping[str, Callable[[object], bool]] = {
    "attempt": lambda value: isinstance(value, str | None),
    "outcome": lambda value: isinstance(value, str),
    "from": _is_release,
    "to": _is_release,
    "confirmed": lambda value: isinstance(value, bool | None),
    "durations": _is_durations,
    "errors": _is_list_of_errors,
}
