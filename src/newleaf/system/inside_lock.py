"""`inside.lock`: of several daemons with one state directory, the one whose updater watches.

Rules: a kernel lock, so it goes with the daemon, however that ends, and the next takes over. Two attempts are
kept apart by the update lock in any case.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from newleaf.core.inside_errors import StandsBy
from newleaf.system import processes
from newleaf.system.locks import kept_from_children, open_lock, try_lock

INSIDE_LOCK = "inside.lock"


@contextlib.contextmanager
def alone(state: Path) -> Iterator[None]:
    """Holds the lock.

    Raises: StandsBy when another daemon does, StateDirectoryUnsafe, StateDirectoryOnNetwork,
    StateDirectoryUnwritable.
    """
    path = state / INSIDE_LOCK
    with open_lock(path) as descriptor, kept_from_children(descriptor):
        if not try_lock(descriptor, fcntl.LOCK_EX):
            holders = ", ".join(map(str, processes.holders(path)))
            raise StandsBy(state=state, owner=holders or "a process that cannot be named")
        yield


def is_held(state: Path) -> bool:
    """Whether a daemon has an updater inside that watches.

    Raises: StateDirectoryUnsafe, StateDirectoryOnNetwork, StateDirectoryUnwritable.
    """
    path = state / INSIDE_LOCK
    if not os.path.lexists(path):
        return False
    with open_lock(path) as descriptor, kept_from_children(descriptor):
        return not try_lock(descriptor, fcntl.LOCK_SH)
