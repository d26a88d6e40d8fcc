"""Kernel locks: one update at a time, and who holds it.

Rules: a lock is the kernel's (flock), so it goes with the process that holds it, however that
ends (lessons.md L35); what the file says is only a name for it, believed as long as the process it names
is alive under the same start time. A lock file is never removed and never opened through a symlink
(threats.md T20). A forked child gives up the descriptors at once, a started program never gets them.
Whoever takes the lock first ends what a killed updater left running. `flock(1)` sees the same locks.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from newleaf.core.errors import (
    LockedError,
    NewerSchema,
    NewleafError,
    StateDirectoryUnsafe,
    StateDirectoryUnwritable,
)
from newleaf.core.records import moment, short_stamp
from newleaf.system import mounts, process_table, processes
from newleaf.system.files import PRIVATE_FILE, SCHEMA

UPDATE_LOCK = "update.lock"
KEPT_CHILDREN = 16
NAME_SECONDS = 0.2
BRIEF_SECONDS = 5.0
"""How long one waits for who holds the lock for a moment, and says so."""
POLL_SECONDS = 0.01
MAX_TEXT_BYTES = 65536

_held: set[int] = set()


def _give_up_after_fork() -> None:
    """A child that kept the descriptor would keep the lock; that it closes it leaves the parent its lock."""
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_give_up_after_fork)


class Child(Struct, frozen=True):
    """A process group that an updater started: its number and the start time of its first process."""

    group: int
    started: str


class Owner(Struct, frozen=True):
    """Who holds the update lock, as its text says."""

    who: str
    pid: int
    started: str
    since: datetime
    why: str
    children: tuple[Child, ...] = ()
    is_brief: bool = False
    """Whether it holds the lock for a moment, to record what has happened, and begins nothing."""

    def __str__(self) -> str:
        return f"{self.who} (pid {self.pid}) since {short_stamp(self.since)}, {self.why}"


class UpdateLock:
    """The update lock while it is held."""

    def __init__(self, descriptor: int, owner: Owner) -> None:
        self._descriptor = descriptor
        self._writing = threading.Lock()
        self._is_held = True
        self.owner = owner

    def note_child(self, group: int) -> None:
        """Writes down a process group that was just started, so that a successor can end it."""
        started = process_table.start_time(group)
        if started is None:
            return
        with self._writing:
            # Once the lock is gone its descriptor may be another file's.
            if not self._is_held:
                return
            living = [
                child for child in self.owner.children if process_table.is_alive(child.group, child.started)
            ]
            children = (*living, Child(group, started))[-KEPT_CHILDREN:]
            self.owner = replace(self.owner, children=children)
            _write_owner(self._descriptor, self.owner)

    def end(self) -> None:
        """Takes the name out of the file; from now on no child is noted."""
        with self._writing:
            self._is_held = False
            # The lock goes with the descriptor; a name left behind would be seen through anyway.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)


@contextlib.contextmanager
def update_lock(state: Path, who: str, why: str, *, is_brief: bool = False) -> Iterator[UpdateLock]:
    """Holds the update lock of a state directory, or says who does: at once, unless that one is brief.

    `who` names the asker ("hourly timer"), `why` what it does ("to move to 1.3.0").

    Raises: LockedError, NewerSchema, StateDirectoryUnsafe, StateDirectoryOnNetwork, StateDirectoryUnwritable.
    """
    path = state / UPDATE_LOCK
    with open_lock(path) as descriptor:
        _take(path, descriptor)
        with kept_from_children(descriptor):
            _end_orphans(path, descriptor)
            pid = os.getpid()
            owner = Owner(who, pid, process_table.start_time(pid) or "", datetime.now(UTC), why, (), is_brief)
            _write_owner(descriptor, owner)
            lock = UpdateLock(descriptor, owner)
            try:
                yield lock
            finally:
                lock.end()


def update_owner(state: Path) -> str | None:
    """Who holds the update lock now, for people; None when nobody does.

    Raises: StateDirectoryUnsafe, StateDirectoryOnNetwork, StateDirectoryUnwritable.
    """
    path = state / UPDATE_LOCK
    if not os.path.lexists(path):
        return None
    with open_lock(path) as descriptor:
        # Shared, so that two who ask do not take each other for the owner.
        if try_lock(descriptor, fcntl.LOCK_SH):
            return None
        return _name(path, _living_owner(path, descriptor))


def is_update_running(state: Path) -> bool:
    """Whether somebody holds the update lock now, nobody named: it is asked often.

    Raises: StateDirectoryUnsafe, StateDirectoryOnNetwork, StateDirectoryUnwritable.
    """
    path = state / UPDATE_LOCK
    if not os.path.lexists(path):
        return False
    with open_lock(path) as descriptor:
        return not try_lock(descriptor, fcntl.LOCK_SH)


@contextlib.contextmanager
def open_lock(path: Path) -> Iterator[int]:
    """A descriptor of the lock file, made when absent; closing it lets go of the lock.

    Raises: StateDirectoryUnsafe, StateDirectoryOnNetwork, StateDirectoryUnwritable.
    """
    descriptor = _open(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(descriptor: int, kind: int) -> bool:
    """Takes the lock if nobody is in the way. `kind` is fcntl.LOCK_EX or fcntl.LOCK_SH."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def kept_from_children(descriptor: int) -> Iterator[None]:
    """Meanwhile a fork of this process closes the descriptor in its child."""
    _held.add(descriptor)
    try:
        yield
    finally:
        _held.discard(descriptor)


def _take(path: Path, descriptor: int) -> None:
    """Takes the update lock, unless another has it.

    Without a living owner's name in the file, the other has it for a moment only: it looks whether an update
    runs, or has just begun or ended. So one looks again before calling it another update. And a daemon that
    has just come up is no reason to refuse: who records that it did is done in a moment.
    """
    seen, since = None, time.monotonic()
    while not try_lock(descriptor, fcntl.LOCK_EX):
        owner, now = _living_owner(path, descriptor), time.monotonic()
        # Who ends takes its name out first: patience begins anew with whoever is there.
        if seen != (seen := owner and owner.pid):
            since = now
        patience = NAME_SECONDS if owner is None else BRIEF_SECONDS * owner.is_brief
        if now - since >= patience:
            raise LockedError(owner=_name(path, owner))
        time.sleep(POLL_SECONDS)


def _end_orphans(path: Path, descriptor: int) -> None:
    """Ends what the last owner started and, killed, could not end itself."""
    record = _read_text(descriptor)
    schema = record.get("schema", SCHEMA)
    if isinstance(schema, int) and schema > SCHEMA:
        raise NewerSchema(path=path, found=schema, known=SCHEMA)
    for child in _read_children(record):
        if not process_table.end_group(child.group, child.started):
            left = f"process group {child.group}, left by an update that was killed, which does not end"
            raise LockedError(owner=left)


def _living_owner(path: Path, descriptor: int) -> Owner | None:
    """The owner by the file's text, if that process is alive, and the kernel does not name others."""
    record = _read_text(descriptor)
    try:
        since = moment(record["since"])
        children = _read_children(record)
        owner = Owner(
            *(record["who"], record["pid"], record["started"], since, record["why"], children),
            is_brief=record.get("brief") is True,
        )
        if not process_table.is_alive(owner.pid, owner.started):
            return None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    # Elsewhere than in /proc one sees who has the file open, not who has locked it.
    holding = {holder.pid for holder in processes.holders(path)} if process_table.HAS_PROC else set()
    return owner if not holding or owner.pid in holding else None


def _name(path: Path, owner: Owner | None) -> str:
    if owner:
        return str(owner)
    return ", ".join(map(str, processes.holders(path))) or "a process that cannot be named"


def _write_owner(descriptor: int, owner: Owner) -> None:
    record = {
        "schema": SCHEMA,
        "who": owner.who,
        "pid": owner.pid,
        "started": owner.started,
        "since": short_stamp(owner.since),
        "why": owner.why,
        "brief": owner.is_brief,
        "children": [{"group": child.group, "started": child.started} for child in owner.children],
    }
    text = json.dumps(record, ensure_ascii=False).encode() + b"\n"
    # Nothing is fsynced: after a power cut no process is left to be named. Of a longer text that was here
    # before, a kill between the two calls leaves the tail: only the first line counts.
    try:
        os.pwrite(descriptor, text, 0)
        os.ftruncate(descriptor, len(text))
    except OSError:
        # A full disk takes the name away, not the lock.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)


def _read_text(descriptor: int) -> dict[str, Any]:
    """The JSON object in the first line; nothing when there is none."""
    try:
        record = json.loads(os.pread(descriptor, MAX_TEXT_BYTES, 0).partition(b"\n")[0])
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _read_children(record: dict[str, Any]) -> tuple[Child, ...]:
    noted = record.get("children")
    return tuple(
        Child(entry["group"], entry["started"])
        for entry in (noted if isinstance(noted, list) else ())
        if isinstance(entry, dict)
        and type(entry.get("group")) is int
        and isinstance(entry.get("started"), str)
    )


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    while True:
        try:
            descriptor = os.open(path, flags, PRIVATE_FILE)
        except OSError as error:
            raise _explained(path, error) from error
        try:
            _check_file(path, os.fstat(descriptor))
            mounts.require_local(path.parent)
            # Was it removed in between? A lock on a file without a name excludes nobody.
            if _is_still(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except OSError:
        return False


def _check_file(path: Path, found: os.stat_result) -> None:
    """Refuses what could be another file under this name: no write may reach it (T20)."""
    if not stat.S_ISREG(found.st_mode):
        raise _unsafe(path, "is not a file")
    if found.st_nlink > 1:
        raise _unsafe(path, "is another file's second name")


def _explained(path: Path, error: OSError) -> NewleafError:
    if error.errno == errno.ELOOP:
        return _unsafe(path, "is a symlink")
    if error.errno in (errno.EISDIR, errno.ENXIO):
        return _unsafe(path, "is not a file")
    return StateDirectoryUnwritable(path=path.parent, reason=error.strerror or str(error))


def _unsafe(path: Path, what: str) -> StateDirectoryUnsafe:
    return StateDirectoryUnsafe(
        path=path.parent, reason=f"is not safe: {path.name} {what}", mend=f"rm {path}"
    )
