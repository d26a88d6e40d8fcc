"""What lies in an environment: its packages and their files, and whether they are all there (L16).

uv and pip take a package for installed when its metadata folder exists. After a kill, a power cut or a
careless `rm` its modules may be missing all the same, so newleaf looks for itself:

- right after a success, an inventory is taken of the files that the packages name and that exist;
- later, a folder that something came into or went from is listed, the others are as they were; and each
  package's RECORD must be the file it was;
- where there is no inventory, the packages' own RECORDs are believed, with the sizes they state.

Byte code is left out: Python makes and removes it as it likes. Reads only, changes nothing.
"""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from packaging.utils import canonicalize_name

UNREADABLE = (OSError, csv.Error, UnicodeDecodeError)


class Package(msgspec.Struct, frozen=True):
    """The files of an installed package: folder → names, joined with `/`; and when its RECORD was written."""

    recorded_ns: int
    files: dict[str, str]


class Inventory(msgspec.Struct, frozen=True):
    """The packages by their metadata folders, and when each folder changed; paths begin in it."""

    packages: dict[str, Package] = {}
    folders: dict[str, int] = {}


def take_inventory(environment: Path) -> Inventory:
    """What the packages in `environment` consist of now."""
    base, listed = str(environment), dict[str, frozenset[str]]()
    packages: dict[str, Package] = {}
    folders: dict[str, int] = {}
    for metadata in _metadata_folders(environment):
        try:
            written_ns = os.stat(f"{base}/{metadata}/RECORD").st_mtime_ns
        except OSError:
            continue
        files: dict[str, str] = {}
        with contextlib.suppress(*UNREADABLE):
            for folder, names in _named(environment, metadata).items():
                if folder not in folders:
                    folders[folder] = _changed_ns(f"{base}/{folder}")
                there = _names_in(base, folder, listed)
                files[folder] = "/".join(filter(there.__contains__, names))
        packages[metadata] = Package(written_ns, {folder: names for folder, names in files.items() if names})
    return Inventory(packages, folders)


def first_loss(environment: Path, inventory: Inventory) -> str | None:
    """The first package of the inventory that is not as it was, and what became of it."""
    base, listed = str(environment), dict[str, frozenset[str]]()
    for metadata, package in inventory.packages.items():
        try:
            written_ns = os.stat(f"{base}/{metadata}/RECORD").st_mtime_ns
        except OSError:
            return f"{_shown(metadata)} is gone"
        if written_ns != package.recorded_ns:
            return f"{_shown(metadata)} was replaced by somebody else"
        for folder, names in package.files.items():
            known_ns = inventory.folders.get(folder, 0)
            if known_ns and folder not in listed and _changed_ns(f"{base}/{folder}") == known_ns:
                continue
            if not _names_in(base, folder, listed).issuperset(names.split("/")):
                return f"files of {_shown(metadata)} are missing"
    return None


def kept_packages(environment: Path, inventory: Inventory) -> Inventory:
    """The part of the inventory that an installation left alone: the same RECORD lies there."""
    kept = {}
    for metadata, package in inventory.packages.items():
        try:
            is_same = os.stat(environment / metadata / "RECORD").st_mtime_ns == package.recorded_ns
        except OSError:
            continue
        if is_same:
            kept[metadata] = package
    return Inventory(kept)


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
                found = os.stat(f"{environment}/{folder}/{name}").st_size
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


def _named(environment: Path, metadata: str) -> dict[str, list[str]]:
    """The names of the files in a RECORD by their folders: `_entries`, but quick, for every install waits.

    Raises: OSError, csv.Error, UnicodeDecodeError.
    """
    found: dict[str, list[str]] = {}
    text = (environment / metadata / "RECORD").read_text("utf-8")
    if '"' in text:
        for folder, name, _ in _entries(environment, metadata):
            found.setdefault(folder, []).append(name)
        return found
    for line in text.split("\n"):
        path = line.partition(",")[0]
        if path and not path.endswith(".pyc"):
            head, _, name = path.rpartition("/")
            if head in found:
                found[head].append(name)
            else:
                found[head] = [name]
    site = os.path.dirname(metadata)
    return {os.path.normpath(f"{site}/{head}"): names for head, names in found.items()}


def _entries(environment: Path, metadata: str) -> Iterator[tuple[str, str, int | None]]:
    """Folder, name and size of each file in a RECORD.

    Raises: OSError, csv.Error, UnicodeDecodeError.
    """
    site = os.path.dirname(metadata)
    folders: dict[str, str] = {}
    text = (environment / metadata / "RECORD").read_text("utf-8")
    lines = text.splitlines()
    # The quick way for the files without a quoted name, which is nearly all.
    rows = csv.reader(lines) if '"' in text else (line.rsplit(",", 2) for line in lines)
    for row in rows:
        if not row or not row[0] or row[0].endswith(".pyc"):
            continue
        head, _, name = row[0].rpartition("/")
        if head not in folders:
            folders[head] = os.path.normpath(os.path.join(site, head))
        size = row[2] if len(row) > 2 else ""
        yield folders[head], name, int(size) if size.isdecimal() else None


def _names_in(environment: str, folder: str, listed: dict[str, frozenset[str]]) -> frozenset[str]:
    if folder not in listed:
        try:
            listed[folder] = frozenset(os.listdir(f"{environment}/{folder}"))
        except OSError:
            listed[folder] = frozenset()
    return listed[folder]


def _changed_ns(folder: str) -> int:
    """When something last came into a folder or went; 0 where clocks of whole seconds cannot tell.

    The inode's own time: unlike the modification time, no restored backup sets it back.
    """
    try:
        changed_ns = os.stat(folder).st_ctime_ns
    except OSError:
        return 0
    return changed_ns if changed_ns % 1_000_000_000 else 0


def _shown(metadata: str) -> str:
    return Path(metadata).stem.replace("-", " ")
