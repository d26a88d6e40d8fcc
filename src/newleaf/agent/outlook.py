"""What the agent sees of its host at a cheap look, every second: files that changed, locks, what is owed.

Rules: it reads no more than it must, names nobody, and holds nothing. What cannot be looked at counts as what
makes an attempt: the attempt tells what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from newleaf.core.errors import NewleafError
from newleaf.core.records import AttemptRecord
from newleaf.system import busy_lock, locks
from newleaf.system.files import trace

Trace = tuple[tuple[int, int, int] | None, ...]


class Outlook(Struct, frozen=True):
    """Implements `agent.beside.Sees`. `files` are those whose change means something, by what it means."""

    state: Path
    files: Mapping[str, tuple[Path, ...]]
    open_attempt: Callable[[], AttemptRecord | None]

    def trace(self, what: str) -> Trace:
        """What differs once one of the files is written."""
        return tuple(map(trace, self.files[what]))

    def is_busy(self) -> bool:
        """Whether a job holds busy.lock."""
        try:
            return busy_lock.is_job_running(self.state)
        except NewleafError:
            return False

    def is_locked(self) -> bool:
        """Whether an update runs."""
        try:
            return locks.is_update_running(self.state)
        except NewleafError:
            return False

    def owes(self) -> bool:
        """Whether the journal has an attempt that did not end."""
        try:
            return self.open_attempt() is not None
        except NewleafError:
            return True
