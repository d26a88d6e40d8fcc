"""Lock files of git (`index.lock` and the like): whose they are, and what to do when they are nobody's.

Rules (lessons.md L12): a lock belongs to a living process that has it open, or to a living git that works in
this checkout and began before the lock was written; such a lock is waited for, then respected. A lock with
no such owner is removed once it is old enough that an owner out of sight (another container) would be done;
one that this host's own killed updater left, at once. Where nobody can be looked at, nothing is removed.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from newleaf.core.errors import NewleafError
from newleaf.core.releases.git_errors import CheckoutLocked
from newleaf.system import process_table, processes
from newleaf.system.commands import Command, Runner
from newleaf.system.git.worktree import Worktree
from newleaf.system.processes import Holder

PATIENCE_SECONDS = 10.0
SETTLED_SECONDS = 10.0
CLOCK_SLACK_SECONDS = 1.0
POLL_SECONDS = 0.02
LOOK_SECONDS = 10.0
NEVER_LOCKS = frozenset(("fsmonitor--daemon", "credential-cache--daemon", "cat-file"))
"""Helpers that live for days in a checkout without ever writing its index."""


class StaleLocks(Struct, frozen=True):
    """The lock files of one checkout; `is_ours` when this host's updater was killed during a move."""

    worktree: Worktree
    is_ours: bool = False
    patience_seconds: float = PATIENCE_SECONDS
    settled_seconds: float = SETTLED_SECONDS

    def free(self, *refs: str) -> list[Path]:
        """Sees to it that the index, HEAD and `refs` are not locked; returns the dead locks removed.

        Raises: CheckoutLocked when a living process keeps one.
        """
        locks = [self.worktree.own / "index.lock", self.worktree.own / "HEAD.lock"]
        locks += [self.worktree.common / f"{ref}.lock" for ref in refs]
        return [lock for lock in locks if self._free(lock)]

    def _free(self, lock: Path) -> bool:
        deadline = time.monotonic() + self.patience_seconds
        while True:
            try:
                found = lock.lstat()
            except FileNotFoundError:
                return False
            owners = find_owners(lock, self.worktree, found.st_mtime)
            age = time.time() - found.st_mtime
            if not owners and (self.is_ours or age >= self.settled_seconds):
                return self._remove(lock, found)
            if owners and time.monotonic() > deadline:
                raise CheckoutLocked(lock=lock, owner=" and ".join(map(str, owners)))
            time.sleep(POLL_SECONDS)

    @staticmethod
    def _remove(lock: Path, found: os.stat_result) -> bool:
        """Removes the lock that was looked at; not one that was made since."""
        with contextlib.suppress(FileNotFoundError):
            now = lock.lstat()
            if (now.st_ino, now.st_mtime_ns) == (found.st_ino, found.st_mtime_ns):
                lock.unlink()
                return True
        return False


def find_owners(lock: Path, worktree: Worktree, written_at: float) -> list[Holder]:
    """The living processes that the lock can be of."""
    look = _by_proc if process_table.HAS_PROC else _by_lsof
    owners = []
    for candidate in look(lock, worktree):
        began = process_table.find(candidate.holder.pid)
        if began is None or began.is_zombie:
            continue
        older = began.started_at.timestamp() <= written_at + CLOCK_SLACK_SECONDS
        if candidate.has_open or older:
            owners.append(candidate.holder)
    return owners


class _Candidate(Struct, frozen=True):
    holder: Holder
    has_open: bool


def _by_proc(lock: Path, worktree: Worktree) -> Iterator[_Candidate]:
    for name in os.listdir(process_table.PROC):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        process = process_table.PROC / name
        with contextlib.suppress(OSError):
            program = (process / "comm").read_text(errors="replace").strip()
            has_open = _has_open(process, lock)
            if has_open or (program.startswith("git") and _works_in(process, worktree)):
                yield _Candidate(Holder(int(name), program), has_open)


def _has_open(process: Path, lock: Path) -> bool:
    with contextlib.suppress(OSError):
        for number in os.listdir(process / "fd"):
            with contextlib.suppress(OSError):
                if os.readlink(process / "fd" / number) == str(lock):
                    return True
    return False


def _works_in(process: Path, worktree: Worktree) -> bool:
    arguments = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    if NEVER_LOCKS.intersection(arguments):
        return False
    places = [os.readlink(process / "cwd")]
    for variable in (process / "environ").read_bytes().decode(errors="replace").split("\0"):
        name, _, value = variable.partition("=")
        if name in {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}:
            places.append(value)
    return any(_is_inside(place, worktree) for place in places)


def _by_lsof(lock: Path, worktree: Worktree) -> Iterator[_Candidate]:
    for holder in processes.holders_by_lsof(lock):
        yield _Candidate(holder, has_open=True)
    command = Command(
        ["lsof", "-w", "-a", "-c", "git", "-d", "cwd", "-F", "pcn"],
        "lsof",
        Path("/"),
        {"PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/bin", "LC_ALL": "C"},
        LOOK_SECONDS,
    )
    try:
        lines = Runner().run(command).text.splitlines()
    except NewleafError as error:
        raise CheckoutLocked(lock=lock, owner="a process that cannot be looked at") from error
    yield from (_Candidate(holder, has_open=False) for holder in read_lsof(lines, worktree))


def read_lsof(lines: Iterable[str], worktree: Worktree) -> Iterator[Holder]:
    """The processes whose folder `lsof -F pcn` shows inside the checkout."""
    pid, program = 0, ""
    for line in lines:
        kind, value = line[:1], line[1:]
        if kind == "p":
            pid = int(value)
        elif kind == "c":
            program = value
        elif kind == "n" and _is_inside(value, worktree):
            yield Holder(pid, program)


def _is_inside(place: str, worktree: Worktree) -> bool:
    folders = (worktree.top, worktree.own, worktree.common)
    return any(Path(place) == folder or folder in Path(place).parents for folder in folders)
