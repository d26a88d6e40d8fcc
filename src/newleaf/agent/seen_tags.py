"""The object id of every tag that this host has seen, kept in `identity.json` (threats.md T9).

Rules: the first id counts and is never replaced; a tag that comes back after it was deleted is the same tag.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from newleaf.core.errors import CorruptFile
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.channels import Choice
from newleaf.core.releases.source_errors import TagMoved
from newleaf.system import files
from newleaf.system.place import IDENTITY

TAGS = "tags"


class SeenTags:
    """The tags of one state directory."""

    def __init__(self, state: Path) -> None:
        self._path = state / IDENTITY

    def first_seen(self) -> dict[str, str]:
        """Each tag's name with the id that it had first.

        Raises: CorruptFile, NewerSchema.
        """
        found = (files.read_record(self._path) or {}).get(TAGS, {})
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise CorruptFile(path=self._path, reason=f"{TAGS} is no table of object ids")
        return found

    def remember(self, tags: Mapping[str, CommitId]) -> None:
        """Adds those tags that are new; writes nothing when none is.

        Raises: CorruptFile, NewerSchema, DiskFull, StateDirectoryUnwritable.
        """
        known = self.first_seen()
        if not tags.keys() <= known.keys():
            record = files.read_record(self._path) or {}
            files.write_record(self._path, {**record, TAGS: {**tags, **known}})

    def require_unmoved(self, choice: Choice, live: Release) -> None:
        """Refuses a choice whose tag is another object than this host first saw, unless what it has is meant.

        Raises: TagMoved.
        """
        found = choice.found
        if found is None or found.tag is None or choice.tag_object is None or found.commit == live.commit:
            return
        first = self.first_seen().get(found.tag)
        if first and choice.tag_object != first:
            raise TagMoved(tag=found.tag, first=first[:12], now=choice.tag_object[:12], path=self._path)
