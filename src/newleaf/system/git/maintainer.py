"""Git as a maintainer has it, for making a release: their configuration, keys, agent and helpers.

Rules: unlike the updater's git (`system.git`) this one sees the maintainer's own configuration, which is the
point of it, and runs their hooks when it pushes. It still never asks: no terminal, no askpass window, ssh
in batch mode; every call has a deadline. What variables a hook leaves behind to point git elsewhere are
not passed on. Commits and tags are named by object id or full ref, after `--end-of-options`. Reading
changes nothing here or at the remote: no ref is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from msgspec import Struct

from newleaf.core.errors import CommandFailed, CommandTimedOut
from newleaf.core.release import CommitId
from newleaf.core.releases import names
from newleaf.core.releases.git_errors import RemoteTimedOut
from newleaf.core.releases.release_errors import SigningFailed
from newleaf.core.releases.tag_object import read_tag
from newleaf.core.releases.tree_rules import LINK, Entry, find_faults
from newleaf.system.commands import Command, Finished, Runner
from newleaf.system.git.environment import CONNECT_SECONDS
from newleaf.system.git.failures import Failure, last_words
from newleaf.system.signing import quiet

LOCAL_SECONDS = 60.0
REMOTE_SECONDS = 120.0
SIGN_SECONDS = 120.0
"""A hardware key waits for a finger."""
PUSH_SECONDS = 600.0
"""Hooks before the push may run tests."""
PEELED = "^{}"
_ELSEWHERE = re.compile(
    r"GIT_(DIR|WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES|COMMON_DIR|NAMESPACE|PREFIX"
    r"|SHALLOW_FILE|GRAFT_FILE|REPLACE_REF_BASE|INTERNAL_SUPER_PREFIX|QUARANTINE_PATH|EDITOR|TRACE.*)"
)
_BLOB = re.compile(rb"[0-9a-f]{40,64} blob ([0-9]+)\Z")
_REJECTED = re.compile(r"!\t[^\t]*\t\[[a-z ]+\] \((?P<why>.*)\)")


class Signing(Struct, frozen=True):
    """How a tag is signed: not at all, by a key named here, or by the one of git's own settings."""

    sign: bool = True
    key: Path | None = None

    @property
    def settings(self) -> tuple[str, ...]:
        key = ("-c", f"user.signingkey={self.key}") if self.key else ()
        return ("-c", "gpg.format=ssh", *key) if self.sign else ()


class MaintainerGit:
    """Git in the working tree at `top`.

    Everything here raises CommandFailed, CommandTimedOut and ProgramMissing as well.
    """

    def __init__(self, top: Path, runner: Runner, outer: Mapping[str, str]) -> None:
        self.top = top
        self.runner = runner
        kept = {name: value for name, value in outer.items() if not _ELSEWHERE.fullmatch(name)}
        self.environment = quiet(
            {
                **kept,
                "LC_ALL": "C",
                "GIT_TERMINAL_PROMPT": "0",
                "GCM_INTERACTIVE": "never",
                "GIT_NO_REPLACE_OBJECTS": "1",
                "GIT_LITERAL_PATHSPECS": "1",
            }
        )

    @cached_property
    def settings(self) -> dict[str, str]:
        """Git's settings as they hold here, names in lower case but for what stands between their dots."""
        said = self._call("config", "--list", "-z").decode(errors="replace")
        pairs = (entry.partition("\n") for entry in said.split("\0") if entry)
        return {key: value for key, _, value in pairs}

    # --- the remote ---------------------------------------------------------------------

    def remote_refs(self, remote: str, branch: str, prefix: str) -> dict[str, CommitId]:
        """The branch at the remote and its tags with the prefix; as `NAME^{}` what annotated ones stand for.

        Raises: RemoteUnreachable and its kin, RemoteTimedOut.
        """
        asked = (f"{names.HEADS}{branch}", f"{names.TAGS}{prefix}*")
        arguments = ("ls-remote", "--quiet", "--end-of-options", remote, *asked)
        url = self.settings.get(f"remote.{remote}.url", remote)
        try:
            finished = self._run(*arguments, seconds=REMOTE_SECONDS, reaching=True)
        except CommandTimedOut as error:
            raise RemoteTimedOut(
                url=names.shown(url), seconds=REMOTE_SECONDS, what="git ls-remote"
            ) from error
        if finished.status != 0:
            raise Failure(url, finished.tail, finished.status).as_error()
        lines = (line.partition("\t") for line in finished.text.splitlines())
        return {
            name: CommitId(object_id)
            for object_id, _, name in lines
            if names.is_commit(object_id) and names.is_ref(name.removesuffix(PEELED))
            if name == asked[0] or name.startswith(names.TAGS)
        }

    def push(self, remote: str, refs: Mapping[str, CommitId]) -> str | None:
        """Pushes all of the refs (full names) or none; returns why it failed, None when it did not."""
        specs = [f"{object_id}:{name}" for name, object_id in refs.items()]
        options = ("--atomic", "--porcelain", "--no-follow-tags", "--recurse-submodules=no")
        arguments = ("push", *options, "--end-of-options", remote, *specs)
        try:
            finished = self._run(*arguments, seconds=PUSH_SECONDS, reaching=True)
        except CommandTimedOut as error:
            return error.message
        return None if finished.status == 0 else explain_push(finished)

    # --- what is here -------------------------------------------------------------------

    def local_tags(self) -> dict[str, CommitId]:
        """The tags here by full name, as `remote_refs` has those of the remote."""
        form = "--format=%(objectname) %(*objectname) %(refname)"
        found: dict[str, CommitId] = {}
        for line in self._call("for-each-ref", form, names.TAGS).decode(errors="replace").splitlines():
            tag_object, peeled, name = line.split(" ", 2)
            found[name] = CommitId(tag_object)
            if peeled:
                found[name + PEELED] = CommitId(peeled)
        return found

    def has(self, commit: CommitId) -> bool:
        """Whether the commit is in this clone."""
        return self._run("cat-file", "-e", f"{commit}^{{commit}}").status == 0

    def contains(self, commit: CommitId, earlier: CommitId) -> bool:
        """Whether `earlier` is part of the history of `commit`, as far as this clone knows."""
        return self.has(earlier) and self._run("merge-base", "--is-ancestor", earlier, commit).status == 0

    def untracked(self, folder: str) -> tuple[str, ...]:
        """Files below a folder that git does not track, those that it was told to ignore too."""
        said = self._call("ls-files", "--others", "-z", "--", folder).decode(errors="surrogateescape")
        return tuple(path for path in said.split("\0") if path)

    def list_tree(self, commit: CommitId) -> list[Entry]:
        """Every file of a commit."""
        said = self._call("ls-tree", "-r", "-z", "--full-tree", commit).decode(errors="surrogateescape")
        return [Entry.read(line) for line in said.split("\0") if line]

    def tree_faults(self, entries: Sequence[Entry]) -> list[str]:
        """What of a commit's files no host would take, by the rules of `core.releases.tree_rules`."""
        links = [entry for entry in entries if entry.mode == LINK]
        bodies = self.blobs(entry.object_id for entry in links)
        targets = {entry.path: bodies[entry.object_id].decode(errors="surrogateescape") for entry in links}
        return find_faults(entries, targets)

    def blobs(self, ids: Iterable[str]) -> dict[str, bytes]:
        """The contents of blobs by their object ids."""
        asked = list(ids)
        if not asked:
            return {}
        said = self._call("cat-file", "--batch", stdin="".join(f"{name}\n" for name in asked).encode())
        found, at = {}, 0
        for name in asked:
            end = said.find(b"\n", at)
            header = _BLOB.match(said[at:end])
            if not header:
                raise CommandFailed(what="git cat-file", status=0, output=f"{name} is no blob here")
            at = end + 1 + int(header[1]) + 1
            found[name] = said[end + 1 : at - 1]
        return found

    # --- the tag ------------------------------------------------------------------------

    def make_tag(self, tag: str, commit: CommitId, message: str, signing: Signing) -> CommitId:
        """Makes an annotated tag, signed or not; returns its object.

        Raises: SigningFailed.
        """
        how = ("--sign",) if signing.sign else ("--annotate", "--no-sign")
        asked = ("tag", *how, "--cleanup=whitespace", "-m", message, "--end-of-options", tag, commit)
        try:
            finished = self._run(*asked, settings=signing.settings, seconds=SIGN_SECONDS)
        except CommandTimedOut as error:
            raise SigningFailed(tag=tag, reason=error.message) from error
        if finished.status != 0:
            raise SigningFailed(tag=tag, reason=last_words(finished.tail, finished.status))
        made = self.local_tags()[names.TAGS + tag]
        if signing.sign and not read_tag(self.read_tag(made) or b"").is_signed:
            # Seen with git 2.39: where ssh-keygen fails, the tag is made all the same, and git succeeds.
            self.remove_tag(tag, made)
            raise SigningFailed(tag=tag, reason=last_words(finished.tail, finished.status))
        return made

    def read_tag(self, tag_object: CommitId) -> bytes | None:
        """The bytes of a tag object; None for a lightweight tag, which is a commit itself."""
        finished = self._run("cat-file", "tag", tag_object)
        return finished.stdout if finished.status == 0 else None

    def find_signature_fault(self, tag_object: CommitId, signers: Path) -> str | None:
        """Why a host with these signers would not take the tag; None when it would."""
        own = ("-c", "gpg.format=ssh", "-c", "gpg.ssh.program=ssh-keygen")
        settings = (*own, "-c", f"gpg.ssh.allowedSignersFile={signers}", "-c", "gpg.minTrustLevel=fully")
        finished = self._run("verify-tag", "--raw", tag_object, settings=settings)
        return None if finished.status == 0 else last_words(finished.tail, finished.status)

    def remove_tag(self, tag: str, tag_object: CommitId) -> None:
        """Takes the tag away, if it is still that object."""
        self._call("update-ref", "-d", f"{names.TAGS}{tag}", tag_object)

    # --- plumbing -----------------------------------------------------------------------

    def _call(self, *arguments: str, stdin: bytes = b"") -> bytes:
        finished = self._run(*arguments, stdin=stdin)
        if finished.status != 0:
            said = last_words(finished.tail, finished.status)
            raise CommandFailed(what=f"git {arguments[0]}", status=finished.status, output=said)
        return finished.stdout

    def _run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        settings: Sequence[str] = (),
        seconds: float = LOCAL_SECONDS,
        reaching: bool = False,
    ) -> Finished:
        environment = self._reaching if reaching else self.environment
        argv = ["git", *settings, *arguments]
        return self.runner.run(
            Command(argv, f"git {arguments[0]}", self.top, environment, seconds, stdin or None)
        )

    @cached_property
    def _reaching(self) -> dict[str, str]:
        """The environment for the remote: the maintainer's ssh, told to ask nobody."""
        if "GIT_SSH" in self.environment and "GIT_SSH_COMMAND" not in self.environment:
            return self.environment
        command = self.environment.get("GIT_SSH_COMMAND") or self.settings.get("core.sshcommand") or "ssh"
        program, _, rest = command.partition(" ")
        options = f"-o BatchMode=yes -o ConnectTimeout={CONNECT_SECONDS}"
        return {**self.environment, "GIT_SSH_COMMAND": f"{program} {options} {rest}".rstrip()}


def explain_push(finished: Finished) -> str:
    """Why a push failed: what was rejected, and what the remote, or a hook, said."""
    rejected = (_REJECTED.match(line) for line in finished.text.splitlines())
    reasons = [found["why"] for found in rejected if found and "atomic" not in found["why"]]
    remote = [line.removeprefix("remote:").strip() for line in finished.tail if line.startswith("remote:")]
    if not reasons:
        return last_words(finished.tail, finished.status)
    return "; ".join(dict.fromkeys([*reasons, *(line for line in remote if line)]))
