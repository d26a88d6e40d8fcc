"""Which commit a process's own tree is at, read from git's files without starting git.

For `newleaf.ready()`, which runs inside daemons: no process, no configuration, nothing
executed. A slots release says its commit in its own record.
"""

from __future__ import annotations

import re
from pathlib import Path

from newleaf.core.release import CommitId, Release
from newleaf.system import files

RELEASE_RECORD = ".newleaf-release.json"
_COMMIT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_MAX_LINKS = 5


def find_tree(folder: Path) -> Path | None:
    """The checkout or release folder that `folder` lies in."""
    for candidate in (folder, *folder.parents):
        if (candidate / RELEASE_RECORD).is_file() or (candidate / ".git").exists():
            return candidate
    return None


def read_release(tree: Path) -> Release | None:
    """What the tree is at; None when that cannot be told.

    Raises: CorruptFile.
    """
    record = files.read_record(tree / RELEASE_RECORD)
    if record is not None:
        return Release.read(record)
    commit = read_head(tree)
    return Release(commit) if commit else None


def read_head(tree: Path) -> CommitId | None:
    """The commit that HEAD of a checkout, or of a linked worktree, stands for."""
    found = read_position(tree)
    return found[0] if found else None


def read_position(tree: Path) -> tuple[CommitId, str | None] | None:
    """The commit of HEAD, and the branch that HEAD is on, as a full ref; None when that cannot be told."""
    folder = _git_folder(tree)
    if folder is None:
        return None
    common = folder
    pointer = _text(folder / "commondir")
    if pointer:
        common = (folder / pointer).resolve()
    name, branch = _text(folder / "HEAD"), None
    for _ in range(_MAX_LINKS):
        if not name.startswith("ref: "):
            break
        branch = name.removeprefix("ref: ")
        name = _text(folder / branch) or _text(common / branch) or _packed(common, branch)
    return (CommitId(name), branch) if _COMMIT.match(name) else None


def _git_folder(tree: Path) -> Path | None:
    place = tree / ".git"
    if place.is_dir():
        return place
    pointer = _text(place)
    return (tree / pointer.removeprefix("gitdir: ")).resolve() if pointer.startswith("gitdir: ") else None


def _packed(common: Path, ref: str) -> str:
    for line in _text(common / "packed-refs").splitlines():
        commit, _, name = line.partition(" ")
        if name == ref:
            return commit
    return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
