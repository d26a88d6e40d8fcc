"""Releases beside each other with their environments: what a host with slots installs, without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from newleaf.core.settings.sections import Update
from newleaf.system import files
from newleaf.system.commands import Runner
from newleaf.system.loaded_tree import RELEASE_RECORD
from newleaf.update.dependencies.slot_environments import Slot, SlotEnvironment
from newleaf.update.dependencies.surroundings import Surroundings
from tests.support.wheels import App

WHOLE = "installed"


@dataclass
class Shelf:
    """A state directory with releases that are copies of what lay in the app's folder at the time."""

    state: Path
    app: App

    @property
    def envs(self) -> Path:
        return self.state / "envs"

    def release(self, letter: str) -> Path:
        """The app's folder as it is now becomes a release."""
        top = self.state / "releases" / (letter * 40)
        shutil.copytree(self.app.folder, top, symlinks=True, ignore=shutil.ignore_patterns(".venv", ".git"))
        files.write_record(top / RELEASE_RECORD, {"commit": letter * 40, "environment": None})
        return top

    def of(
        self,
        letter: str,
        inner: str = ".",
        version: str | None = "1.0.0",
        *,
        must_have_one: bool = False,
        **update: Any,
    ) -> SlotEnvironment:
        """The environment of a release, as a process of its own sees it."""
        top = self.state / "releases" / (letter * 40)
        slot = Slot(top, top if inner == "." else top / inner, letter * 40, version)
        surroundings = Surroundings(Runner(), self.app.host.environ)
        return SlotEnvironment(
            slot, Update(**update), surroundings, self.envs, self.state / "current" / ".venv", must_have_one
        )

    def installed(self, letter: str, said: list[str], **how: Any) -> Path:
        """Makes a release ready as an attempt does; returns where its `.venv` leads to."""
        slot = self.of(letter, **how)
        if slot.owed():
            slot.install(said.append)
        slot.attach()
        assert self.of(letter, **how).owed() is None
        return Path(os.path.realpath(slot.slot.folder / ".venv"))

    def environments(self) -> list[str]:
        """The names of everything in `envs`."""
        return sorted(os.listdir(self.envs)) if self.envs.is_dir() else []

    def record(self, letter: str) -> dict[str, Any]:
        return files.read_record(self.state / "releases" / (letter * 40) / RELEASE_RECORD) or {}

    def python(self, letter: str, code: str, inner: str = ".") -> str:
        """What the release's own interpreter prints, or the last line of its traceback."""
        folder = self.state / "releases" / (letter * 40) / inner
        return self.program(folder / ".venv/bin/python", "-c", code)

    def program(self, *argv: str | Path) -> str:
        done = subprocess.run(
            argv, cwd=self.state, env=self.app.host.environ, capture_output=True, text=True, check=False
        )
        return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def snapshot(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Everything below a folder, but for byte code: its inode, size and, of links, where they lead."""
    found = {}
    for path in _below(folder):
        known = path.lstat()
        leads = os.readlink(path) if path.is_symlink() else ""
        found[str(path.relative_to(folder))] = (known.st_ino, known.st_size, leads)
    return found


def _below(folder: Path) -> Iterator[Path]:
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from (Path(top) / name for name in [*folders, *names])
