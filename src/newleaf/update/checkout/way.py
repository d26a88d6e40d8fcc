"""What lies between the checkout and a target: what changes, what is in the way, and what is refused.

Rules: nothing is touched here. Refused are: a merge or the like under way; commits that the remote does
not have (lessons.md L8); a target that does not descend from what is checked out, unless it is ordered;
local changes where the policy is to refuse; and files that git does not track, ignored or not, where the
target brings its own (L23).
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from newleaf.core.errors import NewleafError
from newleaf.core.release import CommitId
from newleaf.core.releases.git_errors import (
    CheckoutBusy,
    DirtyTree,
    Diverged,
    HiddenChange,
    MoveFailed,
    NotDescendant,
    UntrackedInTheWay,
)
from newleaf.system.commands import Finished
from newleaf.system.git.failures import last_words
from newleaf.update.checkout.working_tree import FOLDER, Change, Head, WorkingTree

SHOWN_PATHS = 5
_NOT_UPTODATE = re.compile(r"Entry '(.+)' not uptodate")


class Way(Struct, frozen=True):
    """The way to a target: what changes by path, which paths have local changes, whether it descends."""

    changes: dict[str, Change]
    dirty: frozenset[str]
    is_forward: bool
    adopted: frozenset[str] = frozenset()
    """What lies there untracked already, exactly as the target brings it."""

    @property
    def blocking(self) -> list[str]:
        """The local changes that the move would meet: at a path that changes, above it or below it."""
        above = {folder for path in self.changes for folder in _folders(path)}
        return sorted(
            path
            for path in self.dirty
            if path in self.changes
            or path in above
            or any(folder in self.changes for folder in _folders(path))
        )


class _Between(Struct, frozen=True):
    """What is true of two commits for ever."""

    start: CommitId
    target: CommitId
    is_forward: bool
    changes: dict[str, Change]


class Ways(Struct):
    """Finds ways for one checkout, or refuses them; keeps the last answer to what never changes."""

    tree: WorkingTree
    refuses_dirty: bool = False
    _between: _Between | None = None

    def find(self, head: Head, target: CommitId, *, sideways: bool) -> Way:
        """The way from what is checked out to `target`, whose objects are here.

        Raises: CheckoutBusy, Diverged, NotDescendant, DirtyTree, UntrackedInTheWay.
        """
        self.check_quiet()
        between = self._compare(head.commit, target)
        if not between.is_forward:
            self._check_sideways(head.commit, target, sideways=sideways)
        dirty = self.dirty(head.commit)
        if dirty and self.refuses_dirty:
            raise DirtyTree(paths=shown(dirty))
        way = Way(between.changes, frozenset(dirty), between.is_forward)
        found = set(self._untracked(way))
        adopted = self._alike(found, way)
        if found - adopted:
            raise UntrackedInTheWay(paths=shown(found - adopted))
        return replace(way, adopted=adopted)

    def dirty(self, commit: CommitId) -> set[str]:
        """The tracked paths with local changes, staged or not.

        Raises: CheckoutBusy when some are left of a merge.
        """
        staged = self.tree.staged(commit)
        unresolved = [path for path, change in staged.items() if change == (None, None)]
        if unresolved:
            raise CheckoutBusy(
                what=f"merge of {shown(unresolved)}", cure="git checkout --ours or --theirs; git add"
            )
        return staged.keys() | self.tree.edited()

    def check_quiet(self) -> None:
        """Refuses to touch a checkout in which a person is in the middle of something.

        Raises: CheckoutBusy.
        """
        operation = self.tree.worktree.operation
        if operation:
            raise CheckoutBusy(what=operation[0], cure=operation[1])

    def explain(self, finished: Finished, name: str) -> NewleafError:
        """Why git did not move the files."""
        hidden = [found[1] for line in finished.tail if (found := _NOT_UPTODATE.search(line))]
        if hidden:
            return HiddenChange(paths=shown(hidden))
        return MoveFailed(target=name, reason=last_words(finished.tail, finished.status))

    def _compare(self, start: CommitId, target: CommitId) -> _Between:
        if self._between is None or (self._between.start, self._between.target) != (start, target):
            is_forward = self.tree.git.is_ancestor(start, target)
            self._between = _Between(start, target, is_forward, self.tree.changes(start, target))
        return self._between

    def _check_sideways(self, start: CommitId, target: CommitId, *, sideways: bool) -> None:
        git = self.tree.git
        own = git.call("for-each-ref", "--format=%(objectname)", "refs/newleaf").decode().split()
        known = ("--not", target, "--remotes", "--tags", *own)
        unknown = self.tree.own_call("rev-list", "--ignore-missing", start, *known).decode().split()
        if unknown:
            subject = git.call("log", "-1", "--format=%s", unknown[0]).decode(errors="replace").strip()
            base = git.run("merge-base", start, target).text.strip() or target
            raise Diverged(count=len(unknown), commit=unknown[0][:9], subject=subject, base=base[:9])
        if not sideways:
            raise NotDescendant(target=target, start=start)

    def _untracked(self, way: Way) -> Iterator[str]:
        """What lies untracked where the target brings a file, or the folders above one."""
        leaving = {path for path, (_, after) in way.changes.items() if after is None} | way.dirty
        folded = {path.casefold() for path in leaving} if self._folds_case else set()
        sound: set[str] = {""}
        for path, (before, _) in way.changes.items():
            if before is not None or path in way.dirty:
                continue
            blocker = next(
                (folder for folder in _folders(path) if not self._is_free(folder, sound, leaving)), None
            )
            if blocker:
                yield blocker
                continue
            mode = self.tree.mode(path)
            if mode == FOLDER:
                yield from (file for file in self._files_below(path) if file not in leaving)
            elif mode and path.casefold() not in folded:
                yield path

    def _alike(self, found: set[str], way: Way) -> frozenset[str]:
        """Those of the untracked files that are what the target brings, to the byte and the mode."""
        asked = [path for path in found if path in way.changes and path.isprintable()]
        lying = self.tree.contents(asked) if asked else {}
        return frozenset(path for path in asked if lying[path] == way.changes[path][1])

    def _is_free(self, folder: str, sound: set[str], leaving: Collection[str]) -> bool:
        """Whether a folder is one, or can be made."""
        if folder in sound or folder in leaving:
            return True
        free = self.tree.mode(folder) in {None, FOLDER}
        if free:
            sound.add(folder)
        return free

    def _files_below(self, path: str) -> Iterator[str]:
        top = self.tree.worktree.top
        for folder, folders, names in os.walk(self.tree.file(path)):
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            for name in (*names, *links):
                yield os.path.relpath(os.path.join(folder, name), top)

    @property
    def _folds_case(self) -> bool:
        return ("core.ignorecase", "true") in self.tree.git.repository.settings


def shown(paths: Iterable[str]) -> str:
    """A few paths for a message."""
    listed = sorted(path.encode(errors="surrogateescape").decode(errors="replace") for path in paths)
    more = f" and {len(listed) - SHOWN_PATHS} more" if len(listed) > SHOWN_PATHS else ""
    return ", ".join(listed[:SHOWN_PATHS]) + more


def _folders(path: str) -> list[str]:
    """The folders above a path, the outermost first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
