"""The checkout's working tree, index and HEAD, as plumbing: what is in them, and single changes to them.

Rules: trees, index and files are handled from the updater's own git directory, so that no filter, monitor or
driver of the checkout runs; HEAD, branches and the stash are handled in the checkout's own, with hooks off
(threats.md T18). Paths are git's: from the top, `/` between, any bytes (surrogates stand for what is not
UTF-8). It decides nothing, and changes nothing that it was not given the name of.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO

from msgspec import Struct

from newleaf.core.release import CommitId
from newleaf.core.releases.git_errors import Unborn
from newleaf.core.releases.tree_rules import EXECUTABLE, LINK, PLAIN, quote
from newleaf.system import copies
from newleaf.system.commands import Finished
from newleaf.system.git.directory import At, Git
from newleaf.system.git.worktree import Worktree
from newleaf.system.loaded_tree import read_position

FOLDER = "040000"


class Blob(Struct, frozen=True):
    """What a path holds: git's mode and the id of its content."""

    mode: str
    object_id: str


Content = Blob | None
Change = tuple[Content, Content]
"""What a path held before and after."""


class Head(Struct, frozen=True):
    """What is checked out; `branch` is a full ref, None when HEAD is detached."""

    commit: CommitId
    branch: str | None


class WorkingTree:
    """One checkout, seen through the updater's git."""

    def __init__(self, git: Git, worktree: Worktree) -> None:
        self.git = git
        self.worktree = worktree
        places = {"GIT_WORK_TREE": str(worktree.top), "GIT_OPTIONAL_LOCKS": "0"}
        self._files = At({**places, "GIT_INDEX_FILE": str(worktree.index)}, worktree.top)
        self._own = At({"GIT_DIR": str(worktree.own)}, worktree.top)
        self._scratch_index = git.repository.folder / "scratch.index"
        self._scratch = {**places, "GIT_INDEX_FILE": str(self._scratch_index)}

    # --- HEAD and refs, in the checkout's own directory -----------------------------------

    def head(self) -> Head:
        """What is checked out, from git's files; git is asked where they do not say it.

        Raises: Unborn.
        """
        position = read_position(self.worktree.top)
        if position:
            return Head(*position)
        finished = self.own("rev-parse", "HEAD", "--symbolic-full-name", "HEAD")
        lines = finished.text.split()
        if finished.status != 0 or len(lines) != 2:
            raise Unborn(path=self.worktree.top)
        return Head(CommitId(lines[0]), None if lines[1] == "HEAD" else lines[1])

    def move_head(self, ref: str | None, start: CommitId, target: CommitId, why: str) -> None:
        """Moves a branch, or HEAD itself when `ref` is None, provided it is still where it was."""
        arguments = [ref] if ref else ["--no-deref", "HEAD"]
        self.own_call("update-ref", "-m", why, *arguments, target, start)

    def note_fetched(self, branch: str, commit: CommitId) -> None:
        """Lets the checkout know what `origin` has, as a fetch by hand would have."""
        self.own("update-ref", "-m", "newleaf: fetch", f"refs/remotes/origin/{branch}", commit)

    def own(self, *arguments: str) -> Finished:
        """Asks git in the checkout's own directory, hooks off."""
        return self.git.run(*arguments, at=self._own)

    def own_call(self, *arguments: str) -> bytes:
        """Like `own`, but an exit status other than 0 is an error."""
        return self.git.call(*arguments, at=self._own)

    def open_log(self, ref: str) -> IO[bytes]:
        """The log of a ref of the checkout, as it is now; empty where git keeps its logs in another form."""
        log = self.worktree.common / "logs" / ref
        return log.open("rb") if log.exists() else io.BytesIO()

    # --- what differs -------------------------------------------------------------------

    def changes(self, start: str, end: str) -> dict[str, Change]:
        """What differs between two commits or trees, by path."""
        return _read_raw(self.git.call("diff-tree", "-r", "-z", "--raw", "--no-renames", start, end))

    def staged(self, commit: CommitId) -> dict[str, Change]:
        """Where the index differs from a commit, by path; an unresolved path is None on both sides."""
        arguments = ("diff-index", "--cached", "-z", "--raw", "--no-renames", "--ita-invisible-in-index")
        return _read_raw(self.git.call(*arguments, commit, at=self._files))

    def edited(self) -> set[str]:
        """The tracked paths whose file is not what git writes of what the index says."""
        differing = self._differing()
        return differing - self._as_written(differing)

    def misjudged(self, among: Iterable[str]) -> set[str]:
        """Those of the paths that git takes for edited, though they are as it has written them.

        Its way back from a file is not always its way there: line ends and `$Id$` may be committed as
        .gitattributes would not have them.
        """
        converted = {path for path in among if self._is_converted(path)}
        return self._as_written(self._differing() & converted) if converted else set()

    def _differing(self) -> set[str]:
        arguments = ("diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv")
        return set(_split(self.git.call(*arguments, "--ignore-submodules=none", at=self._files)))

    def _as_written(self, paths: set[str]) -> set[str]:
        """Those of the paths where lies, to the byte and the mode, what git writes of the index."""
        paths = {path for path in paths if self.is_within(path) and self._is_converted(path)}
        index = self.index_of(paths) if paths else {}
        alike = [path for path in paths if self._is_plain_as(index[path], path)]
        if not alike:
            return set()
        with TemporaryDirectory(dir=self.git.repository.folder) as folder:
            places = {"GIT_WORK_TREE": folder, "GIT_INDEX_FILE": str(self.worktree.index)}
            asked = "".join(f"{path}\0" for path in alike)
            at = At(places, Path(folder))
            self.git.call("checkout-index", "-z", "--stdin", stdin=asked, at=at)
            again = {path: Path(folder, path) for path in alike}
            return {path for path in alike if copies.have_same_content(self.file(path), again[path])}

    def _is_converted(self, path: str) -> bool:
        """Whether a .gitattributes may have git write the file otherwise than it is kept."""
        folders = (self.worktree.top / folder for folder in PurePosixPath(path).parents)
        return any((folder / ".gitattributes").exists() for folder in folders)

    def _is_plain_as(self, content: Content, path: str) -> bool:
        """Whether a file lies there, executable or not as `content` is."""
        return content is not None and self.mode(path) == content.mode in {PLAIN, EXECUTABLE}

    def contents(self, paths: Iterable[str]) -> dict[str, Content]:
        """What lies in the working tree at `paths`, as git would store it; a folder has the mode FOLDER."""
        found: dict[str, Content] = {}
        regular: dict[str, str] = {}
        for path in paths:
            mode = self.mode(path) if self.is_within(path) else None
            if mode is None:
                found[path] = None
            elif mode in {EXECUTABLE, PLAIN}:
                regular[path] = mode
            else:
                found[path] = Blob(
                    mode, self._hash(os.fsencode(self.file(path).readlink())) if mode == LINK else ""
                )
        if regular:
            asked = "".join(f"{quote(path)}\n" for path in regular)
            said = self.git.call("hash-object", "--stdin-paths", stdin=asked, at=self._files)
            ids = said.decode().split()
            found |= {
                path: Blob(mode, object_id)
                for (path, mode), object_id in zip(regular.items(), ids, strict=True)
            }
        return found

    def index_of(self, paths: Iterable[str]) -> dict[str, Content]:
        """What the index says of `paths`."""
        wanted = list(paths)
        found: dict[str, Content] = dict.fromkeys(wanted)
        for some in chunks(wanted):
            for line in _split(self.git.call("ls-files", "-s", "-z", "--", *some, at=self._files)):
                about, _, path = line.partition("\t")
                mode, object_id, _ = about.split(" ")
                if path in found:
                    found[path] = Blob(mode, object_id)
        return found

    def is_partly(self, path: str, content: Content) -> bool:
        """Whether the file is what a kill left of writing `content`: its beginning, or nothing yet."""
        if content is None or content.mode == LINK or not self.is_within(path):
            return False
        mode = self.mode(path)
        if mode not in {EXECUTABLE, PLAIN}:
            return mode is None
        whole = self.git.call("cat-file", "--filters", f"--path={path}", content.object_id, at=self._files)
        return whole.startswith(self.file(path).read_bytes())

    # --- single changes -----------------------------------------------------------------

    def refresh(self) -> None:
        """Lets the index know again which files are untouched."""
        self.git.run("update-index", "-q", "--refresh", at=self._files)

    def read_tree(self, start: str, target: str) -> Finished:
        """Moves index and files from one commit or tree to another; edits that are not in the way stay."""
        return self.git.run("read-tree", "-m", "-u", start, target, at=self._files)

    def set_index(self, entries: Mapping[str, Content]) -> None:
        """Makes the index say `entries`, removals first."""
        self.git.call("update-index", "-z", "--index-info", stdin=self._index_info(entries), at=self._files)

    def check_out(self, paths: Iterable[str]) -> None:
        """Writes the files at `paths` as the index has them, over whatever lies there."""
        asked = "".join(f"{path}\0" for path in paths)
        if asked:
            self.git.call("checkout-index", "-f", "-u", "-z", "--stdin", stdin=asked, at=self._files)

    def write_files(self, entries: Mapping[str, Content]) -> None:
        """Makes files of the working tree hold `entries`, without telling the index; private until chmod."""
        self.remove(path for path, content in entries.items() if content is None)
        present = {path: content for path, content in entries.items() if content}
        if present:
            self._scratch_index.unlink(missing_ok=True)
            at = At(self._scratch, self.worktree.top, umask="077")
            self.git.call("update-index", "-z", "--index-info", stdin=self._index_info(present), at=at)
            asked = "".join(f"{path}\0" for path in present)
            self.git.call("checkout-index", "-f", "-z", "--stdin", stdin=asked, at=at)

    def remove(self, paths: Iterable[str]) -> None:
        """Removes files of the working tree, and folders that are empty then."""
        for path in filter(self.is_within, paths):
            file = self.file(path)
            if not self.is_folder(path):
                file.unlink(missing_ok=True)
            for folder in file.parents:
                if folder == self.worktree.top:
                    break
                try:
                    folder.rmdir()
                except OSError:
                    break

    def write_tree(self, base: str, entries: Mapping[str, Content], edited: Iterable[str] = ()) -> str:
        """The id of a tree: `base` with `entries`, then with the files at `edited` as they lie there."""
        self._scratch_index.unlink(missing_ok=True)
        at = At(self._scratch, self.worktree.top)
        self.git.call("read-tree", base, at=at)
        self.git.call("update-index", "-z", "--index-info", stdin=self._index_info(entries), at=at)
        files = "".join(f"{path}\0" for path in edited)
        if files:
            self.git.call("update-index", "-z", "--add", "--remove", "--stdin", stdin=files, at=at)
        return self.git.call("write-tree", at=at).decode().strip()

    def sync(self, paths: Iterable[str]) -> None:
        """Makes the files at `paths` survive a power cut."""
        folders = set()
        for path in paths:
            file = self.file(path)
            folders.add(file.parent)
            with contextlib.suppress(OSError):
                _sync(file)
        for folder in folders:
            with contextlib.suppress(OSError):
                _sync(folder)

    def is_within(self, path: str) -> bool:
        """Whether the folders above `path` are real ones; a link among them leads elsewhere."""
        parts = path.split("/")[:-1]
        return all(self.is_folder("/".join(parts[:count])) for count in range(1, len(parts) + 1))

    def mode(self, path: str) -> str | None:
        """The mode that git would give to what lies there; None when there is nothing."""
        return _mode_of(self.file(path))

    def is_folder(self, path: str) -> bool:
        """Whether a real folder lies there."""
        return self.mode(path) == FOLDER

    def file(self, path: str) -> Path:
        """Where a path of git lies on disk."""
        return self.worktree.top / path

    def _index_info(self, entries: Mapping[str, Content]) -> str:
        nothing = "0" * (64 if self._algorithm == "sha256" else 40)
        gone = [f"0 {nothing}\t{path}\0" for path, content in entries.items() if content is None]
        kept = [f"{blob.mode} {blob.object_id}\t{path}\0" for path, blob in entries.items() if blob]
        return "".join(gone + kept)

    @property
    def _algorithm(self) -> str:
        return "sha256" if ("objectformat", "sha256") in self.git.repository.extensions else "sha1"

    def _hash(self, body: bytes) -> str:
        """The id that git would give to this content, which no filter touches."""
        algorithm = self._algorithm
        return hashlib.new(algorithm, b"blob %d\0" % len(body) + body, usedforsecurity=False).hexdigest()


def is_folder(content: Content) -> bool:
    """Whether what was found is a folder, which git has no content for."""
    return content is not None and content.mode == FOLDER


def is_same(one: Content, other: Content) -> bool:
    """Whether two states hold the same content; the executable bit is not asked about."""
    if one is None or other is None:
        return one is other
    return one.object_id == other.object_id and (one.mode == LINK) == (other.mode == LINK)


def chunks(paths: list[str], size: int = 500) -> Iterable[list[str]]:
    """`paths` in lists short enough for arguments."""
    return (paths[at : at + size] for at in range(0, len(paths), size))


def _read_raw(text: bytes) -> dict[str, Change]:
    """`:OLDMODE NEWMODE OLDID NEWID STATUS`, then the path, each ended by a zero byte."""
    fields = _split(text)
    found: dict[str, Change] = {}
    for about, path in zip(fields[::2], fields[1::2], strict=True):
        old_mode, new_mode, old_id, new_id, status = about.removeprefix(":").split(" ")
        if status == "U":
            found[path] = (None, None)
        else:
            found.setdefault(path, (_content(old_mode, old_id), _content(new_mode, new_id)))
    return found


def _content(mode: str, object_id: str) -> Content:
    return None if mode == "000000" else Blob(mode, object_id)


def _mode_of(file: Path) -> str | None:
    """The mode that git would give to what lies there; None when there is nothing."""
    try:
        mode = file.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISLNK(mode):
        return LINK
    if stat.S_ISREG(mode):
        return EXECUTABLE if mode & stat.S_IXUSR else PLAIN
    return FOLDER


def _split(text: bytes) -> list[str]:
    return [field for field in text.decode(errors="surrogateescape").split("\0") if field]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
