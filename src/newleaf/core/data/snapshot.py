"""What a snapshot holds, and which snapshots are kept.

Rules of keeping (lessons.md L24), in their order: the open attempt's stays; the newest `keep` among those of
completed attempts stay; the newest `keep` among those with something kept aside stay; all others go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal, get_args

from msgspec import Struct
from msgspec.structs import asdict

Kind = Literal["file", "database", "link", "folder", "missing"]


class Entry(Struct, frozen=True):
    """One path as it was. `copy` is where its copy lies below the snapshot; `link` is where a symlink led."""

    path: str
    kind: Kind
    copy: str = ""
    link: str = ""
    size: int = 0
    mode: int = 0
    uid: int = 0
    gid: int = 0

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Entry:
        """Raises: ValueError, TypeError or KeyError for what no newleaf wrote."""
        entry = cls(**{name: record[name] for name in cls.__struct_fields__ if name in record})
        for name in cls.__struct_fields__:
            wanted = str if name in ("path", "kind", "copy", "link") else int
            if type(getattr(entry, name)) is not wanted:
                raise ValueError(f"{name} of {entry.path!r}")
        if entry.kind not in get_args(Kind):
            raise ValueError(f"kind {entry.kind!r}")
        if not entry.path.startswith("/") or ".." in (*entry.path.split("/"), *entry.copy.split("/")):
            raise ValueError(f"path {entry.path!r}")
        return entry


class Root(Struct, frozen=True):
    """One declared path with all below it, the folder before what is in it."""

    entries: tuple[Entry, ...]

    @property
    def path(self) -> str:
        return self.entries[0].path


class Manifest(Struct, frozen=True):
    """All that a snapshot holds. The first root is newleaf's own record of applied migrations."""

    attempt: str
    taken_at: str
    roots: tuple[Root, ...]
    notes: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        return sum(entry.size for root in self.roots for entry in root.entries)

    def as_record(self) -> dict[str, Any]:
        return {
            "attempt": self.attempt,
            "taken_at": self.taken_at,
            "roots": [[asdict(entry) for entry in root.entries] for root in self.roots],
            "notes": list(self.notes),
        }

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Manifest:
        """Raises: ValueError, TypeError, KeyError or IndexError for what no newleaf wrote."""
        roots = tuple(Root(tuple(map(Entry.read, entries))) for entries in record["roots"])
        if not all(root.entries for root in roots):
            raise ValueError("an empty root")
        return cls(str(record["attempt"]), str(record["taken_at"]), roots, tuple(record.get("notes", ())))


class Found(Struct, frozen=True):
    """A snapshot as it lies there. One that is not whole has no time."""

    attempt: str
    taken_at: str = ""
    has_aside: bool = False


def superfluous(
    found: Iterable[Found], completed: Collection[str], open_attempt: str | None, keep: int
) -> list[str]:
    """The attempts whose snapshots may go."""
    newest_first = sorted(found, key=lambda each: each.taken_at, reverse=True)
    kept = {open_attempt}
    kept.update([each.attempt for each in newest_first if each.taken_at and each.attempt in completed][:keep])
    kept.update([each.attempt for each in newest_first if each.has_aside][:keep])
    return [each.attempt for each in newest_first if each.attempt not in kept]


def outermost(paths: Iterable[str]) -> list[str]:
    """The paths without those that lie below another one, each once."""
    kept: list[str] = []
    for path in sorted(set(paths), key=lambda path: path.split("/")):
        if not kept or not is_below(path, kept[-1]):
            kept.append(path)
    return kept


def is_below(path: str, folder: str) -> bool:
    """Whether the path is the folder or lies in it; both absolute and without links."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")
