"""Writes the tree of a commit into a folder of its own, and says whether a folder still holds it.

Rules: plumbing with an index of the updater's own (threats.md § How), so that nothing of the tree runs and
no other index is touched; `git archive` would drop and rewrite files. What lies in a folder is judged by
reading every file again, never by an index that remembers writing it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from newleaf.core.release import CommitId
from newleaf.core.releases.tree_rules import EXECUTABLE, LINK, Entry, quote
from newleaf.system.git import At, Git

INDEX = "writing.index"


class TreeWriter:
    """Writes with one git directory of the updater's."""

    def __init__(self, git: Git) -> None:
        self._git = git

    def write(self, commit: CommitId, folder: Path) -> None:
        """Writes every file of the commit into `folder`, which is empty.

        Raises: CommandFailed, CommandTimedOut.
        """
        index = self._git.repository.folder / INDEX
        index.unlink(missing_ok=True)
        at = At({"GIT_WORK_TREE": str(folder), "GIT_INDEX_FILE": str(index)}, folder)
        self._git.call("read-tree", "--reset", "-u", commit, at=at)

    def holds(self, commit: CommitId, folder: Path, without: Iterable[str] = ()) -> bool:
        """Whether the files of the commit lie in `folder` as the commit has them.

        What else lies there does not matter, nor what lies at or below `without`.
        Raises: CommandFailed, CommandTimedOut.
        """
        spared = tuple(without)
        entries = [entry for entry in self._git.list_tree(commit) if not is_at_or_below(entry.path, spared)]
        plain = [entry for entry in entries if entry.mode != LINK]
        if not all(_has_shape(folder, entry) for entry in entries):
            return False
        asked = "".join(f"{quote(entry.path)}\n" for entry in plain)
        at = At({"GIT_WORK_TREE": str(folder)}, folder)
        said = self._git.run("hash-object", "--stdin-paths", stdin=asked, at=at) if plain else None
        return said is None or (
            said.status == 0 and said.text.split() == [entry.object_id for entry in plain]
        )


def is_at_or_below(path: str, places: tuple[str, ...]) -> bool:
    """Whether a path of git is one of `places`, or lies below one."""
    return any(path == place or path.startswith(f"{place}/") for place in places)


def _has_shape(folder: Path, entry: Entry) -> bool:
    """Whether a link leads where it should, and a file is one, executable or not."""
    file = folder / entry.path
    try:
        if entry.mode == LINK:
            return _blob_id(os.fsencode(os.readlink(file)), entry.object_id) == entry.object_id
        mode = file.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & stat.S_IXUSR) == (entry.mode == EXECUTABLE)


def _blob_id(body: bytes, like: str) -> str:
    """The id that git gives to this content, in the format that `like` is in."""
    algorithm = "sha1" if len(like) == 40 else "sha256"
    return hashlib.new(algorithm, b"blob %d\0" % len(body) + body, usedforsecurity=False).hexdigest()
