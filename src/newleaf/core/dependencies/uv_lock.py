"""What a uv.lock says that must be known before uv is asked: local packages, and the size of the rest.

Rules: the packages are found without parsing the file, because that can take longer than installing;
the sizes are an estimate for the disk's sake, and never choose anything. Pure.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct
from packaging.markers import InvalidMarker, Marker, UndefinedEnvironmentName
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

_LOCAL = re.compile(rb'\nsource = \{ (editable|directory|virtual) = "([^"\r\n]*)" \}')
_OWN_VERSION = re.compile(rb'\nversion = "[^"\r\n]*"')
_NAME = b'\nname = "'
_SIZE = re.compile(rb"\bsize = (\d+)")


class LocalPackage(Struct, frozen=True):
    """A package that is installed from the tree itself; `path` is relative to the lock file's folder.

    `editable`: it follows the tree; `directory`: a copy is made; `virtual`: it is not installed.
    """

    name: str
    kind: str
    path: str


class Selection(Struct, frozen=True):
    """Which packages of the lock are meant: what `root` needs, with these extras and groups."""

    root: str | None
    extras: Sequence[str] | Literal["all"] = ()
    groups: Sequence[str] | Literal["all"] = ()


class Target(Struct, frozen=True):
    """Where they would be installed: the markers' values, the tags of usable wheels, and what is there."""

    markers: Mapping[str, str]
    tags: frozenset[Tag]
    installed: Collection[tuple[str, str]] = ()
    """Name and version, as `packaging` spells them."""


def local_packages(lock: bytes) -> tuple[LocalPackage, ...]:
    """The packages of the lock that lie in the tree."""
    found = []
    for source in _LOCAL.finditer(lock):
        start = lock.rfind(_NAME, 0, source.start()) + len(_NAME)
        name = lock[start : lock.find(b'"', start)].decode()
        found.append(LocalPackage(canonicalize_name(name), source[1].decode(), source[2].decode()))
    return tuple(found)


def without_versions(lock: bytes, names: Collection[str]) -> bytes:
    """The lock without the versions of those local packages that are not installed.

    A release that changes nothing but its own number then asks for what is installed already.
    """
    kept, at = [], 0
    for source in _LOCAL.finditer(lock):
        start = lock.rfind(_NAME, 0, source.start()) + len(_NAME)
        name, _, rest = lock[start : source.start()].partition(b'"')
        version = _OWN_VERSION.search(rest)
        if version and canonicalize_name(name.decode()) in names:
            begins = start + len(name) + 1 + version.start()
            kept.append(lock[at:begins])
            at = begins + len(version[0])
    return b"".join([*kept, lock[at:]])


def most_bytes(lock: bytes) -> int:
    """The size of everything the lock names, for every platform: an upper bound that costs nothing."""
    return sum(map(int, _SIZE.findall(lock)))


def download_bytes(lock: bytes, selection: Selection, target: Target) -> int:
    """What is to be downloaded of the packages that are meant; 0 for a lock that nobody can read."""
    try:
        parsed = tomllib.loads(lock.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError):
        return 0
    packages = [entry for entry in _tables(parsed.get("package")) if isinstance(entry.get("name"), str)]
    return sum(
        _size(package, target.tags)
        for package in _reached(packages, selection, target.markers)
        if (canonicalize_name(package["name"]), str(package.get("version"))) not in target.installed
    )


def _reached(
    packages: list[dict[str, Any]], selection: Selection, markers: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The packages that the root leads to. Without a root that the lock knows: every one."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for package in packages:
        by_name.setdefault(canonicalize_name(package["name"]), []).append(package)
    roots = by_name.get(selection.root or "", [])
    if not roots:
        return packages
    waiting = [need for root in roots for need in _root_needs(root, selection)]
    seen: dict[tuple[int, str], dict[str, Any]] = {}
    while waiting:
        need = waiting.pop()
        if not _applies(need.get("marker"), markers):
            continue
        for package in _named(by_name, need):
            for extra in ["", *_texts(need.get("extra"))]:
                if (id(package), extra) not in seen:
                    seen[id(package), extra] = package
                    waiting += _needs(package, extra)
    return list({id(package): package for package in seen.values()}.values())


def _root_needs(root: dict[str, Any], selection: Selection) -> Iterator[dict[str, Any]]:
    yield from _needs(root, "")
    for table, chosen in (
        ("optional-dependencies", selection.extras),
        ("dev-dependencies", selection.groups),
    ):
        there = _table(root.get(table))
        for name in there if chosen == "all" else chosen:
            yield from _tables(there.get(name))


def _needs(package: dict[str, Any], extra: str) -> list[dict[str, Any]]:
    if not extra:
        return _tables(package.get("dependencies"))
    return _tables(_table(package.get("optional-dependencies")).get(extra))


def _named(by_name: dict[str, list[dict[str, Any]]], need: dict[str, Any]) -> list[dict[str, Any]]:
    found = by_name.get(canonicalize_name(str(need.get("name"))), [])
    version = need.get("version")
    return [package for package in found if version in (None, package.get("version"))]


def _applies(marker: object, markers: Mapping[str, str]) -> bool:
    """A marker that cannot be judged here (uv has some of its own) counts as true."""
    if not isinstance(marker, str):
        return True
    try:
        return Marker(marker).evaluate(dict(markers))
    except (InvalidMarker, UndefinedEnvironmentName):
        return True


def _size(package: dict[str, Any], tags: frozenset[Tag]) -> int:
    """The largest of the wheels that fit here; else of what there is."""
    wheels = _tables(package.get("wheels"))
    fitting = [wheel for wheel in wheels if _fits(wheel, tags)]
    sdist = package.get("sdist")
    others = wheels + ([sdist] if isinstance(sdist, dict) else [])
    return max((_number(file.get("size")) for file in fitting or others), default=0)


def _fits(wheel: dict[str, Any], tags: frozenset[Tag]) -> bool:
    name = str(wheel.get("filename") or wheel.get("url") or wheel.get("path") or "").rpartition("/")[2]
    try:
        return not tags.isdisjoint(parse_wheel_filename(name)[3])
    except InvalidWheelFilename:
        return False


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _tables(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
