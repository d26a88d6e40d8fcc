"""How often a launcher looks at the time: seldom, while nothing is going on. Standard library only."""

from __future__ import annotations

FLUX_SECONDS = 0.05
"""While something is going on: a handover, a trial, a start, an end."""
WATCHDOG_LOOK_SECONDS = 1.0
"""Where a watchdog's pings have to come."""
QUIET_SECONDS = 30.0


def seconds_to_look(processes: int, *, is_busy: bool, is_watched: bool) -> float:
    """After how long time itself may have changed something about so many processes."""
    if is_busy or processes != 1:
        return FLUX_SECONDS
    return WATCHDOG_LOOK_SECONDS if is_watched else QUIET_SECONDS
