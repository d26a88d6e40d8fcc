"""What lies in an environment: its packages and their files, and whether they are all there (L16).

uv and pip take a package for installed when its metadata folder exists. After a kill, a power cut or a
careless `rm` its modules may be missing all the same, so newleaf looks for itself:

- right after a success, an inventory is taken of the files that the packages name and that exist;
- later, each folder of the inventory is listed once, and each package's RECORD must be the file it was;
- where there is no inventory, the packages' own RECORDs are believed, with the sizes they state.

Byte code is left out: Python makes and removes it as it likes. Reads only, changes nothing.
"""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from packaging.utils import canonicalize_name

UNREADABLE = (OSError, csv.Error, UnicodeDecodeError)


class Package(msgspec.Struct, frozen=True):
    """The files of an installed package: folder → names, joined with `/`; and when its RECORD was written."""

    recorded_ns: int
    files: dict[str, str]


Inventory = Mapping[str, Package]
"""The packages by their metadata folders; all paths are relative to the environment."""


def take_inventory(environment: Path) -> dict[str, Package]:
    """What the packages in `environment` consist of now."""
    listed: dict[str, frozenset[str]] = {}
    found: dict[str, Package] = {}
    for metadata in _metadata_folders(environment):
        record = environment / metadata / "RECORD"
        try:
            written_ns = record.stat().st_mtime_ns
        except OSError:
            continue
        files: dict[str, list[str]] = {}
        with contextlib.suppress(*UNREADABLE):
            for folder, name, _ in _entries(environment, metadata):
                if name in _names_in(environment, folder, listed):
                    files.setdefault(folder, []).append(name)
        found[metadata] = Package(written_ns, {folder: "/".join(names) for folder, names in files.items()})
    return found


def first_loss(environment: Path, inventory: Inventory) -> str | None:
    """The first package of the inventory that is not as it was, and what became of it."""
    listed: dict[str, frozenset[str]] = {}
    for metadata, package in inventory.items():
        try:
            written_ns = os.stat(environment / metadata / "RECORD").st_mtime_ns
        except OSError:
            return f"{_shown(metadata)} is gone"
        if written_ns != package.recorded_ns:
            return f"{_shown(metadata)} was replaced by somebody else"
        for folder, names in package.files.items():
            if not _names_in(environment, folder, listed).issuperset(names.split("/")):
                return f"files of {_shown(metadata)} are missing"
    return None


def kept_packages(environment: Path, inventory: Inventory) -> dict[str, Package]:
    """The part of the inventory that an installation left alone: the same RECORD lies there."""
    kept = {}
    for metadata, package in inventory.items():
        try:
            is_same = os.stat(environment / metadata / "RECORD").st_mtime_ns == package.recorded_ns
        except OSError:
            continue
        if is_same:
            kept[metadata] = package
    return kept


def first_half_installed(environment: Path) -> str | None:
    """The first package that was not installed, or not removed, to the end, by what its RECORD says."""
    for metadata in _metadata_folders(environment):
        try:
            entries = list(_entries(environment, metadata))
        except UNREADABLE:
            return f"{_shown(metadata)} has no readable RECORD"
        if not any(name == "INSTALLER" and folder == metadata for folder, name, _ in entries):
            return f"{_shown(metadata)} is half installed"
        for folder, name, size in entries:
            try:
                found = os.stat(os.path.join(environment, folder, name)).st_size
            except OSError:
                return f"files of {_shown(metadata)} are missing"
            if size is not None and found < size:
                return f"files of {_shown(metadata)} are cut short"
    return None


def misplaced_script(environment: Path) -> str | None:
    """A program in `bin` that starts another environment's Python, as after a move or a copy."""
    own = os.path.realpath(environment / "bin")
    for program in sorted((environment / "bin").iterdir()):
        try:
            with open(program, "rb") as file:
                start = file.readline(512)
        except OSError:
            continue
        words = start[2:].split() if start.startswith(b"#!/") else []
        python = Path(os.fsdecode(words[0])) if words else Path()
        if python.name.startswith("python") and os.path.realpath(python.parent) != own:
            return f"{program.name} starts {python}"
    return None


def installed_versions(environment: Path) -> frozenset[tuple[str, str]]:
    """Name and version of each package, as `packaging` and uv.lock spell them."""
    stems = (Path(metadata).stem.rpartition("-") for metadata in _metadata_folders(environment))
    return frozenset((canonicalize_name(name), version) for name, _, version in stems)


def _metadata_folders(environment: Path) -> list[str]:
    sites = (site for site in environment.glob("lib/*/site-packages") if site.is_dir())
    return sorted(
        os.path.relpath(entry.path, environment)
        for site in sites
        for entry in os.scandir(site)
        if entry.name.endswith(".dist-info")
    )


def _entries(environment: Path, metadata: str) -> Iterator[tuple[str, str, int | None]]:
    """Folder, name and size of each file in a RECORD.

    Raises: OSError, csv.Error, UnicodeDecodeError.
    """
    site = os.path.dirname(metadata)
    folders: dict[str, str] = {}
    with open(environment / metadata / "RECORD", newline="", encoding="utf-8") as file:
        for row in csv.reader(file):
            if not row or row[0].endswith(".pyc"):
                continue
            head, _, name = row[0].rpartition("/")
            if head not in folders:
                folders[head] = os.path.normpath(os.path.join(site, head))
            size = row[2] if len(row) > 2 else ""
            yield folders[head], name, int(size) if size.isdecimal() else None


def _names_in(environment: Path, folder: str, listed: dict[str, frozenset[str]]) -> frozenset[str]:
    if folder not in listed:
        try:
            listed[folder] = frozenset(os.listdir(os.path.join(environment, folder)))
        except OSError:
            listed[folder] = frozenset()
    return listed[folder]


def _shown(metadata: str) -> str:
    return Path(metadata).stem.replace("-", " ")
