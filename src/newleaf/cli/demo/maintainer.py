"""The maintainer's seat: a bare remote, a clone of it, and the app's releases, published one after another.

Each release is a folder of files that are laid over those of the one before; `.txt` is taken off their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from newleaf.cli.demo.sandbox import Sandbox

APP = Path(__file__).parent / "app"
VERSIONED = ("pyproject.toml", "notes/__init__.py")
"""Files that say the version, or other facts, and are written anew with each release."""


@dataclass(frozen=True)
class Maintainer:
    """Publishes the app. `facts` fill the placeholders of its project file."""

    sandbox: Sandbox
    facts: dict[str, str]
    app: str = ""
    """The app's name, where it is not the first one."""

    @property
    def remote(self) -> Path:
        return self.sandbox.folder / f"{self.app or 'remote'}.git"

    @property
    def clone(self) -> Path:
        return self.sandbox.folder / f"maintainer{self.app and '-'}{self.app}"

    def set_up(self) -> None:
        """Makes the remote and a clone of it."""
        run, folder = self.sandbox.run, self.sandbox.folder
        run("git", "init", "--quiet", "--bare", "--initial-branch=main", self.remote, cwd=folder)
        run("git", "clone", "--quiet", self.remote, self.clone, cwd=folder)
        run("git", "checkout", "--quiet", "-B", "main", cwd=self.clone)

    def publish(self, version: str, wordtally: str, subject: str) -> str:
        """Commits, tags and pushes a release; returns its commit."""
        facts = {**self.facts, "version": version, "wordtally": wordtally}
        first = release_files("1.0.0")
        files = {**{name: first[name] for name in VERSIONED}, **release_files(version)}
        self.write(
            {
                name: Template(text).substitute(facts) if name in VERSIONED else text
                for name, text in files.items()
            }
        )
        self.sandbox.run("uv", "lock", "--quiet", cwd=self.clone)
        return self.push(version, subject)

    def write(self, files: Mapping[str, str]) -> None:
        """Writes files into the clone."""
        for name, text in files.items():
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def push(self, version: str, subject: str) -> str:
        """Commits, tags and pushes what lies in the clone; returns its commit."""
        run = self.sandbox.run
        run("git", "add", "--all", cwd=self.clone)
        run("git", "commit", "--quiet", "--message", subject, cwd=self.clone)
        run("git", "tag", f"v{version}", cwd=self.clone)
        run("git", "push", "--quiet", "origin", "main", f"v{version}", cwd=self.clone)
        return self.commit_of("HEAD")

    def commit_of(self, name: str) -> str:
        return self.sandbox.run("git", "rev-parse", name, cwd=self.clone).text.strip()

    def refs(self, repository: Path) -> list[str]:
        """What the repository's branches and tags stand for."""
        shape = "--format=%(objectname) %(refname)"
        refs = self.sandbox.run("git", "for-each-ref", shape, "refs/heads", "refs/tags", cwd=repository)
        return refs.text.splitlines()


def release_files(version: str) -> dict[str, str]:
    """The files that a release brings, by their names in the repository."""
    folder = APP / f"v{version}"
    paths = sorted(folder.rglob("*.txt"))
    return {
        path.relative_to(folder).as_posix().removesuffix(".txt").replace("dot-", "."): path.read_text()
        for path in paths
    }
