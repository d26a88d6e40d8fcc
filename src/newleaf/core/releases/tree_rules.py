"""Which trees may lie on a host's disk: names, links and kinds of entries (threats.md T17).

Rules: no name that git, or a file system that folds case or drops characters, could take for `.git` or for
the folder above; no link that is absolute or leads out of the tree, also by way of another link, or into
`.git`; no submodule. It never reads a tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import accumulate

from msgspec import Struct

PLAIN = "100644"
EXECUTABLE = "100755"
LINK = "120000"
SUBMODULE = "160000"
MODES = frozenset((PLAIN, EXECUTABLE, "100664", LINK, SUBMODULE))
MAX_LINK_BYTES = 4096

_QUOTED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r"})

# What HFS+ does not see in a name.
_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
# What NTFS does not see, or reads as .git: endings, streams, short names.
_GIT = re.compile(r"(?:\.git|git~[0-9]+)[ .]*(?::.*)?\Z", re.IGNORECASE | re.DOTALL)


class Entry(Struct, frozen=True):
    """One file of a tree, as git lists it; `path` is from the top, with `/`."""

    mode: str
    object_id: str
    path: str

    @classmethod
    def read(cls, line: str) -> Entry:
        """An entry as `git ls-tree` tells it."""
        about, _, path = line.partition("\t")
        mode, _, object_id = about.split(" ")
        return cls(mode, object_id, path)


def find_faults(entries: Iterable[Entry], targets: Mapping[str, str]) -> list[str]:
    """What is wrong with a tree, a sentence a fault; `targets` are where its links lead, by path."""
    links = frozenset(targets)
    faults = []
    for entry in entries:
        fault = _find_entry_fault(entry) or (
            _find_link_fault(entry.path, targets[entry.path], links) if entry.path in links else None
        )
        if fault:
            faults.append(f"{entry.path!r} {fault}")
    return faults


def quote(path: str) -> str:
    """A path for a list by lines: git reads a quoted one as C does, and of others drops a last return."""
    quoted = path.translate(_QUOTED)
    return path if quoted == path else f'"{quoted}"'


def _find_entry_fault(entry: Entry) -> str | None:
    if entry.mode == SUBMODULE:
        return "is a submodule, which newleaf does not update"
    if entry.mode not in MODES:
        return f"has the mode {entry.mode}"
    if not all(map(_is_plain, entry.path.split("/"))):
        return "has a name that could lead out of the tree or into .git"
    return None


def _is_plain(part: str) -> bool:
    return part not in {"", ".", ".."} and not _GIT.match(_IGNORED.sub("", part))


def _find_link_fault(path: str, target: str, links: frozenset[str]) -> str | None:
    if not target or len(target) > MAX_LINK_BYTES or "\0" in target:
        return "is a link to nowhere"
    if target.startswith("/"):
        return f"is a link to an absolute path, {target[:80]!r}"
    at = path.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            if not at or not links.isdisjoint(accumulate(at, "{}/{}".format)):
                return f"is a link out of the tree, {target[:80]!r}"
            at.pop()
        elif part not in {"", "."}:
            if _GIT.match(_IGNORED.sub("", part)):
                return "is a link into .git"
            at.append(part)
    return None
