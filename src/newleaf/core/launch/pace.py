"""How often a launcher looks at the time: seldom, while nothing is going on. Standard library only."""

from __future__ import annotations

from newleaf.core.launch.children import Children

FLUX_SECONDS = 0.05
"""While something is going on: a handover, a trial, a start, an end."""
WATCHDOG_LOOK_SECONDS = 1.0
"""Where a watchdog's pings have to come."""
QUIET_SECONDS = 30.0


def seconds_to_look(children: Children, *, is_busy: bool) -> float:
    """After how long time itself may have changed something."""
    serving = children.serving
    if is_busy or serving is None or len(children.all) != 1:
        return FLUX_SECONDS
    return QUIET_SECONDS if serving.pinged_at is None else WATCHDOG_LOOK_SECONDS
