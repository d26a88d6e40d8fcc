"""What this host has decided for itself: a pin, a suspension, and the commits that it denies.

A verb's decision (`decisions.json`) outranks `host.toml`; undoing the verb returns to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from newleaf.core.errors import AmbiguousCommit, CorruptFile, NotDenied
from newleaf.core.records import short_stamp
from newleaf.system import files


class Decisions:
    """`decisions.json` and `denied.json` of one state directory."""

    def __init__(self, state_directory: Path) -> None:
        self.path = state_directory / "decisions.json"
        self._denied_path = state_directory / "denied.json"

    @property
    def pin(self) -> str | None:
        pin = self._read().get("pin")
        if pin is not None and not isinstance(pin, str):
            raise CorruptFile(path=self.path, reason=f"pin is {pin!r}")
        return pin

    @property
    def suspended(self) -> Mapping[str, Any] | None:
        """`{"why": …, "at": …}` while suspended by hand."""
        found = self._read().get("suspended")
        if found is not None and not isinstance(found, dict):
            raise CorruptFile(path=self.path, reason=f"suspended is {found!r}")
        return found

    @property
    def denied(self) -> dict[str, Mapping[str, Any]]:
        """Commit → when, why, attempt."""
        record = files.read_record(self._denied_path) or {}
        return {commit: entry for commit, entry in record.items() if isinstance(entry, dict)}

    def set_pin(self, version: str | None) -> None:
        """Pins one version; None takes the pin away."""
        self._change(pin=version)

    def suspend(self, why: str, now: datetime) -> None:
        self._change(suspended={"why": why, "at": short_stamp(now)})

    def resume(self) -> None:
        self._change(suspended=None)

    def deny(self, commit: str, why: str, attempt: str | None, now: datetime) -> None:
        """Remembers a commit that failed here, until a newer target or a person says otherwise (L42)."""
        record = files.read_record(self._denied_path) or {}
        record[commit] = {"when": short_stamp(now), "why": why, "attempt": attempt}
        files.write_record(self._denied_path, record)

    def allow(self, commit: str, now: datetime) -> str:
        """Lifts a denial; `commit` may be abbreviated to 7 digits or more. Returns the full id.

        Raises: NotDenied, AmbiguousCommit.
        """
        matches = [found for found in self.denied if len(commit) >= 7 and found.startswith(commit.lower())]
        if not matches:
            raise NotDenied(commit=commit)
        if len(matches) > 1:
            raise AmbiguousCommit(commit=commit, matches=", ".join(matches))
        record = files.read_record(self._denied_path) or {}
        del record[matches[0]]
        lifted = dict(self._read().get("lifted") or {})
        lifted[matches[0]] = short_stamp(now)
        self._change(lifted=lifted)
        files.write_record(self._denied_path, record)
        return matches[0]

    def _read(self) -> dict[str, Any]:
        return files.read_record(self.path) or {}

    def _change(self, **fields: Any) -> None:
        record = self._read() | fields
        kept = {key: value for key, value in record.items() if value is not None}
        files.write_record(self.path, kept)
