"""The dependencies of a release slot: an environment in `envs/` that all releases with the same needs share.

Rules:

- Its name follows from what is asked: lock file, extras, groups, wished Python, platform. What leads back
  into one tree (an installed project, members of a workspace, local packages) is asked by one commit alone.
- It is built under its own name, because programs in it name their place, and counts from when its mark
  says that it is whole; what a kill left unfinished is removed. Afterwards it is never changed: a damaged
  one stays for who uses it, and another is built beside it.
- A new one gets the interpreter of the live one, where both ask for the same: looking for one anew can
  take longer than all the rest, through a version manager's shim. The host's own UV_PYTHON wins.
- `.venv` of the release leads to it, and the release's record names it. An app that is started out of `.venv`
  has one even where it needs no package.
- An app that installs with its own command has a `.venv` of its own in each release.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from newleaf.core.dependencies.install_errors import ManifestUnreadable
from newleaf.core.dependencies.manifest import parse_manifest
from newleaf.core.ports import OnLine
from newleaf.core.settings.sections import Update
from newleaf.system import files
from newleaf.system.loaded_tree import RELEASE_RECORD
from newleaf.update.dependencies.asides import Aside
from newleaf.update.dependencies.environments import UNFINISHED, InPlaceEnvironment, speak_of_lock
from newleaf.update.dependencies.fingerprints import MARK, describe_interpreter, difference, read_mark
from newleaf.update.dependencies.installations import Installation
from newleaf.update.dependencies.installers import Installer
from newleaf.update.dependencies.needs import Kind, Needs, read_needs, require_pip_enough
from newleaf.update.dependencies.room import require_room
from newleaf.update.dependencies.surroundings import Surroundings
from newleaf.update.dependencies.venvs import Venv

PRETENDED = "SETUPTOOLS_SCM_PRETEND_VERSION_FOR"
"""By which setuptools-scm, and with it hatch-vcs, is told a version."""
_NUMBERED = re.compile(r"(?P<key>[0-9a-f]{24})(?:\.(?P<number>[0-9]+))?\Z")


class Slot(Struct, frozen=True):
    """A release on the disk: its top, the app's folder in it, its commit and version."""

    top: Path
    folder: Path
    commit: str
    version: str | None = None


class SlotEnvironment(Struct, frozen=True):
    """The environment of `slot`, among those in `envs`.

    `update` are the settings of that release; `live` is the `.venv` of the live one, to tell what changed.
    With `must_have_one` there is one even where no package is asked for: the daemon is started out of it.
    """

    slot: Slot
    update: Update
    surroundings: Surroundings
    envs: Path
    live: Path
    must_have_one: bool = False

    def owed(self) -> str | None:
        """Why there is no whole environment for the release, or none that it leads to any more; None else.

        Raises: ManifestUnreadable, NewerSchema.
        """
        needs = self._needs()
        if needs.kind is Kind.COMMAND:
            return self._own.owed()
        if needs.kind is Kind.NOBODY:
            return None
        whole = self._find_whole(needs)
        if whole:
            return self._lost_link(whole)
        fault = next((fault for fault in map(_fault, self._all(needs)) if fault), None)
        return fault or self._what_changed(needs)

    def install(self, on_line: OnLine) -> None:
        """Builds an environment for the release; half of one is never left.

        Raises: InstallFailed and its kin, DiskFull, ProgramMissing, NewerSchema.
        """
        needs = self._needs()
        if needs.kind is Kind.COMMAND:
            if self._link.is_symlink():
                # The command would change what other releases share.
                self._link.unlink()
            self._own.install(on_line)
            return
        if needs.kind is Kind.PIP:
            require_pip_enough(needs)
            speak_of_lock(needs, on_line)
        whole = self._find_whole(needs)
        if whole and self._lost_link(whole):
            return
        self._remove_unfinished(needs)
        venv = self._venv(needs, self._free_name(needs))
        require_room(needs, venv.path, is_fresh=True)
        names = (needs.manifest.name, *(package.name for package in needs.local))
        told = self._surroundings(names, **self._known_python(needs))
        Installation(venv, Installer(needs, told, on_line)).build()

    def attach(self) -> None:
        """Lets `.venv` of the release lead to its environment.

        Raises: ManifestUnreadable, NewerSchema, EnvironmentInTheWay, InstallFailed, StateDirectoryUnwritable.
        """
        needs = self._needs()
        whole = None if needs.kind in (Kind.NOBODY, Kind.COMMAND) else self._find_whole(needs)
        if whole:
            self._lead_to(whole.path)
        record = files.read_record(self.slot.top / RELEASE_RECORD) or {}
        name = whole.path.name if whole else None
        if record.get("environment") != name:
            files.write_record(self.slot.top / RELEASE_RECORD, {**record, "environment": name})

    @property
    def _link(self) -> Path:
        return self.slot.folder / ".venv"

    def _lost_link(self, whole: Venv) -> str | None:
        """Why a release that had its environment must be attached again."""
        had_one = (files.read_record(self.slot.top / RELEASE_RECORD) or {}).get("environment")
        if not had_one or os.path.realpath(self._link) == os.path.realpath(whole.path):
            return None
        return f"{self._link.name} does not lead to its environment"

    def _lead_to(self, environment: Path) -> None:
        """Points the link there; what the app's own command had made in its place goes."""
        link, aside = self._link, Aside(self._link)
        folder = os.path.realpath(self.slot.folder)
        target = os.path.relpath(os.path.realpath(environment), folder)
        if not link.is_symlink() or os.readlink(link) != target:
            files.remove_leftovers(self.slot.folder)
            if not link.is_symlink():
                aside.take()
            files.replace_link(link, target)
        aside.drop()

    # --- which one ----------------------------------------------------------------------

    @property
    def _own(self) -> InPlaceEnvironment:
        """For an app with its own command: the environment that it makes in the release."""
        beside = self.slot.top / ".newleaf"
        beside.mkdir(mode=files.PRIVATE_FOLDER, exist_ok=True)
        told = self._surroundings((_name_of_project(self.slot.folder),))
        return InPlaceEnvironment(self.slot.folder, self.update, told, beside, self.slot.commit)

    def _surroundings(self, names: Iterable[str | None], **known: str) -> Surroundings:
        """A release has no `.git` that could tell a build of these packages their version; newleaf does."""
        version = self.slot.version
        told = {
            f"{PRETENDED}_{name.upper().replace('-', '_')}": version for name in names if name and version
        }
        return Surroundings(self.surroundings.runner, {**told, **known, **self.surroundings.environ})

    def _known_python(self, needs: Needs) -> dict[str, str]:
        """Tells uv the interpreter that it found for the live release, if the question was the same."""
        mark, link = read_mark(self.live / MARK), self.live / "bin" / "python"
        known = mark.interpreter if mark and mark.parts.get("python") == needs.parts["python"] else None
        if known is None or describe_interpreter(self.live, known.version) != known or not link.is_symlink():
            return {}
        return {"UV_PYTHON": os.readlink(link)}

    def _needs(self) -> Needs:
        folder = self.slot.folder.resolve()
        has_uv, must = self.surroundings.uv is not None, self.must_have_one
        return read_needs(folder, self.update, self.slot.commit, has_uv=has_uv, must_have_one=must)

    def _venv(self, needs: Needs, name: str) -> Venv:
        return Venv(self.envs / name, needs, self.surroundings, self.envs / f"{name}.json")

    def _all(self, needs: Needs) -> Iterator[Venv]:
        """Every environment that was built for these needs, the newest first."""
        key = key_of(needs)
        numbers = {
            int(found["number"] or 1): found[0]
            for found in map(_NUMBERED.match, os.listdir(self.envs) if self.envs.is_dir() else ())
            if found and found["key"] == key
        }
        return (self._venv(needs, numbers[number]) for number in sorted(numbers, reverse=True))

    def _find_whole(self, needs: Needs) -> Venv | None:
        return next((venv for venv in self._all(needs) if _fault(venv) is None), None)

    def _free_name(self, needs: Needs) -> str:
        key = key_of(needs)
        taken = {venv.path.name for venv in self._all(needs)}
        number = next(number for number in range(1, len(taken) + 2) if _name(key, number) not in taken)
        return _name(key, number)

    def _remove_unfinished(self, needs: Needs) -> None:
        """What a kill left. One that was whole once has its mark, and may be in use however damaged."""
        for venv in self._all(needs):
            if not (venv.path / MARK).exists() and not self._is_linked(venv.path):
                shutil.rmtree(venv.path)

    def _is_linked(self, environment: Path) -> bool:
        """Whether the `.venv` of any release leads there."""
        releases = self.slot.top.parent
        inner = os.path.relpath(self.slot.folder, self.slot.top)
        links = (releases / name / inner / ".venv" for name in os.listdir(releases))
        return any(os.path.realpath(link) == os.path.realpath(environment) for link in links)

    def _what_changed(self, needs: Needs) -> str:
        mark = read_mark(self.live / MARK)
        changed = difference(mark.parts, needs.parts) if mark else None
        return changed or "there is no environment for this yet"


def key_of(needs: Needs) -> str:
    """The name of an environment that holds what is asked: 24 hexadecimal digits."""
    parts = dict(needs.parts)
    if needs.local or needs.moving or (needs.kind is Kind.PIP and needs.installs_project):
        parts["commit"] = needs.commit
    text = json.dumps(parts, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _name_of_project(folder: Path) -> str | None:
    with contextlib.suppress(OSError, ManifestUnreadable):
        path = folder / "pyproject.toml"
        return parse_manifest(str(path), path.read_bytes()).name
    return None


def _name(key: str, number: int) -> str:
    return key if number == 1 else f"{key}.{number}"


def _fault(venv: Venv) -> str | None:
    """Why this environment cannot be used."""
    mark = venv.mark()
    if mark is None or mark.state != "installed":
        return UNFINISHED
    return venv.fault(mark)
