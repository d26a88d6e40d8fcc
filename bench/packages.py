"""An app that needs packages: wheels made here, a lock file that names them, and uv's cache warm with them.

Rules: nothing comes from an index; a wheel has as many files as a middling one of the index, because linking
files is what an installation spends its time on.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import DidNotWork
from tests.support.repositories import Remote
from tests.support.wheels import write_wheel

if TYPE_CHECKING:
    from bench.ground import Ground

MODULES = 25
"""In each package, of a block each."""
MODULE = "VALUE = 'a line of a module'\n" * 140


@dataclass
class PackagedApp:
    """The app of the ground once more, with so many packages in its lock file."""

    ground: Ground
    count: int
    remote: Remote
    _published: int = 0

    @classmethod
    def make(cls, ground: Ground, count: int) -> PackagedApp:
        """Published once; every package in uv's cache."""
        folder = ground.folder / f"packaged-{count}"
        folder.mkdir()
        for number in range(count):
            _write(folder / "wheels", number, "1.0.0")
        app = cls(ground, count, Remote.make(folder, "sessions.git"))
        app.remote.commit({**ground.files, **app._locked("1.0.0")}, "Version 1.0.0")
        return app

    @property
    def folder(self) -> Path:
        return self.remote.path.parent

    @property
    def project(self) -> Path:
        """Where it is locked: what the last commit has of pyproject.toml and uv.lock."""
        return self.folder / "project"

    def publish_code(self) -> None:
        """A new commit that changes one file of the app."""
        self._published += 1
        self.remote.commit({"release.txt": f"{self._published}\n"}, f"Change {self._published}")

    def publish_dependency(self) -> None:
        """A new commit that needs another version of one package; that is in uv's cache already."""
        self._published += 1
        version = f"1.0.{self._published}"
        _write(self.folder / "wheels", 0, version)
        self.remote.commit(self._locked(version), f"Change {self._published}")

    def installed(self, environment: Path) -> Callable[[], None]:
        """Proves that an environment has every package, and takes it out of the way of the next."""

        def prove() -> None:
            found = len(list(environment.glob("lib/*/site-packages/*.dist-info")))
            if found != self.count:
                raise DidNotWork(f"{environment} has {found} of {self.count} packages")
            _put_away(environment)

        return prove

    def _locked(self, version: str) -> dict[str, str]:
        """The project with this version of its first package, as it is committed; the cache is warm then."""
        project = self.project
        project.mkdir(exist_ok=True)
        needs = [f'"package0=={version}"', *(f'"package{number}"' for number in range(1, self.count))]
        (project / "pyproject.toml").write_text(
            '[project]\nname = "sessions"\nversion = "1.0.0"\nrequires-python = ">=3.11"\n'
            f"dependencies = [{', '.join(needs)}]\n"
        )
        source = ("--no-index", "--find-links", str(self.folder / "wheels"))
        self.ground.call("uv", "lock", "--quiet", *source, folder=project)
        self.ground.call("uv", "sync", "--frozen", "--quiet", folder=project)
        return {name: (project / name).read_text() for name in ("pyproject.toml", "uv.lock")}


def _put_away(environment: Path) -> None:
    """By rename: removing it would keep the disk busy while others are timed."""
    gone = environment.parent / "gone"
    gone.mkdir(exist_ok=True)
    os.rename(environment, gone / f"{environment.name}-{len(os.listdir(gone))}")


def _write(wheels: Path, number: int, version: str) -> None:
    name = f"package{number}"
    modules = {f"{name}/module{each}.py": MODULE for each in range(MODULES)}
    write_wheel(wheels, name, version, files={f"{name}/__init__.py": f"VERSION = '{version}'\n", **modules})
