"""What a release is, and which one a channel picks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

CommitId = NewType("CommitId", str)
"""A full object id: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits."""


@dataclass(frozen=True)
class Release:
    """One commit and what is known of it; immutable."""

    commit: CommitId
    version: str | None = None
    tag: str | None = None
