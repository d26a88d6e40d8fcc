"""What the tree and the settings ask to be installed, and by whom; read, never changed.

`update.install` is `auto`, `none` or the app's own command. `auto`: a uv.lock is uv's, where there is a uv;
else requirements.txt or the project are pip's; a tree that names no dependencies needs nothing.
`Needs.parts` is the fingerprint of what is asked: trees with the same parts need the same installation.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from msgspec import Struct, json
from msgspec.structs import force_setattr

from newleaf.core.dependencies.install_errors import InstallerMissing, ManifestUnreadable
from newleaf.core.dependencies.manifest import (
    Manifest,
    group_requirements,
    parse_manifest,
    plain_requirements,
    requirement_name,
)
from newleaf.core.dependencies.uv_lock import LocalPackage, local_packages, without_versions
from newleaf.core.settings.sections import Update
from newleaf.system.loaded_tree import find_tree

_INCLUDED = re.compile(r"\s*(?:-r|-c|--requirement|--constraint)[\s=]+(\S+)")
_LOCAL_LINE = re.compile(
    r"\s*(?:(?:-e|--editable)[\s=]+)?(?:file:|\.{1,2}/|\.\s*$|\.\[|/|[^\s@]+\s*@\s*file:)"
)
OTHER_LOCKS = ("poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml")
_SETUP_FILES = ("pyproject.toml", "setup.py", "setup.cfg")


class Kind(StrEnum):
    """Who installs."""

    NOBODY = "nobody"
    UV = "uv"
    PIP = "pip"
    COMMAND = "command"


class Needs(Struct, frozen=True, dict=True):
    """What is asked for in `folder`. `lock` is the uv.lock that governs it, whether uv is there or not."""

    kind: Kind
    folder: Path
    update: Update
    commit: str
    manifest: Manifest = Manifest()
    lock: Path | None = None
    requirements: tuple[Path, ...] = ()
    """requirements.txt and what it includes."""
    python_wish: str = ""
    parts: Mapping[str, str] = {}
    """The fingerprint: what the installation follows from, each part by its name.

    Made with the object, so that what is noted after an installation is what was asked before it.
    """

    def __post_init__(self) -> None:
        force_setattr(self, "parts", self._fingerprint())

    @cached_property
    def lock_bytes(self) -> bytes:
        """The content of uv.lock; empty without one."""
        return _read(self.lock) if self.lock else b""

    @property
    def installer(self) -> str:
        """Who installs, for people."""
        return shlex.join(self.update.install) if self.kind is Kind.COMMAND else str(self.kind)

    @property
    def installs_project(self) -> bool:
        """Whether the project itself is installed, and not what it needs alone."""
        asked = self.update.install_project
        return self.manifest.is_buildable if asked == "auto" else asked

    @property
    def has_packages(self) -> bool:
        """Whether anything at all is to be installed."""
        return bool(self.lock or self.requirements or self.installs_project or self.plain)

    @cached_property
    def local(self) -> tuple[LocalPackage, ...]:
        """The packages of the lock that lie in the tree and are installed."""
        own = [package for package in local_packages(self.lock_bytes) if package.kind != "virtual"]
        return tuple(
            package for package in own if self.installs_project or package.name != self.manifest.name
        )

    @cached_property
    def moving(self) -> tuple[str, ...]:
        """Packages that can differ from commit to commit while no lock and no manifest does.

        Copies of folders, versions that come from git, builds with hooks.
        """
        if self.kind is Kind.UV:
            return tuple(package.name for package in self.local if self._moves(package))
        if self.kind is Kind.PIP:
            return self._moving_with_pip()
        return ()

    @cached_property
    def plain(self) -> tuple[str, ...]:
        """For pip: the requirements that stand in pyproject.toml, apart from the project itself."""
        groups = group_requirements(self.manifest, self.update.groups)
        if self.installs_project or self.requirements:
            return tuple(groups)
        return (*plain_requirements(self.manifest, self.update.extras), *groups)

    def _fingerprint(self) -> dict[str, str]:
        if self.kind is Kind.NOBODY:
            return {}
        if self.kind is Kind.COMMAND:
            return {"kind": self.kind, "command": shlex.join(self.update.install), "commit": self.commit}
        parts = {
            "kind": str(self.kind),
            "python": f"{self.python_wish} {self.manifest.requires_python}".strip(),
            "platform": f"{sys.platform} {platform.machine()}",
            "extras": _text(self.update.extras),
            "groups": _text(self.update.groups),
            "install_project": _text(self.installs_project),
        }
        if self.kind is Kind.UV:
            apart = {package.name for package in local_packages(self.lock_bytes)}
            apart -= {package.name for package in self.local}
            parts["lock"] = _digest([without_versions(self.lock_bytes, apart)])
            parts["project"] = _digest(_read(path) for path in self._manifests())
        else:
            parts["requirements"] = _digest(_read(path) for path in self.requirements)
            own = [_read(self.folder / name) for name in _SETUP_FILES] if self.installs_project else []
            parts["project"] = _digest([*own, "\n".join(self.plain).encode()])
        if self.moving:
            parts["commit"] = self.commit
        return parts

    def _manifests(self) -> list[Path]:
        """The pyproject.toml of each package that is installed from the tree."""
        top = self.lock.parent if self.lock else self.folder
        return [top / package.path / name for package in self.local for name in _SETUP_FILES]

    def _moves(self, package: LocalPackage) -> bool:
        top = self.lock.parent if self.lock else self.folder
        folder = top / package.path
        if package.kind == "directory" or (folder / "setup.py").is_file():
            return True
        return parse_manifest(str(folder / "pyproject.toml"), _read(folder / "pyproject.toml")).is_dynamic

    def _moving_with_pip(self) -> tuple[str, ...]:
        own = self.manifest.is_dynamic or (self.folder / "setup.py").is_file()
        lines = [*self.plain, *(line for path in self.requirements for line in _lines(path))]
        found = ["the project"] if self.installs_project and own else []
        return (*found, *(line.strip() for line in lines if _LOCAL_LINE.match(line)))


def read_needs(
    folder: Path, update: Update, commit: str, *, has_uv: bool, must_have_one: bool = False
) -> Needs:
    """What the tree in `folder` asks for.

    With `must_have_one`, a tree that asks for no package asks for an environment without any.
    Raises: ManifestUnreadable.
    """
    if update.install == "none":
        return Needs(Kind.NOBODY, folder, update, commit)
    if update.install != "auto":
        return Needs(Kind.COMMAND, folder, update, commit)
    path = folder / "pyproject.toml"
    manifest = parse_manifest(str(path), _read(path)) if path.is_file() else Manifest()
    if not path.is_file() and (folder / "setup.py").is_file():
        manifest = Manifest(is_buildable=True, is_dynamic=True)
    lock = find_lock(folder)
    requirements = tuple(_with_included(folder / "requirements.txt"))
    wish = _python_wish(folder, lock)
    kind = Kind.UV if lock and has_uv else Kind.PIP
    needs = Needs(kind, folder, update, commit, manifest, lock, requirements, wish)
    something = needs.has_packages or _only_program(needs) or must_have_one
    return needs if something else Needs(Kind.NOBODY, folder, update, commit)


def find_lock(folder: Path) -> Path | None:
    """The uv.lock of the project in `folder`: its own, or that of the workspace it is a member of."""
    if not (folder / "pyproject.toml").is_file():
        return None
    if (folder / "uv.lock").is_file():
        return folder / "uv.lock"
    top = find_tree(folder) or folder
    for parent in folder.parents if top != folder else ():
        lock = parent / "uv.lock"
        if lock.is_file():
            own = os.path.relpath(folder, parent)
            return lock if own in {package.path for package in local_packages(_read(lock))} else None
        if parent == top:
            break
    return None


def require_pip_enough(needs: Needs) -> None:
    """Refuses what pip would install wrongly: from an index what must not come from there, or nothing at all.

    Raises: InstallerMissing, ManifestUnreadable.
    """
    if needs.requirements:
        return
    only = _only_program(needs)
    if only:
        why = f"the dependencies stand where only {only} reads them"
        raise InstallerMissing(what="pip", why=why, program=only)
    manifest = needs.manifest
    if manifest.uv_sources:
        asked = [*plain_requirements(manifest, needs.update.extras), *needs.plain]
        elsewhere = sorted({requirement_name(line) for line in asked} & manifest.uv_sources)
        if elsewhere:
            why = f"{', '.join(elsewhere)} must not come from an index (tool.uv.sources)"
            raise InstallerMissing(what="pip", why=why, program="uv")


def unenforced_lock(needs: Needs) -> Path | None:
    """A lock file that pip does not read."""
    if needs.kind is not Kind.PIP or needs.requirements:
        return None
    found = [needs.lock] if needs.lock else [needs.folder / name for name in OTHER_LOCKS]
    return next((path for path in found if path.is_file()), None)


def _only_program(needs: Needs) -> str | None:
    """The program that alone knows what an app needs that has neither requirements nor a project for pip."""
    if needs.manifest.poetry_only:
        return "poetry"
    nothing = not needs.manifest.is_buildable and not needs.manifest.dependencies
    return "pipenv" if nothing and (needs.folder / "Pipfile").is_file() else None


def _python_wish(folder: Path, lock: Path | None) -> str:
    """The first line that says something in `.python-version`, of the app or of its workspace."""
    for place in (folder, lock.parent if lock else folder):
        for line in _lines(place / ".python-version"):
            if line.strip() and not line.lstrip().startswith("#"):
                return line.strip()
    return ""


def _with_included(path: Path, seen: frozenset[Path] = frozenset()) -> list[Path]:
    """`path` and the requirement files that it includes, in the tree or beside it."""
    path = Path(os.path.normpath(path))
    if path in seen or not path.is_file():
        return []
    found = [path]
    for line in _lines(path):
        included = _INCLUDED.match(line)
        if included and "://" not in included[1]:
            more = _with_included(path.parent / included[1], seen.union(found))
            found += [file for file in more if file not in found]
    return found


def _read(path: Path) -> bytes:
    """The content of a file; empty when there is none.

    Raises: ManifestUnreadable.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ManifestUnreadable(path=path, reason=f"cannot be read: {error.strerror}") from error


def _lines(path: Path) -> list[str]:
    return _read(path).decode(errors="replace").splitlines()


def _digest(contents: Iterable[bytes]) -> str:
    """A digest that tells where one content ends and the next begins."""
    digest = hashlib.blake2b(digest_size=16)
    for content in contents:
        digest.update(f"{len(content)}:".encode() + content)
    return digest.hexdigest()


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.encode(value).decode()
