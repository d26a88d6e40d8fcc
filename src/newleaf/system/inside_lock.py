"""Of several processes with one state directory, the one that watches (`inside.lock`), or takes the missions.

Rules: a kernel lock, so it goes with the daemon, however that ends, and the next takes over. Two attempts are
kept apart by the update lock in any case.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from newleaf.core.errors import LockedError
from newleaf.core.inside_errors import StandsBy
from newleaf.core.missions.mission_errors import MissionsTaken
from newleaf.system import processes
from newleaf.system.locks import kept_from_children, open_lock, try_lock

INSIDE_LOCK = "inside.lock"
MISSIONS_LOCK = "missions.lock"
TAKEN: dict[str, type[LockedError]] = {INSIDE_LOCK: StandsBy, MISSIONS_LOCK: MissionsTaken}


@contextlib.contextmanager
def alone(state: Path, lock: str = INSIDE_LOCK) -> Iterator[None]:
    """Holds the lock.

    Raises: StandsBy or MissionsTaken when another process does, StateDirectoryUnsafe,
    StateDirectoryOnNetwork, StateDirectoryUnwritable.
    """
    path = state / lock
    with open_lock(path) as descriptor, kept_from_children(descriptor):
        if not try_lock(descriptor, fcntl.LOCK_EX):
            holders = ", ".join(map(str, processes.holders(path)))
            raise TAKEN[lock](state=state, owner=holders or "a process that cannot be named")
        yield


def is_held(state: Path, lock: str = INSIDE_LOCK) -> bool:
    """Whether a process holds the lock.

    Raises: StateDirectoryUnsafe, StateDirectoryOnNetwork, StateDirectoryUnwritable.
    """
    path = state / lock
    if not os.path.lexists(path):
        return False
    with open_lock(path) as descriptor, kept_from_children(descriptor):
        return not try_lock(descriptor, fcntl.LOCK_SH)
