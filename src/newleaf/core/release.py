"""What a release is: one commit and its version. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, NewType

CommitId = NewType("CommitId", str)
"""A full object id: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits."""

_COMMIT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")


class Release(NamedTuple):
    """One commit and what is known of it; immutable."""

    commit: CommitId
    version: str | None = None
    tag: str | None = None

    @property
    def name(self) -> str:
        """For people: the version when there is one, and the short commit."""
        return f"{self.version} ({self.commit[:9]})" if self.version else self.commit[:9]

    def as_record(self) -> dict[str, Any]:
        """The release as records and JSON output carry it."""
        record: dict[str, Any] = {"commit": self.commit, "version": self.version}
        if self.tag:
            record["tag"] = self.tag
        return record

    @classmethod
    def read(cls, record: object) -> Release | None:
        """The release that `as_record` wrote; None for anything else."""
        if not isinstance(record, Mapping):
            return None
        commit, version, tag = record.get("commit"), record.get("version"), record.get("tag")
        if not isinstance(commit, str) or not _COMMIT.match(commit):
            return None
        if not isinstance(version, str | None) or not isinstance(tag, str | None):
            return None
        return cls(CommitId(commit), version, tag)
