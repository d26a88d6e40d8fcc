"""`busy.lock`: a job holds it shared, what changes the live tree or restarts holds it alone.

Rules: it is a kernel lock, so the job's end releases it, however the job ends, and `flock --shared` in any
language does the same; a process that outlives its job and keeps the descriptor counts as the job. To ask
whether the app is idle is to take the lock alone for a moment; so one who finds it taken looks twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from newleaf.core.job_errors import AppBusy
from newleaf.system import processes
from newleaf.system.locks import kept_from_children, open_lock, try_lock

BUSY_LOCK = "busy.lock"
LOOK_SECONDS = 0.03
POLL_SECONDS = 0.003

_names: dict[int, str] = {}
_naming = threading.Lock()


class Probe(Struct, frozen=True):
    """Whether nobody holds the lock; if somebody does, who, as far as the system tells."""

    is_idle: bool
    holders: tuple[processes.Holder, ...] = ()

    def __str__(self) -> str:
        if self.is_idle:
            return "no job runs"
        return f"busy.lock is held by {', '.join(map(str, self.holders)) or 'a process that cannot be named'}"


def probe(state: Path) -> Probe:
    """Asks whether a job runs, and lets go at once.

    Raises: StateDirectoryUnsafe, StateDirectoryOnNetwork, StateDirectoryUnwritable.
    """
    path = state / BUSY_LOCK
    if not os.path.lexists(path):
        return Probe(is_idle=True)
    with open_lock(path) as descriptor, kept_from_children(descriptor):
        if _take_alone(descriptor):
            return Probe(is_idle=True)
    return Probe(is_idle=False, holders=processes.holders(path))


def is_job_running(state: Path) -> bool:
    """Whether somebody holds the lock, by one look and nobody named: it is asked often while a job runs.

    Raises: StateDirectoryUnsafe, StateDirectoryOnNetwork, StateDirectoryUnwritable.
    """
    path = state / BUSY_LOCK
    if not os.path.lexists(path):
        return False
    with open_lock(path) as descriptor, kept_from_children(descriptor):
        return not try_lock(descriptor, fcntl.LOCK_EX)


@contextlib.contextmanager
def quiet(state: Path) -> Iterator[None]:
    """Keeps jobs from starting; those that want to wait until this ends.

    Raises: AppBusy when a job runs, StateDirectoryUnsafe, StateDirectoryOnNetwork, StateDirectoryUnwritable.
    """
    path = state / BUSY_LOCK
    with open_lock(path) as descriptor, kept_from_children(descriptor):
        if not _take_alone(descriptor):
            raise AppBusy(reason=str(Probe(is_idle=False, holders=processes.holders(path))))
        yield


def open_shared(state: Path) -> contextlib.AbstractContextManager[int]:
    """A descriptor of the lock on which `try_shared` and `wait_shared` take it; closing it ends the job.

    Raises: StateDirectoryUnsafe, StateDirectoryOnNetwork, StateDirectoryUnwritable.
    """
    return open_lock(state / BUSY_LOCK)


def try_shared(descriptor: int) -> bool:
    """Takes the lock for a job, unless the live tree is being changed."""
    return try_lock(descriptor, fcntl.LOCK_SH)


def wait_shared(descriptor: int) -> None:
    """Takes the lock for a job as soon as nothing changes the live tree."""
    fcntl.flock(descriptor, fcntl.LOCK_SH)


def name_job(descriptor: int, name: str) -> None:
    """Remembers, in this process, what the job is called that holds the lock by this descriptor."""
    with _naming:
        _names[descriptor] = name


def forget_job(descriptor: int) -> None:
    """The job has ended."""
    with _naming:
        _names.pop(descriptor, None)


def running_jobs() -> tuple[str, ...]:
    """The jobs of this process that have a name, in the order in which they began."""
    with _naming:
        return tuple(name for name in _names.values() if name)


def _take_alone(descriptor: int) -> bool:
    deadline = time.monotonic() + LOOK_SECONDS
    while not try_lock(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
