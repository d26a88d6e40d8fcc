"""Writes the tree of a commit into a folder of its own, and says which of its files still lie there.

Rules: plumbing with an index of the updater's own (threats.md § How), so that nothing of the tree runs and
no other index is touched; `git archive` would drop and rewrite files. What lies in a folder is judged by
reading every file again, never by an index that remembers writing it. Git's way back from a file to what was
committed is not always its way there (line ends and `$Id$` committed as .gitattributes would not have them):
what differs by it is held against a second writing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable
from functools import lru_cache, partial
from pathlib import Path

from newleaf.core.release import CommitId
from newleaf.core.releases.tree_rules import EXECUTABLE, LINK, Entry, quote
from newleaf.system import copies, files
from newleaf.system.git.directory import At, Git

INDEX = "writing.index"
COMPARED = "comparing"


class TreeWriter:
    """Writes with one git directory of the updater's."""

    def __init__(self, git: Git) -> None:
        self._git = git

    def write(self, commit: CommitId, folder: Path) -> None:
        """Writes every file of the commit into `folder`, which is empty.

        Raises: CommandFailed, CommandTimedOut.
        """
        self._git.call("read-tree", "--reset", "-u", commit, at=self._at(folder))

    def holds(self, commit: CommitId, folder: Path, without: Iterable[str] = ()) -> bool:
        """Whether the files of the commit lie in `folder` as the commit has them.

        What else lies there does not matter, nor what lies at or below `without`.
        Raises: CommandFailed, CommandTimedOut.
        """
        spared = tuple(without)
        wanted = (entry.path for entry in self._git.list_tree(commit))
        return self.intact(commit, folder).issuperset(
            path for path in wanted if not is_at_or_below(path, spared)
        )

    def intact(self, commit: CommitId, folder: Path) -> frozenset[str]:
        """Those files of the commit that lie in `folder` as the commit has them.

        Raises: CommandFailed, CommandTimedOut.
        """
        is_plain_way = lru_cache(None)(partial(_is_plain_way, os.path.realpath(folder)))
        shaped = [
            entry
            for entry in self._git.list_tree(commit)
            if is_plain_way(os.path.dirname(entry.path)) and _has_shape(folder, entry)
        ]
        plain = [entry for entry in shaped if entry.mode != LINK]
        found = self._ids_of(folder, plain)
        differing = {entry.path for entry in plain if found[entry.path] != entry.object_id}
        differing -= self._same_as_written_again(commit, folder, differing) if differing else set()
        return frozenset(entry.path for entry in shaped if entry.path not in differing)

    def _ids_of(self, folder: Path, entries: Iterable[Entry]) -> dict[str, str]:
        """The ids that git would give to these files, if they were added."""
        paths = [entry.path for entry in entries]
        at = At({"GIT_WORK_TREE": str(folder)}, folder)
        asked = "".join(f"{quote(path)}\n" for path in paths)
        said = self._git.call("hash-object", "--stdin-paths", stdin=asked, at=at) if paths else b""
        return dict(zip(paths, said.decode().split(), strict=True))

    def _same_as_written_again(self, commit: CommitId, folder: Path, paths: Iterable[str]) -> set[str]:
        again = self._git.repository.folder / COMPARED
        shutil.rmtree(again, ignore_errors=True)
        again.mkdir(mode=files.PRIVATE_FOLDER)
        try:
            at = self._at(again)
            self._git.call("read-tree", commit, at=at)
            asked = "".join(f"{path}\0" for path in paths)
            self._git.call("checkout-index", "-z", "--stdin", stdin=asked, at=at)
            return {path for path in paths if copies.have_same_content(folder / path, again / path)}
        finally:
            shutil.rmtree(again, ignore_errors=True)

    def _at(self, folder: Path) -> At:
        """Where git writes to `folder`, with an index that is empty and not locked, whoever was killed."""
        index = self._git.repository.folder / INDEX
        for left in (index, index.with_name(f"{INDEX}.lock")):
            left.unlink(missing_ok=True)
        return At({"GIT_WORK_TREE": str(folder), "GIT_INDEX_FILE": str(index)}, folder)


def is_at_or_below(path: str, places: tuple[str, ...]) -> bool:
    """Whether a path of git is one of `places`, or lies below one."""
    return any(path == place or path.startswith(f"{place}/") for place in places)


def _is_plain_way(top: str, folder: str) -> bool:
    """Whether no link leads to a folder of the tree."""
    place = os.path.join(top, folder).rstrip("/")
    return os.path.realpath(place) == place


def _has_shape(folder: Path, entry: Entry) -> bool:
    """Whether a link leads where it should, and a file is one, executable or not."""
    file = folder / entry.path
    try:
        if entry.mode == LINK:
            return _blob_id(os.fsencode(os.readlink(file)), entry.object_id) == entry.object_id
        mode = file.lstat().st_mode
    except OSError:
        return False
    is_plain = stat.S_ISREG(mode) and os.access(file, os.R_OK)
    return is_plain and bool(mode & stat.S_IXUSR) == (entry.mode == EXECUTABLE)


def _blob_id(body: bytes, like: str) -> str:
    """The id that git gives to this content, in the format that `like` is in."""
    algorithm = "sha1" if len(like) == 40 else "sha256"
    return hashlib.new(algorithm, b"blob %d\0" % len(body) + body, usedforsecurity=False).hexdigest()
