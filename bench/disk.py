"""What one more release, and one more environment, take on the disk: newleaf's, and what people make by hand.

Rules: blocks are counted, not lengths, once they are on the disk; a file counts when no other name of it lies
elsewhere, as in uv's cache. Everything counts that comes with a release: git's objects, records, folders.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.ground import Ground
from bench.measure import DidNotWork
from bench.slots_hosts import FETCH_AND_TREE, LINK, ShellHost, SlotsHost

NAME = "disk"
HEAD = ("one more of each, on the disk", "release", "environment", "a commit of code alone")
NUMBERS = range(1, 4)
PACKAGES = 16
BLOCK_BYTES = 512
"""Of `st_blocks`, on every system."""


@dataclass(frozen=True)
class Taken:
    """Bytes on the disk; `shares`: releases that need the same have one environment."""

    name: str
    release: int
    environment: int
    shares: bool = False

    @property
    def code_alone(self) -> int:
        """What a commit takes that changes nothing but code."""
        return self.release if self.shares else self.release + self.environment


@dataclass(frozen=True)
class Measured:
    """One line for each way to keep releases beside each other, or why there are none."""

    taken: Sequence[Taken] = ()
    failure: str = ""

    @property
    def failures(self) -> list[str]:
        """What did not work."""
        return [f"{NAME}: {self.failure}"] if self.failure else []

    def lines(self) -> list[list[str]]:
        """The table, its head first; nothing when nothing was measured."""
        counts = ((each.name, (each.release, each.environment, each.code_alone)) for each in self.taken)
        lines = [[name, *(f"{count / 1024:,.0f} KiB" for count in bytes_)] for name, bytes_ in counts]
        return [list(HEAD), *lines] if lines else []

    def as_record(self) -> list[dict[str, Any]]:
        """The same for programs."""
        return [
            {
                "name": each.name,
                "release_bytes": each.release,
                "environment_bytes": each.environment,
                "code_alone_bytes": each.code_alone,
            }
            for each in self.taken
        ]


def measure(ground: Ground, *, quick: bool) -> Measured:  # noqa: ARG001 - all tables are asked alike
    """Makes one more of each, which is quick as it is."""
    try:
        return Measured([_slots(ground), _worktree(ground), _copy(ground)])
    except DidNotWork as error:
        return Measured(failure=str(error))


def allocated(folder: Path) -> int:
    """The bytes that would be free again if the folder went."""
    os.sync()
    names: dict[tuple[int, int], int] = {}
    found: dict[tuple[int, int], os.stat_result] = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            status = os.lstat(f"{place}/{name}")
            key = status.st_dev, status.st_ino
            names[key] = names.get(key, 0) + 1
            found[key] = status
    return BLOCK_BYTES * sum(
        status.st_blocks
        for key, status in found.items()
        if stat.S_ISDIR(status.st_mode) or names[key] == status.st_nlink
    )


def _slots(ground: Ground) -> Taken:
    app = ground.packaged(PACKAGES)
    host = SlotsHost.make(ground, "disk", app.remote)
    app.publish_code()
    release = _growth(host.state, host.newleaf("update").run)
    app.publish_dependency()
    both = _growth(host.state, host.newleaf("update").run)
    return Taken("newleaf, slots", release, both - release, shares=True)


def _worktree(ground: Ground) -> Taken:
    app = ground.packaged(PACKAGES)
    host = ShellHost.make(ground, "disk", app.remote)
    move = host.program("by hand", FETCH_AND_TREE + LINK)
    move.run()
    app.publish_code()
    release = _growth(host.folder, move.run)
    live = host.folder / "current"
    return Taken("git worktree && uv sync", release, _growth(host.folder, lambda: _sync(ground, live)))


def _copy(ground: Ground) -> Taken:
    app = ground.packaged(PACKAGES)
    folder = ground.folder / "copies"
    first, second = folder / "first", folder / "second"
    app.remote.clone(first)
    _sync(ground, first)
    app.publish_code()

    def copy() -> None:
        ground.call("cp", "-a", str(first), str(second))
        ground.call("git", "pull", "--quiet", "--ff-only", folder=second)

    both, environment = _growth(folder, copy), allocated(second / ".venv")
    return Taken("cp -a && git pull", both - environment, environment)


def _sync(ground: Ground, folder: Path) -> None:
    ground.call("uv", "sync", "--frozen", "--quiet", folder=folder)


def _growth(folder: Path, do: Callable[[], object]) -> int:
    before = allocated(folder)
    do()
    return allocated(folder) - before
