"""What a pyproject.toml says of the app's dependencies, and which Python it asks for. Pure.

Rules: names are compared as `packaging` compares them; a requirement is one that `packaging` accepts,
so that no line of a fetched tree is ever an option of an installer.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct, field
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from newleaf.core.dependencies.install_errors import ManifestUnreadable

Chosen = Sequence[str] | Literal["all"]
"""The names of extras or groups, or all there are."""

PLAIN_BACKENDS = frozenset(
    """flit_core.buildapi hatchling.build pdm.backend poetry.core.masonry.api setuptools.build_meta
    setuptools.build_meta:__legacy__ uv_build""".split()
)
"""Backends whose editable installation follows from pyproject.toml alone, unless hooks are declared."""
HOOKS = (
    ("uv", "cache-keys"),
    ("hatch", "build", "hooks"),
    ("hatch", "metadata", "hooks"),
    ("poetry", "build"),
    ("setuptools", "ext-modules"),
)
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_WISH = re.compile(r"(?:(?:cpython|python)[-@]?)?(\d+(?:\.\d+){0,2})(?:[-+].*)?", re.IGNORECASE)


class Manifest(Struct, frozen=True):
    """What pyproject.toml says. `dependencies` and `extras` are None where only the build can tell."""

    name: str | None = None
    requires_python: str = ""
    is_buildable: bool = False
    is_dynamic: bool = False
    """Whether what an installation of the project knows of it can change while pyproject.toml does not."""
    poetry_only: bool = False
    dependencies: tuple[str, ...] | None = None
    extras: Mapping[str, tuple[str, ...]] | None = None
    groups: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    uv_sources: frozenset[str] = frozenset()
    """Packages that do not come from an index, as only uv knows."""


def parse_manifest(path: str, content: bytes) -> Manifest:
    """Reads the bytes of pyproject.toml.

    Raises: ManifestUnreadable.
    """
    try:
        parsed = tomllib.loads(content.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ManifestUnreadable(path=path, reason=f"is not TOML: {error}") from error
    project, tool = _table(parsed, "project"), _table(parsed, "tool")
    poetry, system = _table(tool, "poetry"), _table(parsed, "build-system")
    dynamic = _texts(project.get("dynamic"))
    package = _table(tool, "uv").get("package")
    is_buildable = package if isinstance(package, bool) else bool(system)
    if poetry.get("package-mode") is False:
        is_buildable = False
    dependencies = None if "dependencies" in dynamic or not project else _texts(project.get("dependencies"))
    name = project.get("name") or poetry.get("name")
    return Manifest(
        name=canonicalize_name(name) if isinstance(name, str) else None,
        requires_python=str(project.get("requires-python") or ""),
        is_buildable=is_buildable,
        is_dynamic=bool(dynamic) or _has_hooks(tool) or _backend(system) not in PLAIN_BACKENDS,
        poetry_only=bool(poetry) and not project and not is_buildable,
        dependencies=dependencies,
        extras=None if "optional-dependencies" in dynamic or not project else _extras(project),
        groups={
            canonicalize_name(k): tuple(v)
            for k, v in _table(parsed, "dependency-groups").items()
            if isinstance(v, list)
        },
        uv_sources=frozenset(canonicalize_name(k) for k in _table(tool, "uv", "sources")),
    )


def chosen_extras(manifest: Manifest, extras: Chosen) -> tuple[str, ...]:
    """The names of the extras that are meant.

    Raises: ManifestUnreadable for one that pyproject.toml does not have.
    """
    return _chosen("optional dependencies", manifest.extras, extras)


def group_requirements(manifest: Manifest, groups: Chosen) -> list[str]:
    """The requirements of the dependency groups that are meant, those they include as well.

    Raises: ManifestUnreadable.
    """
    found: list[str] = []
    for name in _chosen("dependency group", manifest.groups, groups):
        found += _expand(manifest.groups, name, ())
    return checked(found)


def plain_requirements(manifest: Manifest, extras: Chosen) -> list[str]:
    """What the project needs, without the project.

    Raises: ManifestUnreadable.
    """
    wanted = list(manifest.dependencies or ())
    for name in chosen_extras(manifest, extras):
        wanted += (manifest.extras or {}).get(name, ())
    return checked(wanted)


def checked(requirements: Sequence[str]) -> list[str]:
    """`requirements` as they are.

    Raises: ManifestUnreadable when one of them is anything else, such as an option.
    """
    for line in requirements:
        requirement_name(line)
    return list(requirements)


def requirement_name(line: str) -> str:
    """The package that a requirement names.

    Raises: ManifestUnreadable.
    """
    try:
        return canonicalize_name(Requirement(line).name)
    except InvalidRequirement as error:
        raise ManifestUnreadable(path="pyproject.toml", reason=f"has a bad requirement: {line!r}") from error


def is_python_wanted(version: str, wish: str, requires_python: str) -> bool:
    """Whether a Python `version` is what `.python-version` and `requires-python` ask for.

    A wish that says no number (a name, a path) is left to the installer, and counts as met.
    """
    return _meets(version, wish) and _meets(version, requires_python)


def wished_version(wish: str) -> str | None:
    """The number in a wish such as `3.12` or `cpython-3.12.4-linux-x86_64-gnu`."""
    found = _WISH.fullmatch(wish.strip())
    return found[1] if found else None


def _meets(version: str, wish: str) -> bool:
    number = wished_version(wish)
    if number:
        return f"{version}.".startswith(f"{number}.")
    try:
        return SpecifierSet(wish).contains(version, prereleases=True)
    except InvalidSpecifier:
        return True


def _chosen(what: str, there: Mapping[str, object] | None, chosen: Chosen) -> tuple[str, ...]:
    """The chosen names; all are taken on trust where it is not known which `there` are."""
    if chosen == "all":
        return tuple(there or ())
    names = tuple(canonicalize_name(name) for name in chosen)
    for name in names:
        if not _NAME.fullmatch(name) or (there is not None and name not in there):
            raise ManifestUnreadable(path="pyproject.toml", reason=f"has no {what} called {name!r}")
    return names


def _expand(groups: Mapping[str, tuple[Any, ...]], name: str, above: tuple[str, ...]) -> list[str]:
    if name in above or name not in groups:
        reason = f"has a dependency group that includes {name}, which " + (
            "includes it" if name in above else "is missing"
        )
        raise ManifestUnreadable(path="pyproject.toml", reason=reason)
    found: list[str] = []
    for entry in groups[name]:
        if isinstance(entry, str):
            found.append(entry)
        elif isinstance(entry, dict) and isinstance(entry.get("include-group"), str):
            found += _expand(groups, canonicalize_name(entry["include-group"]), (*above, name))
    return found


def _extras(project: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    found = _table(project, "optional-dependencies")
    return {canonicalize_name(name): _texts(requirements) for name, requirements in found.items()}


def _has_hooks(tool: dict[str, Any]) -> bool:
    return any(_table(tool, *keys[:-1]).get(keys[-1]) for keys in HOOKS)


def _backend(system: dict[str, Any]) -> str:
    """A [build-system] without a backend means setuptools, says PEP 517."""
    return str(system.get("build-backend") or "setuptools.build_meta:__legacy__")


def _table(parent: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The table below `keys`; an empty one for whatever is not a table."""
    found: Any = parent
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
