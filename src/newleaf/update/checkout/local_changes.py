"""Local changes that stand where a release wants to be: set aside in the checkout's stash, and put back.

Rules (lessons.md L7): only changes in the way are touched; all others stay where they are. What is set
aside is an ordinary stash, in `git stash list` before a file is touched, and is known by its own id from then
on. It is put back as a whole, merged file by file, or not at all: no conflict markers, nothing half. What was
put back leaves the list; what does not fit stays there. Staged changes come back staged. Untracked files are
never part of it.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from msgspec import Struct

from newleaf.core.release import CommitId
from newleaf.core.releases.tree_rules import EXECUTABLE, LINK, PLAIN
from newleaf.update.checkout.working_tree import Blob, Content, WorkingTree, is_folder, is_same

STASH = "refs/stash"
TRIES = 5
DEFAULT_MODES = frozenset((0o644, 0o755))


class Stash(Struct, frozen=True):
    """Local changes set aside: the commit that holds them, and the file modes that git does not keep."""

    commit: CommitId
    message: str
    modes: Mapping[str, int]

    def as_record(self) -> dict[str, Any]:
        """For the record of a move. JSON takes no arbitrary bytes, so paths are spelled as Latin-1."""
        modes = {_as_latin(path): mode for path, mode in self.modes.items()}
        return {"commit": self.commit, "message": self.message, "modes": modes}

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Stash:
        """The stash that `as_record` wrote."""
        modes = {_from_latin(path): int(mode) for path, mode in record["modes"].items()}
        return cls(CommitId(record["commit"]), str(record["message"]), modes)


class Edit(Struct, frozen=True):
    """One path of a stash: as the commit had it, as the file was, as the index was."""

    base: Content
    file: Content
    index: Content


class LocalChanges:
    """Sets changes of one checkout aside and puts them back."""

    def __init__(self, tree: WorkingTree) -> None:
        self.tree = tree

    def record(self, start: CommitId, paths: Iterable[str], message: str) -> Stash:
        """Writes the changes at `paths` into the object store, in a stash's form; touches nothing else."""
        wanted = sorted(paths)
        call = self.tree.git.call
        index = self.tree.write_tree(start, self.tree.index_of(wanted))
        files = self.tree.write_tree(index, {}, wanted)
        staged = call("commit-tree", index, "-p", start, "-m", f"index on {message}").decode().strip()
        made = call("commit-tree", files, "-p", start, "-p", staged, "-m", message).decode().strip()
        modes = {path: self._mode(path) for path in wanted}
        return Stash(CommitId(made), message, {path: mode for path, mode in modes.items() if mode})

    def enlist(self, stash: Stash) -> None:
        """Puts the stash into the user's `git stash list`, once."""
        if not self.is_listed(stash):
            arguments = ("update-ref", "--create-reflog", "-m", stash.message, STASH, stash.commit)
            self.tree.own_call(*arguments)

    def is_listed(self, stash: Stash) -> bool:
        """Whether the stash is in the list; its owner may have taken it back by hand."""
        return stash.commit in self._listed()

    def edits(self, stash: Stash) -> dict[str, Edit]:
        """What the stash holds, by path."""
        base = f"{stash.commit}^1"
        files = self.tree.changes(base, stash.commit)
        index = self.tree.changes(base, f"{stash.commit}^2")
        found = {}
        for path in files.keys() | index.keys():
            before = (files.get(path) or index[path])[0]
            found[path] = Edit(
                before, files.get(path, (before, before))[1], index.get(path, (before, before))[1]
            )
        return found

    def reset(self, edits: Mapping[str, Edit]) -> None:
        """Makes the paths of a stash what the commit has, on disk and in the index."""
        self.tree.set_index({path: edit.base for path, edit in edits.items()})
        self.tree.remove(path for path, edit in edits.items() if edit.base is None)
        self.tree.check_out(path for path, edit in edits.items() if edit.base)

    def restore(self, stash: Stash, onto: CommitId) -> bool:
        """Puts the changes back on top of `onto`, which is checked out; False when they do not fit."""
        edits = self.edits(stash)
        moved = self.tree.changes(f"{stash.commit}^1", onto)
        now = {path: moved[path][1] if path in moved else edit.base for path, edit in edits.items()}
        files = self._merge_all(edits, now)
        if files is None or not self._may_write(now, files):
            return False
        self.tree.write_files(files)
        for path, content in files.items():
            self._set_mode(path, content, stash.modes.get(path))
        self.tree.sync(files)
        self.tree.set_index({path: self._staged(edits[path], now[path], files[path]) for path in edits})
        self.tree.refresh()
        return True

    def forget(self, stash: Stash) -> None:
        """Takes the stash out of the list, by its id.

        git removes by number, and a person's stash may come in between and shift the numbers. The log as it
        was at that moment stays readable in the file that git replaces, so that the wrong one is put back.
        """
        for _ in range(TRIES):
            listed = self._listed()
            if stash.commit not in listed:
                return
            if listed == [stash.commit]:
                self.tree.own("update-ref", "-d", STASH, stash.commit)
                continue
            place = f"{STASH}@{{{listed.index(stash.commit)}}}"
            with self.tree.open_log(STASH) as log:
                self.tree.own_call("reflog", "delete", "--updateref", "--rewrite", place)
                entries = log.read().decode(errors="replace").splitlines()
            self._put_back_others(entries, stash)

    def _put_back_others(self, entries: Iterable[str], ours: Stash) -> None:
        """Lists those again that are gone and not ours; each entry is `OLD NEW WHO WHEN<tab>MESSAGE`."""
        kept = {*self._listed(), ours.commit}
        for entry in entries:
            about, _, message = entry.partition("\t")
            commit = CommitId(about.split(" ")[1])
            if commit not in kept:
                self.enlist(Stash(commit, message, {}))

    # --- merging ------------------------------------------------------------------------

    def _merge_all(self, edits: Mapping[str, Edit], now: Mapping[str, Content]) -> dict[str, Content] | None:
        merged = {}
        for path, edit in edits.items():
            fits, merged[path] = self._merge(edit.base, now[path], edit.file)
            if not fits:
                return None
        return merged

    def _merge(self, base: Content, ours: Content, theirs: Content) -> tuple[bool, Content]:
        """Whether two changes of one path fit together, and what they make."""
        if theirs in (base, ours):
            return True, ours
        if ours == base:
            return True, theirs
        sides = [side for side in (ours, base, theirs) if side and side.mode in {PLAIN, EXECUTABLE}]
        if len(sides) != 3:
            return False, None
        text = self._merge_text(sides)
        mode = sides[2].mode if sides[0].mode == sides[1].mode else sides[0].mode
        return (False, None) if text is None else (True, Blob(mode, text))

    def _merge_text(self, sides: Iterable[Blob]) -> str | None:
        """The id of the merged content of ours, base and theirs; None when they conflict or are binary."""
        call, run = self.tree.git.call, self.tree.git.run
        with TemporaryDirectory(dir=self.tree.git.repository.folder) as folder:
            files = []
            for name, side in zip(("ours", "base", "theirs"), sides, strict=True):
                files.append(Path(folder, name))
                files[-1].write_bytes(call("cat-file", "blob", side.object_id))
            if run("merge-file", "--quiet", *map(str, files)).status != 0:
                return None
            return call("hash-object", "-w", "--no-filters", str(files[0])).decode().strip()

    def _staged(self, edit: Edit, now: Content, file: Content) -> Content:
        """What the index gets back: what was staged, where it fits."""
        if edit.index == edit.file:
            return file
        fits, merged = self._merge(edit.base, now, edit.index)
        return merged if fits else now

    def _may_write(self, now: Mapping[str, Content], files: Mapping[str, Content]) -> bool:
        """Whether every path still holds what the move, or an earlier try of this, has put there."""
        found = self.tree.contents(files)
        for path, content in files.items():
            there = found[path]
            if is_folder(there):
                return False
            if content and not self.tree.is_within(path) and self._is_blocked(path):
                return False
            states = (now[path], content)
            if not any(is_same(there, state) or self.tree.is_partly(path, state) for state in states):
                return False
        return True

    def _is_blocked(self, path: str) -> bool:
        """Whether something that is no folder stands above the path."""
        parts = path.split("/")[:-1]
        above = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        return any(there and not is_folder(there) for there in self.tree.contents(above).values())

    # --- the list -----------------------------------------------------------------------

    def _listed(self) -> list[CommitId]:
        finished = self.tree.own("rev-list", "-g", STASH, "--")
        return [CommitId(commit) for commit in finished.text.split()] if finished.status == 0 else []

    # --- modes --------------------------------------------------------------------------

    def _mode(self, path: str) -> int | None:
        """The mode of a file, where it is one that git would not bring back."""
        with contextlib.suppress(OSError):
            found = self.tree.file(path).lstat().st_mode
            if stat.S_ISREG(found) and stat.S_IMODE(found) not in DEFAULT_MODES:
                return stat.S_IMODE(found)
        return None

    def _set_mode(self, path: str, content: Content, kept: int | None) -> None:
        if content is None or content.mode == LINK:
            return
        wanted = kept if kept is not None else (0o755 if content.mode == EXECUTABLE else 0o644)
        self.tree.file(path).chmod(wanted)


def _as_latin(path: str) -> str:
    return path.encode(errors="surrogateescape").decode("latin-1")


def _from_latin(path: str) -> str:
    return path.encode("latin-1").decode(errors="surrogateescape")
