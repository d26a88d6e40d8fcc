"""Wheels for a package index of one's own: this very newleaf, what is needed with it, and a tiny library.

Rules: what is installed is packed again; newleaf from the folder that it runs from, so that an editable
installation serves as well as a wheel. A package whose installer left no list of files is not packed, and
comes from the registry. Reads the running environment, writes to the index folder alone.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import Distribution, distribution
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OWN = "newleaf"
PURE = "Wheel-Version: 1.0\nGenerator: newleaf demo\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_LEFT_OUT = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"}
"""What installers add to a package's metadata."""


def fill_index(index: Path, own_folder: Path, *more: str) -> tuple[str, tuple[str, ...]]:
    """Packs newleaf, whose modules lie in `own_folder`, what it needs, and `more` that is required.

    Returns newleaf's version, and the names of packages that could not be packed.
    """
    index.mkdir(parents=True, exist_ok=True)
    missing = []
    for name in needed(OWN, *more):
        found = distribution(name)
        files = own_files(found, own_folder) if name == OWN else installed_files(found)
        if files:
            write_wheel(index, found.metadata["Name"], found.version, files)
        else:
            missing.append(name)
    return distribution(OWN).version, tuple(missing)


def needed(*required: str) -> list[str]:
    """The packages that are required and what they need here; extras where they are named."""
    found: dict[str, None] = {}
    left = [Requirement(line) for line in required]
    for requirement in left:
        name = canonicalize_name(requirement.name)
        for line in distribution(name).requires or ():
            further = Requirement(line)
            extras = requirement.extras or {""}
            if further.marker is None or any(further.marker.evaluate({"extra": each}) for each in extras):
                left += [] if str(further) in map(str, left) else [further]
        found[name] = None
    return list(found)


def own_files(found: Distribution, folder: Path) -> dict[str, bytes]:
    """newleaf's modules as they lie in `folder`, with the metadata that is needed to install them."""
    metadata = f"{_stem(OWN, found.version)}.dist-info"
    said = {name: found.read_text(name) or "" for name in ("METADATA", "entry_points.txt")}
    return {
        **{f"{OWN}/{name}": content for name, content in _tree(folder)},
        **{f"{metadata}/{name}": text.encode() for name, text in {**said, "WHEEL": PURE}.items()},
    }


def installed_files(found: Distribution) -> dict[str, bytes]:
    """The files of an installed package; empty when it is not known which they are."""
    listed = [file for file in found.files or () if _is_packed(file)]
    if all(file.parts[0].endswith((".dist-info", ".pth")) for file in listed):
        # Nobody's list, or that of an editable installation.
        return {}
    return {file.as_posix(): Path(str(file.locate())).read_bytes() for file in listed}


def write_wheel(index: Path, name: str, version: str, files: Mapping[str, bytes]) -> Path:
    """One wheel of these files; their `WHEEL` says for which Pythons and systems it is good."""
    metadata = next(path.partition("/")[0] for path in files if path.endswith(".dist-info/WHEEL"))
    path = index / f"{_stem(name, version)}-{_tags(files[f'{metadata}/WHEEL'].decode())}.whl"
    record = "".join(_record_line(name, content) for name, content in files.items())
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in files.items():
            archive.writestr(file, content)
        archive.writestr(f"{metadata}/RECORD", f"{record}{metadata}/RECORD,,\n")
    return path


def write_library(index: Path, name: str, version: str, source: str) -> Path:
    """A wheel of a library that is one module."""
    metadata = f"{_stem(name, version)}.dist-info"
    files = {
        f"{name}.py": source,
        f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{metadata}/WHEEL": PURE,
    }
    return write_wheel(index, name, version, {path: text.encode() for path, text in files.items()})


def _tree(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _is_packed(file: PurePosixPath) -> bool:
    """Whether a wheel holds it: no program outside of the packages, nothing made by the installer."""
    if ".." in file.parts or "__pycache__" in file.parts or file.is_absolute():
        return False
    return not (file.parts[0].endswith(".dist-info") and file.name in _LEFT_OUT)


def _tags(wheel: str) -> str:
    """The last three parts of a wheel's name, as its `Tag` lines have them."""
    lines = [line.removeprefix("Tag:").strip() for line in wheel.splitlines() if line.startswith("Tag:")]
    columns: Iterable[tuple[str, ...]] = zip(*(line.split("-", 2) for line in lines), strict=True)
    return "-".join(".".join(dict.fromkeys(column)) for column in columns)


def _stem(name: str, version: str) -> str:
    return f"{name.replace('-', '_')}-{version.replace('-', '_')}"


def _record_line(path: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(content)}\n"
