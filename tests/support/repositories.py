"""Real git repositories for tests: a bare remote that is written to directly, and checkouts of it.

Isolated from the user's and the machine's configuration; one git process per commit or tag.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from newleaf.core.release import CommitId

FIRST_TIME = 1_790_000_000
"""Commits are a minute apart from here on (seconds since the epoch), so that ids repeat from run to run."""


def git_environment(home: Path) -> dict[str, str]:
    """An environment in which git sees no configuration but the repository's own."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "Ada Example",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada Example",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
    }


@dataclass(frozen=True)
class Link:
    """A symlink to be committed."""

    to: str


@dataclass(frozen=True)
class Script:
    """An executable file to be committed."""

    text: str


Content = str | bytes | Link | Script | None
"""What a path holds in a commit; None removes it."""


@dataclass
class Repository:
    """A repository at `path`, and git run in it."""

    path: Path

    def git(self, *arguments: str, stdin: bytes | None = None, **environment: str) -> str:
        """The output of git, stripped; its failure is the test's."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env=git_environment(self.path.parent) | environment,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"git {' '.join(arguments)}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode(errors="replace").strip()

    def id_of(self, name: str = "HEAD") -> CommitId:
        """The commit that a ref, or any revision, stands for."""
        return CommitId(self.git("rev-parse", "--verify", f"{name}^{{commit}}"))


@dataclass
class Remote(Repository):
    """A bare repository that plays the git server; `url` is its path until a test serves it otherwise."""

    branch: str = "main"
    _commits: int = 0

    @classmethod
    def make(cls, folder: Path, name: str = "remote.git", branch: str = "main") -> Remote:
        """An empty bare repository `folder/name`."""
        remote = cls(folder / name, branch)
        remote.path.mkdir(parents=True)
        remote.git("init", "-q", "--bare", "--template=", f"--initial-branch={branch}")
        return remote

    @property
    def url(self) -> str:
        return str(self.path)

    def commit(
        self,
        files: Mapping[str, Content] | None = None,
        message: str = "Change",
        branch: str | None = None,
        parent: str | None = None,
        when: int | None = None,
    ) -> CommitId:
        """Adds a commit on `branch`, whose tree is the parent's with `files` written over it.

        `parent` is another start than the branch's head ("" for none); the branch then moves there, forced.
        """
        branch = branch or self.branch
        self._commits += 1
        when = when or FIRST_TIME + 60 * self._commits
        if parent is None:
            parent = self.heads().get(branch, "")
        stream = [b"feature done\n"]
        head = f"commit refs/heads/{branch}\nmark :1\ncommitter Ada Example <ada@example.org> {when} +0000\n"
        stream += [head.encode(), _data(message.encode())]
        if parent:
            stream.append(f"from {parent}\n".encode())
        stream += [_entry(path, content) for path, content in (files or {}).items()]
        stream.append(b"\nget-mark :1\ndone\n")
        return CommitId(self.git("fast-import", "--quiet", "--force", stdin=b"".join(stream)))

    def heads(self) -> dict[str, str]:
        """The branches and their commits."""
        lines = self.git("for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads")
        return {name: commit for name, _, commit in (line.partition(" ") for line in lines.splitlines())}

    def tag(self, name: str, commit: str | None = None, message: str | None = None) -> CommitId:
        """Tags a commit (the branch's head unless named), annotated when there is a message; the commit."""
        target = commit or self.id_of(f"refs/heads/{self.branch}")
        annotated = ["-a", "-m", message] if message else []
        self.git("tag", "--force", *annotated, name, target)
        return CommitId(target)

    def clone(self, to: Path, *options: str, url: str | None = None) -> Checkout:
        """A checkout of this remote at `to`; `options` go to `git clone`."""
        to.parent.mkdir(parents=True, exist_ok=True)
        Repository(to.parent).git("clone", "-q", "--template=", *options, "--", url or self.url, str(to))
        return Checkout(to)


@dataclass
class Checkout(Repository):
    """A working tree with its repository, as a person or a host has it."""

    def write(self, path: str, content: str | bytes) -> Path:
        """Writes a file into the working tree."""
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def read(self, path: str) -> str:
        """The text of a file in the working tree."""
        return (self.path / path).read_text()

    def changes(self) -> list[str]:
        """`git status --porcelain`, untracked files included."""
        return self.git("status", "--porcelain", "--untracked-files=all").splitlines()

    def stashes(self) -> list[str]:
        """What the user sees as `git stash list`."""
        return self.git("stash", "list", "--format=%H %gs").splitlines()


def _entry(path: str, content: Content) -> bytes:
    quoted = '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    name = quoted.encode(errors="surrogateescape") + b"\n"
    if content is None:
        return b"D " + name
    if isinstance(content, Link):
        return b"M 120000 inline " + name + _data(content.to.encode())
    if isinstance(content, Script):
        return b"M 100755 inline " + name + _data(content.text.encode())
    body = content.encode() if isinstance(content, str) else content
    return b"M 100644 inline " + name + _data(body)


def _data(body: bytes) -> bytes:
    return b"data %d\n%b\n" % (len(body), body)
