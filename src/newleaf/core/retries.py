"""When an attempt is tried again: the agent's choice, from how its tries have ended.

Rules:
1. What arrived is over. So is what only a new target, a new signal or a person can change: `held`, `refused`,
   `rolled_back`, `inconsistent` (lessons.md L32, L42).
2. `locked`: once the owner of the lock is gone.
3. `waiting` stays owed (L27). It is tried again by the clock, after 30 seconds and then twice as long each
   time, up to the polling interval; for idle alone also when a job has ended, for a restart also when a
   daemon has reported itself.
4. All else has failed, and is tried again as the remote is asked after failures (`core.releases.polling`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from newleaf.core.notice import unvaried
from newleaf.core.releases.polling import Interval, next_wait

ARRIVED = frozenset({"up_to_date", "updated", "ok"})
SETTLED = frozenset({"held", "refused", "rolled_back", "inconsistent"})
SHORTEST_WAIT_SECONDS = 30.0

UNLOCKED, IDLE, RESTARTED = "unlocked", "idle", "restarted"
"""What a next try may come with, besides its time."""


class Ended(Struct, frozen=True):
    """How one try ended: its outcome word, the gates it waits for, the commit it went to, and its words.

    `record` is all that `newleaf update --json` says of it.
    """

    outcome: str
    gates: frozenset[str] = frozenset()
    to: str | None = None
    lines: tuple[str, ...] = ()
    record: Mapping[str, Any] = {}

    @property
    def mark(self) -> tuple[object, ...]:
        """The same for two tries that tell a person the same (lessons.md L5)."""
        # Who waits for a job is not told anew when another job holds it up.
        said = () if self.outcome in ("waiting", "locked") else tuple(map(unvaried, self.lines))
        return (self.outcome, self.gates, self.to, said)


class Retry(Struct, frozen=True):
    """Try again after so many seconds, or as soon as `when` comes, if that is named."""

    seconds: float = math.inf
    when: str | None = None


def choose_retry(ended: Ended, times: int, interval: Interval, chance: float) -> Retry | None:
    """When to try again what has ended like this so many times in a row; None: not by itself.

    `interval` is how often the remote is polled, `chance` a random number from 0 to 1.
    """
    if ended.outcome in ARRIVED or ended.outcome in SETTLED:
        return None
    if ended.outcome == "locked":
        return Retry(when=UNLOCKED)
    if ended.outcome == "waiting":
        return Retry(_wait_for_gates(times, interval), _event_of(ended.gates))
    return Retry(next_wait(interval, chance, times))


def _wait_for_gates(times: int, interval: Interval) -> float:
    # Each try asks the remote as a poll does: a night's wait must not ask it more often than polls do.
    longest = max(SHORTEST_WAIT_SECONDS, interval.seconds)
    return float(min(longest, SHORTEST_WAIT_SECONDS * 2.0 ** min(times - 1, 30)))


def _event_of(gates: frozenset[str]) -> str | None:
    if gates == {"idle"}:
        return IDLE
    return RESTARTED if "restart" in gates else None
