"""A whole remote in memory, behind the interface that the real one has: branches, tags, history, failures."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from newleaf.core.errors import NewleafError
from newleaf.core.release import CommitId
from newleaf.core.releases.git_errors import RemoteUnreachable


def object_id(*parts: object) -> CommitId:
    """An id that depends on the parts alone."""
    return CommitId(hashlib.sha1("\0".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest())


@dataclass
class SimulatedRemote:
    """Implements `agent.target.Remote`. What a test commits and tags is what is answered next.

    `failure` is raised by whatever asks the remote; `asked` tells each question; `here` are the commits
    that this host has the objects of.
    """

    branch: str = "main"
    refs: dict[str, CommitId] = field(default_factory=dict)
    parents: dict[CommitId, CommitId | None] = field(default_factory=dict)
    changed: dict[CommitId, tuple[str, ...]] = field(default_factory=dict)
    here: set[CommitId] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    failure: NewleafError | None = None

    def commit(self, *paths: str, parent: CommitId | None = None) -> CommitId:
        """Adds a commit that changes `paths` to the branch."""
        head = f"refs/heads/{self.branch}"
        parent = parent or self.refs.get(head)
        made = object_id("commit", len(self.parents), parent)
        self.parents[made] = parent
        self.changed[made] = paths or ("app.py",)
        self.refs[head] = made
        return made

    def tag(self, name: str, commit: CommitId | None = None, message: str | None = None) -> CommitId:
        """Tags the branch's head, or `commit`; annotated when there is a message."""
        target = commit or self.refs[f"refs/heads/{self.branch}"]
        self.refs.pop(f"refs/tags/{name}^{{}}", None)
        self.refs[f"refs/tags/{name}"] = target
        if message:
            self.refs[f"refs/tags/{name}"] = object_id("tag", name, target, message)
            self.refs[f"refs/tags/{name}^{{}}"] = target
        return target

    def delete(self, ref: str) -> None:
        """Removes a ref."""
        for name in (ref, f"{ref}^{{}}"):
            self.refs.pop(name, None)

    def clone(self) -> CommitId:
        """Lets this host have all objects; the head."""
        self.here |= set(self.parents)
        return self.refs[f"refs/heads/{self.branch}"]

    def break_down(self, reason: str = "no route to host") -> None:
        """From now on nobody can reach it, until `failure` is taken away."""
        self.failure = RemoteUnreachable(url="https://git.example.org/acme/sessions", reason=reason)

    # --- what newleaf asks --------------------------------------------------------------

    def ls_remote(self, *patterns: str) -> Mapping[str, CommitId]:
        self._answer(f"ls-remote {' '.join(patterns)}")
        return {name: commit for name, commit in self.refs.items() if _matches(name, patterns)}

    def fetch(self, wanted: Mapping[str, CommitId]) -> None:
        self._answer(f"fetch {' '.join(wanted)}")
        for commit in wanted.values():
            self.here |= set(self._line(commit))

    def has(self, commit: CommitId) -> bool:
        return commit in self.here

    def is_ancestor(self, ancestor: CommitId, commit: CommitId) -> bool:
        return ancestor in self._line(commit)

    def newest_touching(
        self, end: CommitId, paths: Sequence[str], start: CommitId | None = None
    ) -> CommitId | None:
        assert self.has(end)
        old = set(self._line(start)) if start else set()
        for commit in self._line(end):
            if commit not in old and any(_touches(path, paths) for path in self.changed[commit]):
                return commit
        return None

    def _answer(self, question: str) -> None:
        self.asked.append(question)
        if self.failure:
            raise self.failure

    def _line(self, commit: CommitId | None) -> list[CommitId]:
        """A commit and what it descends from, newest first."""
        line = []
        while commit:
            line.append(commit)
            commit = self.parents.get(commit)
        return line


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern.replace("[", "[[]")) for pattern in patterns)


def _touches(path: str, paths: Sequence[str]) -> bool:
    return any(path == wanted or path.startswith(f"{wanted}/") for wanted in paths)
