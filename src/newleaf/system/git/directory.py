"""One git directory of the updater's own, and the facts that git tells from it.

Rules: threats.md § How. The directory's configuration is ours alone, so nothing that a checkout or a
remote configures ever runs; what is asked is asked by full object ids and full ref names, after
`--end-of-options`; every call has a deadline, and its process group ends with it (lessons.md L10).
Objects come through a quarantine: nothing enters the store before it is known to be whole, sound and
within `source.max_fetch_bytes`. What was fetched is never named by FETCH_HEAD (L9). It never touches a
working tree, and never moves a ref outside its own directory.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from newleaf.core.errors import CommandFailed, CommandTimedOut, NewleafError, ProgramMissing
from newleaf.core.release import CommitId
from newleaf.core.releases import names
from newleaf.core.releases.git_errors import CommitGone, FetchTooLarge, GitTooOld, NotACommit, RemoteTimedOut
from newleaf.core.releases.tree_rules import LINK, Entry, find_faults
from newleaf.core.settings.git_settings import Pairs
from newleaf.system import files
from newleaf.system.commands import Command, Finished, Runner
from newleaf.system.git.environment import Access, build_environment
from newleaf.system.git.failures import Failure, last_words
from newleaf.system.git.quarantine import Quarantine
from newleaf.system.git.worktree import CheckoutConfig, Worktree

OLDEST_GIT = (2, 34)
LOCAL_SECONDS = 300.0
SHOWN_COMMITS = 50
MANY_PACKS = 50
KEPT_LISTS = 2
"""Trees remembered: of the release that comes, and of one that goes."""
PEELED = "^{}"
_ABBREVIATED = re.compile(r"[0-9a-f]{7,64}\Z")
FETCH_OPTIONS = (
    "--quiet --no-tags --no-write-fetch-head --no-auto-maintenance --no-recurse-submodules --end-of-options"
).split()
_LIMITED = ("sh", "-c", 'ulimit -f "$1" 2>/dev/null; shift; exec "$@"', "sh")
_BLOB = re.compile(rb"[0-9a-f]{40,64} ([a-z]+) ([0-9]+)\Z")
_BLOCK_BYTES = 512
_LARGEST_BLOCKS = 2**40


class Repository(Struct, frozen=True):
    """Where a git directory of the updater's lies, and whose objects it works with.

    `objects` are another repository's (a checkout's); None for its own. `extensions` are what git must know
    of their format; `settings` what of the checkout's configuration is harmless and needed; `links` the
    checkout's files that the directory must have too, by their name there.
    """

    folder: Path
    objects: Path | None = None
    extensions: Pairs = ()
    settings: Pairs = ()
    links: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def beside(cls, worktree: Worktree, config: CheckoutConfig, folder: Path) -> Repository:
        """A directory at `folder` that works with the objects of a checkout and none of its programs."""
        links = worktree.shared_files()
        return cls(folder, worktree.objects, config.extensions, config.settings, links)

    @property
    def promisors(self) -> tuple[str, ...]:
        """Names of the remotes from which objects may have to be asked at any time (a partial clone)."""
        return tuple(
            name.removesuffix(".promisor") for name, _ in self.settings if name.endswith(".promisor")
        )

    @property
    def store(self) -> Path:
        """The folder of the objects."""
        return self.objects or self.folder / "objects"


class At(Struct, frozen=True):
    """Where git works: further variables (directory, index, working tree), and the folder it starts in."""

    variables: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    timeout_seconds: float = LOCAL_SECONDS
    umask: str = ""


class Git:
    """The updater's git. Everything here raises CommandFailed, CommandTimedOut and ProgramMissing as well."""

    def __init__(
        self, repository: Repository, access: Access, runner: Runner, outer: Mapping[str, str] = os.environ
    ) -> None:
        """Judges the configuration; starts no process.

        Raises: RemoteInvalid, GitSettingRefused, TokenUnreadable.
        """
        self.repository = repository
        self.access = access
        promised = tuple((f"{remote}.url", access.url) for remote in repository.promisors)
        environment = build_environment(access, outer, repository.settings + promised)
        places = {"GIT_DIR": str(repository.folder), "GIT_OBJECT_DIRECTORY": str(repository.store)}
        self._remote = {**environment.remote, **places}
        self._local = self._remote if promised else {**environment.local, **places}
        self._secrets = environment.secrets
        self._runner = runner
        self._listed: dict[CommitId, tuple[Entry, ...]] = {}

    # --- the remote ---------------------------------------------------------------------

    def ls_remote(self, *patterns: str) -> dict[str, CommitId]:
        """The refs of the remote that `patterns` name (in full; a `*` at the end is any rest), by name.

        An annotated tag comes twice: its own object, and as `NAME^{}` the commit it stands for. Refs whose
        names break the rules of `core.releases.names` are left out.
        Raises: RemoteUnreachable and its kin, RemoteTimedOut.
        """
        kinds = {names.HEADS: "--heads", names.TAGS: "--tags"}
        asked = {flag for pattern in patterns for start, flag in kinds.items() if pattern.startswith(start)}
        narrow = asked if all(pattern.startswith(tuple(kinds)) for pattern in patterns) else set()
        argv = [
            "git",
            "ls-remote",
            "--quiet",
            *sorted(narrow),
            "--end-of-options",
            self.access.url,
            *patterns,
        ]
        finished = self._reach(argv, "git ls-remote", self._remote)
        refs: dict[str, CommitId] = {}
        for line in finished.stdout.decode(errors="replace").splitlines():
            commit, _, name = line.partition("\t")
            plain = name.removesuffix(PEELED)
            if names.is_commit(commit) and names.is_ref(plain) and _is_asked(plain, patterns):
                refs[name] = CommitId(commit)
        return refs

    def fetch(self, wanted: Mapping[str, CommitId]) -> None:
        """Brings the objects of full ref names, and makes sure that the commit wanted of each is among them.

        Raises: RemoteUnreachable and its kin, RemoteTimedOut, RefGone, CommitGone, NotACommit, FetchTooLarge,
        ObjectsRefused.
        """
        self._prepare()
        quarantine = Quarantine(self.repository.folder / "incoming", self.repository.store)
        environment = {**self._remote, "GIT_OBJECT_DIRECTORY": str(quarantine.folder)}
        with quarantine.opened(self.access.timeout_seconds):
            self._fetch_into(quarantine, sorted(wanted), environment)
            kinds = self._kinds(wanted.values(), environment)
            for commit in wanted.values():
                if kinds[commit] != "commit":
                    gone = CommitGone if kinds[commit] == "missing" else NotACommit
                    raise gone(url=self.shown_url, commit=commit, kind=kinds[commit])
            quarantine.adopt()
        self.keep({f"fetched/{number}": commit for number, commit in enumerate(wanted.values())})
        self._roll_up()

    def keep(self, refs: Mapping[str, CommitId]) -> None:
        """Names commits in the own directory, under refs/newleaf/, so that the next fetch builds on them."""
        lines = [f"update refs/newleaf/{name} {commit}\n" for name, commit in refs.items()]
        self.call("update-ref", "--stdin", stdin="".join(lines))

    # --- commits ------------------------------------------------------------------------

    def has(self, commit: CommitId) -> bool:
        """Whether the commit is here."""
        return self._kinds([commit], self._local)[commit] == "commit"

    def complete(self, text: str) -> CommitId | None:
        """The commit here that an id, or its first seven digits or more, stands for."""
        if not _ABBREVIATED.match(text):
            return None
        found = self.run("rev-parse", "--quiet", "--verify", "--end-of-options", f"{text}^{{commit}}")
        return CommitId(found.text.strip()) if found.status == 0 else None

    def is_ancestor(self, ancestor: CommitId, commit: CommitId) -> bool:
        """Whether `commit` is `ancestor` or descends from it."""
        finished = self.run("merge-base", "--is-ancestor", ancestor, commit)
        if finished.status not in {0, 1}:
            raise self._failed(finished, "git merge-base")
        return finished.status == 0

    def log(self, start: CommitId, end: CommitId) -> tuple[int, tuple[tuple[CommitId, str], ...]]:
        """How many commits `end` has that `start` has not, and the newest of them as (id, subject)."""
        text = self.call("log", "-z", "--format=%H %s", f"{start}..{end}").decode(errors="replace")
        lines = [line.partition(" ") for line in text.split("\0") if line]
        return len(lines), tuple((CommitId(commit), subject) for commit, _, subject in lines[:SHOWN_COMMITS])

    def commit_time(self, commit: CommitId) -> datetime:
        """When the commit was made, as its committer said, in UTC."""
        seconds = self.call("log", "-1", "--format=%ct", commit)
        return datetime.fromtimestamp(int(seconds), UTC)

    def newest_touching(
        self, end: CommitId, paths: Sequence[str], start: CommitId | None = None
    ) -> CommitId | None:
        """The newest commit up to `end` (not in `start`) that changes one of `paths`, or anything below."""
        span = f"{start}..{end}" if start else end
        found = self.call("rev-list", "-1", span, "--", *paths).decode().strip()
        return CommitId(found) if found else None

    # --- trees --------------------------------------------------------------------------

    def show(self, commit: CommitId, path: str) -> bytes | None:
        """The content of one file of a commit; None where there is none."""
        return self.show_many(commit, [path]).get(path)

    def show_many(self, commit: CommitId, paths: Sequence[str]) -> dict[str, bytes]:
        """The contents of those of `paths` that are files of a commit."""
        return dict(self.blobs((path, f"{commit}:{path}") for path in paths))

    def list_tree(self, commit: CommitId, folder: str = "") -> list[Entry]:
        """Every file below `folder` of a commit. The last few that were listed whole are remembered."""
        above = "" if folder in {"", "."} else f"{folder.rstrip('/')}/"
        if commit in self._listed:
            return [entry for entry in self._listed[commit] if entry.path.startswith(above)]
        said = self.call("ls-tree", "-r", "-z", "--full-tree", commit, *(("--", above) if above else ()))
        found = [Entry.read(line) for line in said.decode(errors="surrogateescape").split("\0") if line]
        if not above:
            if len(self._listed) == KEPT_LISTS:
                del self._listed[next(iter(self._listed))]
            self._listed[commit] = tuple(found)
        return found

    def tree_bytes(self, commit: CommitId) -> int:
        """The room that the files of a commit take, before their ends are rounded up to blocks."""
        said = self.call("ls-tree", "-r", "-l", "-z", "--full-tree", commit).decode(errors="replace")
        sizes = (line.partition("\t")[0].split()[-1] for line in said.split("\0") if line)
        return sum(int(size) for size in sizes if size.isdecimal())

    def tree_faults(self, commit: CommitId) -> list[str]:
        """What is wrong with the tree of a commit by the rules of `core.releases.tree_rules`."""
        entries = self.list_tree(commit)
        links = [(entry.path, entry.object_id) for entry in entries if entry.mode == LINK]
        targets = {path: body.decode(errors="surrogateescape") for path, body in self.blobs(links)}
        return find_faults(entries, targets)

    def blobs(self, named: Iterable[tuple[str, str]]) -> list[tuple[str, bytes]]:
        """The contents of blobs, each under the key it was asked with; what is no blob is left out."""
        asked = [(key, name) for key, name in named if "\n" not in name]
        if not asked:
            return []
        finished = self.run("cat-file", "--batch", stdin="".join(f"{name}\n" for _, name in asked))
        said, found, at = finished.stdout, [], 0
        for key, _ in asked:
            end = said.find(b"\n", at)
            header = _BLOB.match(said[at:end])
            at = end + 1
            if header:
                body = said[at : at + int(header[2])]
                at += len(body) + 1
                if header[1] == b"blob":
                    found.append((key, body))
            if finished.status != 0 or end < 0 or at > len(said):
                raise self._failed(finished, "git cat-file")
        return found

    # --- plumbing -----------------------------------------------------------------------

    def call(self, *arguments: str, stdin: str = "", at: At | None = None) -> bytes:
        """The output of git."""
        finished = self.run(*arguments, stdin=stdin, at=at)
        if finished.status != 0:
            raise self._failed(finished, f"git {arguments[0]}")
        return finished.stdout

    def run(self, *arguments: str, stdin: str = "", at: At | None = None) -> Finished:
        """Like `call`, whatever its exit status."""
        self._prepare()
        return self._run(["git", *arguments], self._local, stdin, at or At())

    @property
    def shown_url(self) -> str:
        """The remote's address for messages."""
        return names.shown(self.access.url)

    @cached_property
    def program(self) -> str:
        """The git program, looked for once. Raises: ProgramMissing."""
        found = shutil.which("git", path=self._local["PATH"])
        if not found:
            raise ProgramMissing(program="git")
        return found

    def _fetch_into(
        self, quarantine: Quarantine, refs: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        """A file that grows past the limit, or a lower one of ours, ends git; the pack comes in one file."""
        limit = self.access.max_fetch_bytes
        blocks = min(-(-limit // _BLOCK_BYTES), _LARGEST_BLOCKS)
        argv = [*_LIMITED, str(blocks), self.program, "fetch", *FETCH_OPTIONS, self.access.url, *refs]
        try:
            self._reach(argv, "git fetch", environment)
        except RemoteTimedOut:
            raise
        except NewleafError as error:
            if quarantine.largest() >= blocks * _BLOCK_BYTES:
                raise FetchTooLarge(url=self.shown_url, limit=files.size(limit)) from error
            raise

    def _roll_up(self) -> None:
        """Puts small packs together: every fetch brings one, and git's own housekeeping is off.

        Nothing is dropped, reachable or not. A failure harms nobody; the next fetch tries again.
        """
        packs = len(list((self.repository.store / "pack").glob("*.pack")))
        if packs > MANY_PACKS and not self.repository.promisors:
            self.run("repack", "-d", "--quiet", "--geometric=2")

    def _reach(self, argv: Sequence[str], what: str, environment: Mapping[str, str]) -> Finished:
        """Runs what needs the remote, under its deadline; its failure says whose it is."""
        self._prepare()
        limit = self.access.timeout_seconds
        try:
            finished = self._run(argv, environment, "", At(timeout_seconds=limit))
        except CommandTimedOut as error:
            raise RemoteTimedOut(url=self.shown_url, seconds=limit, what=what) from error
        if finished.status != 0:
            free = files.size(shutil.disk_usage(self.repository.folder).free)
            folder = str(self.repository.folder)
            raise Failure(self.access.url, finished.tail, finished.status, free, folder).as_error()
        return finished

    def _run(self, argv: Sequence[str], environment: Mapping[str, str], stdin: str, at: At) -> Finished:
        is_git = argv[0] == "git"
        what = f"git {argv[1]}" if is_git else "git fetch"
        program = [self.program, *argv[1:]] if is_git else argv
        if at.umask:
            program = ["sh", "-c", 'umask "$1" && shift && exec "$@"', "sh", at.umask, *program]
        given = stdin.encode(errors="surrogateescape") or None
        folder = at.folder or self.repository.folder
        command = Command(program, what, folder, {**environment, **at.variables}, at.timeout_seconds, given)
        # Asked anew each time: the lock's owner has children noted only from when it holds the lock.
        runner = replace(self._runner, secrets=(*self._runner.secrets, *self._secrets))
        return runner.run(command)

    def _failed(self, finished: Finished, what: str) -> CommandFailed:
        said = last_words(finished.tail, finished.status)
        return CommandFailed(what=what, status=finished.status, output=said)

    def _kinds(self, ids: Iterable[CommitId], environment: Mapping[str, str]) -> dict[CommitId, str]:
        """What each object is: commit, tree, blob, tag or missing."""
        asked = "".join(f"{commit}\n" for commit in ids)
        said = self.call("cat-file", "--batch-check", stdin=asked, at=At(environment)).decode()
        return {CommitId(fields[0]): fields[1] for fields in map(str.split, said.splitlines())}

    def _prepare(self) -> None:
        """Makes the directory on the first use; it holds nothing but what is written here."""
        folder = self.repository.folder
        for name, target in self.repository.links.items():
            _link(folder / name, target)
        if (folder / "HEAD").exists():
            return
        folder.mkdir(mode=files.PRIVATE_FOLDER, parents=True, exist_ok=True)
        version = self._version()
        if version < OLDEST_GIT:
            raise GitTooOld(found=".".join(map(str, version)), needed=".".join(map(str, OLDEST_GIT)))
        for below in ("refs", "objects"):
            (folder / below).mkdir(mode=files.PRIVATE_FOLDER, parents=True, exist_ok=True)
        lines = ["[core]", "\trepositoryformatversion = 1", "[extensions]"]
        lines += [f"\t{name} = {value}" for name, value in self.repository.extensions]
        files.write_whole(folder / "config", ("\n".join(lines) + "\n").encode())
        files.write_whole(folder / "HEAD", b"ref: refs/heads/none\n")

    def _version(self) -> tuple[int, ...]:
        command = Command(
            [self.program, "version"],
            "git version",
            self.repository.folder.parent,
            self._local,
            LOCAL_SECONDS,
        )
        self.repository.folder.mkdir(mode=files.PRIVATE_FOLDER, parents=True, exist_ok=True)
        found = re.search(r"\d+(?:\.\d+)+", self._runner.check(command).text)
        return tuple(int(part) for part in found[0].split(".")) if found else (0,)


def _is_asked(name: str, patterns: Sequence[str]) -> bool:
    """Whether a ref was asked for: git itself matches the ends of names."""
    starts = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))
    return not patterns or name in patterns or name.startswith(starts)


def _link(link: Path, target: Path) -> None:
    if not link.is_symlink() or link.readlink() != target:
        link.parent.mkdir(mode=files.PRIVATE_FOLDER, parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        with contextlib.suppress(FileExistsError):
            link.symlink_to(target)
