"""The mark inside an environment: what was installed there, and that it was installed to the end.

Rules (lessons.md L13): the mark lies in the environment, so that it goes with it; it says what *is*
installed, never what one update changed; while an installation changes the environment the mark says
so, and only a success makes it whole again. A mark that cannot be read is no mark.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from newleaf.core.dependencies.install_errors import InstallFailed
from newleaf.core.errors import CorruptFile, StateDirectoryUnwritable
from newleaf.system import files
from newleaf.update.dependencies.inventories import Inventory

MARK = ".newleaf-installed.json"

REASONS = {
    "command": "update.install is another command",
    "install_project": "whether the project itself is installed changed",
    "lock": "the lock file changed",
    "requirements": "the requirements changed",
    "project": "what the project says of itself changed",
    "python": "another Python is asked for",
    "platform": "this is another platform",
    "extras": "other extras are asked for",
    "groups": "other dependency groups are asked for",
    "commit": "the commit changed, and what is installed follows it",
}


class Interpreter(msgspec.Struct, frozen=True):
    """The file that an environment's `bin/python` leads to, as it was when it was last asked."""

    path: str
    size: int
    changed_ns: int
    version: str


class Mark(msgspec.Struct, frozen=True):
    """What an environment says of itself. `place` is where it was made; `moving` as in Needs."""

    state: Literal["installed", "installing"]
    place: str
    parts: dict[str, str]
    interpreter: Interpreter | None = None
    moving: tuple[str, ...] = ()
    inventory: Inventory = Inventory()


def read_mark(path: Path) -> Mark | None:
    """The mark at `path`; None when there is none that can be read.

    Raises: NewerSchema.
    """
    try:
        record = files.read_record(path)
        return msgspec.convert(record, Mark) if record else None
    except (CorruptFile, msgspec.ValidationError):
        return None


def write_mark(path: Path, mark: Mark) -> None:
    """Writes the mark, durably.

    Raises: InstallFailed, DiskFull, NewerSchema.
    """
    try:
        files.write_record(path, msgspec.to_builtins(mark))
    except StateDirectoryUnwritable as error:
        raise InstallFailed(what="noting what is installed", reason=error.facts["reason"]) from error


def difference(installed: Mapping[str, str], asked: Mapping[str, str]) -> str | None:
    """In words, the first thing in which what is asked differs from what is installed."""
    if installed == asked:
        return None
    if installed.get("kind") != asked["kind"]:
        return f"it was installed by {installed.get('kind')}, and is now {asked['kind']}'s to install"
    names = [*REASONS, *sorted(installed.keys() | asked.keys())]
    changed = next(name for name in names if installed.get(name) != asked.get(name))
    if installed["kind"] == "command" and changed == "commit":
        return f"the commit changed since {asked['command']} last succeeded"
    return REASONS.get(changed, f"{changed} changed")


def describe_interpreter(environment: Path, version: str) -> Interpreter | None:
    """The file behind the environment's `bin/python`; None when there is none."""
    try:
        path = os.path.realpath(environment / "bin" / "python")
        found = os.stat(path)
    except OSError:
        return None
    return Interpreter(path, found.st_size, found.st_mtime_ns, version)
