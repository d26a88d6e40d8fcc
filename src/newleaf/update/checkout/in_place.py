"""The in_place layout: the checkout itself moves from release to release.

Rules: forward only, unless the caller asks for a sideways move; never over commits that the remote does
not have (lessons.md L8); never over a file that git does not track, ignored ones included (L23); local
changes stay, or are set aside and put back (L7, `local_changes`). The branch that is followed moves along;
from another branch HEAD is detached, and that branch stays. HEAD moves last.

A move, so that a kill anywhere leaves what the next call can finish:

1. Changes that are in the way are written as a stash, which touches nothing.
2. The record of the move is written: from, to, stashes.
3. The stash is listed, and its paths are made what the start has.
4. Index and files move.
5. HEAD, or its branch, moves. From here on the move is done.
6. The stashes are put back. Those that do not fit wait in the record for another target, and `activate`
   names them.

What a kill left: with HEAD at the target only 6 is to do. Otherwise the files that are halfway, or at the
target, or as a stash has them, are made what the start has, and all begins anew; whatever else differs by
then is a local change like any other.
"""

from __future__ import annotations

from msgspec.structs import replace

from newleaf.core.release import Release
from newleaf.core.releases.git_errors import MoveFailed
from newleaf.core.releases.names import HEADS, require_branch
from newleaf.system.git.directory import Git
from newleaf.system.git.stale_locks import StaleLocks
from newleaf.system.git.worktree import Worktree
from newleaf.update.checkout.adopted_files import AdoptedFiles
from newleaf.update.checkout.local_changes import STASH, LocalChanges, Stash
from newleaf.update.checkout.move import Move, MoveRecord
from newleaf.update.checkout.way import Way, Ways, shown
from newleaf.update.checkout.working_tree import Change, Content, Head, WorkingTree, is_folder, is_same


class InPlace:
    """Moves the checkout. `branch` is the one that is followed; `refuses_dirty` is the policy."""

    def __init__(self, git: Git, worktree: Worktree, branch: str, *, refuses_dirty: bool = False) -> None:
        self.tree = WorkingTree(git, worktree)
        self.changes = LocalChanges(self.tree)
        self.ways = Ways(self.tree, refuses_dirty=refuses_dirty)
        self.record = MoveRecord(git.repository.folder / "move.json")
        self.adopted = AdoptedFiles(git.repository.folder / "adopted.json")
        self.branch = HEADS + require_branch(branch)
        self._notes: list[str] = []

    # --- the Layout ---------------------------------------------------------------------

    def live(self) -> Release:
        """What is checked out.

        Raises: Unborn.
        """
        return Release(self.tree.head().commit)

    def stage(self, release: Release) -> None:
        """Nothing: there is only one tree."""

    def place(self, release: Release, *, sideways: bool) -> None:
        """Moves the checkout to the release and puts local changes back on top.

        Raises: what `check_movable` raises, CheckoutLocked, HiddenChange, MoveFailed; the checkout is then as
        it was.
        """
        head = self.tree.head()
        if self.record.read() is None and head.commit == release.commit:
            return
        self._free_locks()
        head = self._settle(head)
        if head.commit != release.commit:
            way = self.ways.find(head, release.commit, sideways=sideways)
            self._move(Move(head.commit, release.commit, release.name, self.record.stashes), head, way)
        self._put_back()

    def activate(self, release: Release) -> list[str]:
        """Says what became of local changes; those that do not fit stay in `git stash list`."""
        if self.record.read() is not None:
            self._free_locks()
            self._settle(self.tree.head())
            self._put_back()
            self._notes += [self._kept(stash, release.name) for stash in self.record.stashes]
            self.record.remove()
        notes, self._notes = self._notes, []
        return notes

    # --- questions ----------------------------------------------------------------------

    def dirty(self) -> list[str]:
        """The tracked paths with local changes, staged or not."""
        return sorted(self.ways.dirty(self.tree.head().commit))

    def check_movable(self, release: Release, *, sideways: bool) -> None:
        """Refuses, with nothing touched, what `place` would refuse.

        Raises: Unborn, CheckoutBusy, Diverged, NotDescendant, DirtyTree, UntrackedInTheWay.
        """
        head = self.tree.head()
        if head.commit != release.commit and self.record.read() is None:
            self.ways.find(head, release.commit, sideways=sideways)

    # --- a move -------------------------------------------------------------------------

    def _move(self, move: Move, head: Head, way: Way) -> None:
        self.tree.refresh()
        blocking = way.blocking
        if blocking:
            message = (
                f"On {(head.branch or '(no branch)').removeprefix('refs/heads/')}: newleaf: local changes"
            )
            stash = self.changes.record(move.start, blocking, f"{message} before {move.name}")
            move = replace(move, stashes=(*move.stashes, stash))
        self.adopted.add(way.adopted)
        self.record.write(move)
        if blocking:
            self.changes.enlist(move.stashes[-1])
            self.changes.reset(self.changes.edits(move.stashes[-1]))
        start = self._leave_or_take(move, way)
        finished = self.tree.read_tree(start, move.target)
        if finished.status != 0:
            self._give_up(move, way.changes)
            raise self.ways.explain(finished, move.name)
        self.tree.sync(way.changes)
        self._move_head(move, head, is_forward=way.is_forward)

    def _leave_or_take(self, move: Move, way: Way) -> str:
        """Tells the index of files that lie there already, and has it forget those that are to stay lying.

        Of a file that git takes for edited though it has written it so, index and start say what it reads.
        Returns what git is to take for the start: its commit, or its tree without what stays.
        """
        known = self.adopted.read()
        changes = way.changes.items()
        going = {path: before for path, (before, after) in changes if after is None and path in known}
        lying = self.tree.contents(going) if going else {}
        staying: dict[str, Content] = {path: None for path in going if lying[path] == going[path]}
        misjudged = self.tree.misjudged(way.changes)
        adopted = {path: way.changes[path][1] for path in way.adopted}
        entries = adopted | staying | self.tree.contents(misjudged)
        if entries:
            self.tree.set_index(entries)
        if misjudged:
            self.tree.refresh()
        return self.tree.write_tree(move.start, staying, misjudged) if staying or misjudged else move.start

    def _move_head(self, move: Move, head: Head, *, is_forward: bool) -> None:
        """Keeps both ends in the own directory: what came from the remote stays known, whatever it does."""
        left = {} if is_forward else {f"left/{move.start}": move.start}
        self.tree.git.keep({"live": move.target, **left})
        ref = head.branch if head.branch == self.branch else None
        self.tree.move_head(ref, move.start, move.target, f"newleaf: move to {move.name}")

    def _give_up(self, move: Move, changes: dict[str, Change]) -> None:
        """Back to the start, with the local changes on it. A git that died may have left its lock."""
        self._free_locks()
        self._undo(move, changes)
        self.record.write(replace(move, target=move.start))
        self._put_back()

    def _put_back(self) -> None:
        """Restores the stashes that fit what is checked out; the others stay on record."""
        move = self.record.read()
        if move is None:
            return
        here = self.tree.head().commit
        left: tuple[Stash, ...] = ()
        for stash in move.stashes:
            if not self.changes.is_listed(stash):
                continue
            if self.changes.restore(stash, here):
                self.changes.forget(stash)
                self._notes.append(f"local changes to {shown(self.changes.edits(stash))} were put back")
            else:
                left = (*left, stash)
        if left:
            self.record.write(Move(here, here, move.name, left))
        else:
            self.record.remove()

    # --- after a kill -------------------------------------------------------------------

    def _settle(self, head: Head) -> Head:
        """Undoes what a killed move left, so that HEAD, index and files agree; returns HEAD."""
        move = self.record.read()
        if move is None or head.commit == move.target:
            return head
        self.ways.check_quiet()
        if head.commit != move.start:
            self._notes += [self._kept(stash, move.name) for stash in move.stashes]
            self.record.remove()
            return head
        self._undo(move, self.tree.changes(move.start, move.target))
        return head

    def _undo(self, move: Move, changes: dict[str, Change]) -> None:
        """Makes every file that the move has touched what the start has; a later edit of it is left alone."""
        states = {path: (before, [before, after]) for path, (before, after) in changes.items()}
        for stash in move.stashes:
            self.changes.enlist(stash)
            for path, edit in self.changes.edits(stash).items():
                states.setdefault(path, (edit.base, [edit.base]))[1].append(edit.file)
        found, index = self.tree.contents(states), self.tree.index_of(states)
        touched: dict[str, Content] = {}
        for path, (before, known) in states.items():
            there = found[path]
            is_start = is_same(there, before) or (before is None and is_folder(there))
            if not (is_start and index[path] == before) and self._is_known(path, there, known):
                touched[path] = before
        self.tree.set_index(touched)
        kept = self.adopted.read()
        self.tree.remove(path for path, before in touched.items() if before is None and path not in kept)
        blocked = [path for path, before in touched.items() if before and self.tree.is_folder(path)]
        if blocked:
            raise MoveFailed(target=move.name, reason=f"files lie where {shown(blocked)} must go back")
        self.tree.check_out(path for path, before in touched.items() if before)
        self.tree.refresh()

    def _is_known(self, path: str, there: Content, known: list[Content]) -> bool:
        if is_folder(there):
            return True
        return any(is_same(there, state) or self.tree.is_partly(path, state) for state in known)

    # --- words --------------------------------------------------------------------------

    def _free_locks(self) -> None:
        locks = StaleLocks(self.tree.worktree, is_ours=self.record.read() is not None)
        locks.free(self.branch, STASH)

    def _kept(self, stash: Stash, name: str) -> str:
        paths = shown(self.changes.edits(stash))
        return (
            f"local changes to {paths} do not fit {name}; they are in `git stash list`: "
            f"git stash apply {stash.commit}"
        )
