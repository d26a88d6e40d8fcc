"""How long the remote has been out of reach, and the one alarm about it (threats.md T2).

Rules: past `watch.stale_after` the host says "stale", once; what runs goes on running; the next contact
takes the word back. The time counts from the last contact, or, before the first, from the first failure. A
clock that was set back starts the count anew.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct

from newleaf.agent.watch_file import WatchFile
from newleaf.core.durations import format_duration

REACHED_AT = "reached_at"
UNREACHED_SINCE = "unreached_since"
STALE_SAID = "stale_said"
NOTED_EVERY_SECONDS = 600.0


class Staleness(Struct, frozen=True):
    """Counts for one host. `on_stale` is told the reason, `on_reached` that it is over; each once."""

    memory: WatchFile
    stale_after_seconds: float
    on_stale: Callable[[str], None]
    on_reached: Callable[[], None]

    def note_reached(self, now: datetime) -> None:
        """The remote has answered.

        Raises: NewerSchema, DiskFull, StateDirectoryUnwritable.
        """
        record = self.memory.read()
        if record.get(STALE_SAID):
            self.on_reached()
        last = self.memory.moment(REACHED_AT)
        # Every poll would else cost a write and an fsync.
        step = min(NOTED_EVERY_SECONDS, self.stale_after_seconds / 10)
        if last and timedelta() <= now - last < timedelta(seconds=step) and UNREACHED_SINCE not in record:
            return
        self.memory.change(**{REACHED_AT: now, UNREACHED_SINCE: None, STALE_SAID: None})

    def note_unreached(self, now: datetime, reason: str) -> bool:
        """The remote has not answered, for `reason`; returns whether the host is stale.

        Raises: NewerSchema, DiskFull, StateDirectoryUnwritable.
        """
        since = self.memory.moment(REACHED_AT) or self.memory.moment(UNREACHED_SINCE)
        if since is None or since > now:
            self.memory.change(**{REACHED_AT: None, UNREACHED_SINCE: now})
            return False
        if UNREACHED_SINCE not in self.memory.read():
            self.memory.change(**{UNREACHED_SINCE: now})
        if (now - since).total_seconds() < self.stale_after_seconds:
            return False
        if not self.memory.read().get(STALE_SAID):
            days = format_duration(int((now - since).total_seconds()))
            self.on_stale(f"the remote has not been reached for {days}: {reason}")
            self.memory.change(**{STALE_SAID: True})
        return True
