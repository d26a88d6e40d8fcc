"""Files that lay untracked in the checkout, and came to be tracked because a release brought the very same.

`newleaf init` writes newleaf.toml before anybody commits it, so this is the rule rather than the exception.
When a way back leads to a commit without such a file, it is left where it lies: it was the host's before it
was the remote's (lessons.md L23).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from newleaf.core.errors import CorruptFile
from newleaf.system import files


class AdoptedFiles(Struct, frozen=True):
    """Their paths, as git names them, in a file of the updater's git directory."""

    path: Path

    def read(self) -> frozenset[str]:
        """The paths. Raises: CorruptFile, NewerSchema."""
        found = (files.read_record(self.path) or {}).get("paths", [])
        if not isinstance(found, list) or not all(isinstance(path, str) for path in found):
            raise CorruptFile(path=self.path, reason="paths is no list of paths")
        return frozenset(found)

    def add(self, paths: Iterable[str]) -> None:
        """Remembers paths, durably."""
        known = self.read()
        if not known.issuperset(paths):
            files.write_record(self.path, {"paths": sorted({*known, *paths})})
