"""The dependencies of an app: what is owed, and when what is there is good enough.

Rules:

- What is owed follows from what *is* installed (the mark in `.venv`, and whether what it names still
  lies there) and what the tree asks for, never from what one update changed (lessons.md L13, L17).
  In doubt it is owed.
- An environment that does not work, that lost files, or that is of another Python, is made anew,
  because uv and pip would take it for good (L16).

Never restarts anything, and installs nothing anywhere but in `.venv` of the app's folder.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from newleaf.core.errors import NewleafError
from newleaf.core.ports import OnLine
from newleaf.core.settings.sections import Update
from newleaf.update.dependencies.asides import Aside
from newleaf.update.dependencies.fingerprints import MARK, difference
from newleaf.update.dependencies.installations import Installation
from newleaf.update.dependencies.installers import Installer, is_in_sync
from newleaf.update.dependencies.needs import Kind, Needs, read_needs, require_pip_enough, unenforced_lock
from newleaf.update.dependencies.room import require_room
from newleaf.update.dependencies.surroundings import Surroundings
from newleaf.update.dependencies.venvs import Venv

UNFINISHED = "the last installation did not end well"


class InPlaceEnvironment(Struct, frozen=True):
    """`.venv` in the app's `folder`, for the tree that lies there at `commit`.

    `update` are the settings of that tree; `state` is the state directory. With `must_have_one` one is made
    even where no package is asked for: the daemon is started out of it.
    """

    folder: Path
    update: Update
    surroundings: Surroundings
    state: Path
    commit: str
    must_have_one: bool = False

    def owed(self) -> str | None:
        """Why the installed dependencies are not what the tree asks for; None when they are.

        Raises: ManifestUnreadable, NewerSchema.
        """
        venv = self._venv()
        needs = venv.needs
        if needs.kind is Kind.NOBODY:
            return None
        mark = venv.mark()
        fault = venv.fault(mark)
        if fault:
            return fault
        if mark is None:
            return _adopt(venv)
        if mark.state != "installed":
            return UNFINISHED
        if needs.lock and mark.parts.get("kind") == Kind.UV:
            # What uv installed stays good while uv is out of sight (on a timer's PATH, say).
            needs = replace(needs, kind=Kind.UV)
        return difference(mark.parts, needs.parts)

    def install(self, on_line: OnLine) -> None:
        """Makes the installed dependencies what the tree asks for.

        Raises: InstallFailed and its kin, DiskFull, ProgramMissing, NewerSchema.
        """
        venv = self._venv()
        needs = venv.needs
        if needs.kind is Kind.NOBODY:
            return
        if needs.kind is Kind.PIP:
            require_pip_enough(needs)
            speak_of_lock(needs, on_line)
        mark, aside = venv.mark(), Aside(venv.path)
        fault = venv.fault(mark) or venv.wrong_python()
        if aside.is_taken() and (mark is None or mark.state != "installed"):
            fault = fault or UNFINISHED
        require_room(needs, venv.path, is_fresh=bool(fault))
        installation = Installation(venv, Installer(needs, self.surroundings, on_line))
        if fault:
            installation.renew(fault)
        else:
            aside.drop()
            installation.refresh(mark)

    def attach(self) -> None:
        """Nothing: the tree and its `.venv` are one."""

    def _venv(self) -> Venv:
        folder = self.folder.resolve()
        path, has_uv = folder / ".venv", self.surroundings.uv is not None
        # One without packages of ours and without our mark is somebody's own.
        makes_one = self.must_have_one and ((path / MARK).exists() or not os.path.lexists(path))
        needs = read_needs(folder, self.update, self.commit, has_uv=has_uv, must_have_one=makes_one)
        return Venv(path, needs, self.surroundings, self.state / "installed.json")


def _adopt(venv: Venv) -> str | None:
    """Takes an environment that somebody else made for installed, when uv finds nothing to do in it."""
    needs, name = venv.needs, venv.path.name
    if needs.kind is Kind.COMMAND:
        return f"it is not known whether {needs.installer} was run for this commit"
    if needs.kind is not Kind.UV or needs.moving:
        return f"it is not known what is installed in {name}"
    if not is_in_sync(needs, venv.path, venv.surroundings):
        return f"{name} is not what the lock file asks for"
    with contextlib.suppress(NewleafError):
        venv.finish(sync=False)
    return None


def speak_of_lock(needs: Needs, on_line: OnLine) -> None:
    """Says that a lock file is not enforced."""
    lock = unenforced_lock(needs)
    if lock:
        why = "uv is not installed" if lock.name == "uv.lock" else "only its own program reads it"
        on_line(f"{lock.name} is not enforced ({why}): pip picks versions by pyproject.toml")
