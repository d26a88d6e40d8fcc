"""Is this process ready, is it healthy, what is wrong with it: judged from what it has shown so far.

Rules:

1. Ready is who says so (READY=1); where this app's processes never do, whose first health check passes; where
   none is asked either, who has lived for a second.
2. Proven is who is ready and has passed three checks, one second apart. One beside the process that serves is
   asked on its own socket, or by command: what answers on the shared one may be the old process. One that
   says it is ready and is silent on its own socket does not take it, and is judged without; so is one that
   waits for "go" and is silent three times. One that has taken a question there is not.
3. Ready too late (who waits for "go" is not late), three failed checks in a row after it was ready, another
   commit than the one that was started, or a watchdog's ping that stays away: it has failed. A process may
   ask for more time.
4. From the three checks on it is asked ever again until its probation is over.

Knows a child and the time it is given. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping

from newleaf.core.launch.child import INCOMING, SERVING, Child
from newleaf.core.launch.events import SILENT, UNANSWERED
from newleaf.core.launch.notify_fields import COMMIT_FIELD, WAITS_FIELD
from newleaf.core.launch.plan import OVERLAP, Plan

CHECKS = 3
CHECK_SECONDS = 1.0
LOOK_SECONDS = 0.2
"""Between two checks of a process that is still starting."""
LONGEST_CHECK_SECONDS = 5.0
ALIVE_SECONDS = 1.0
WATCHDOG_SECONDS = 30.0
MICROSECONDS = 1_000_000
LONGEST_EXTENSION_SECONDS = 86_400.0


def hear(child: Child, fields: Mapping[str, str], now: float) -> str | None:
    """Takes in what the child says of itself; returns what is wrong with that."""
    claimed = fields.get(COMMIT_FIELD)
    if claimed and claimed != child.commit:
        return f"it reports commit {claimed[:12]}, and {child.commit[:12]} was started"
    if fields.get("READY") == "1":
        if child.ready_at is None:
            child.ready_at, child.failed = now, 0
            child.ask_at = child.ask_at if child.passed else now
        child.said_ready = True
    if fields.get(WAITS_FIELD) == "1":
        child.waits = True
    if fields.get("WATCHDOG") == "1":
        child.pinged_at = now
    extension = fields.get("EXTEND_TIMEOUT_USEC", "")
    if extension.isdecimal():
        # So many digits are more than the longest, and none too large to divide.
        seconds = min(int(extension[:18]) / MICROSECONDS, LONGEST_EXTENSION_SECONDS)
        child.ready_by = max(child.ready_by, now + seconds)
        if child.leaves_by is not None and not child.reason:
            child.leaves_by = max(child.leaves_by, now + seconds)
    return None


def grow_ready(child: Child, now: float, *, notifies: bool) -> None:
    """Counts the child as ready where neither it nor anything else will say so."""
    is_silent = not notifies and not _is_asked(child) and not (child.is_gated and child.waits)
    if child.ready_at is None and is_silent and now >= child.began + ALIVE_SECONDS:
        child.ready_at = now


def is_check_due(child: Child, now: float, *, notifies: bool) -> bool:
    """Whether the child is to be asked now."""
    if child.is_asked or now < child.ask_at or not _is_asked(child):
        return False
    return child.has_health or child.ready_at is not None or not notifies


def plan_to_ask(child: Child) -> Plan:
    """What is asked of the child: not the shared address, while another process may answer there."""
    if child.role == SERVING or child.has_health:
        return child.plan
    return child.plan._replace(health=child.plan.health._replace(url=None))


def note_check(child: Child, fault: str | None, now: float, *, notifies: bool) -> None:
    """Takes in what a check came to."""
    child.is_asked = False
    health = child.plan.health
    child.takes = child.takes or fault in (None, UNANSWERED)
    if fault is None:
        child.passed, child.failed = child.passed + 1, 0
        if child.ready_at is None and not notifies and not (child.is_gated and child.waits):
            child.ready_at = now
        often = min(LONGEST_CHECK_SECONDS, max(CHECK_SECONDS, health.probation / 10))
        child.ask_at = now + (CHECK_SECONDS if child.passed < CHECKS else often)
        return
    child.failed += 1
    is_expected = child.said_ready or (child.waits and child.failed >= CHECKS)
    if fault == SILENT and child.has_health and is_expected and not child.takes:
        child.has_health, child.failed = False, 0
        return
    if child.passed < CHECKS:
        child.passed = 0
    child.ask_at = now + (LOOK_SECONDS if child.ready_at is None else CHECK_SECONDS)
    child.fault = fault


def find_fault(child: Child, now: float) -> str | None:
    """What is wrong with the child by now."""
    if child.pinged_at is not None and now > child.pinged_at + WATCHDOG_SECONDS:
        return f"its watchdog has not been heard for {WATCHDOG_SECONDS:g} s"
    if child.ready_at is not None and child.failed >= CHECKS:
        return f"{CHECKS} health checks in a row failed: {child.fault}"
    is_coming = is_proven(child) or may_go(child) or _is_passing(child)
    if not is_coming and now > child.ready_by:
        waited = f"it was not ready within {child.ready_by - child.began:g} s"
        return f"{waited}: {child.fault}" if child.fault else waited
    return None


def may_go(child: Child) -> bool:
    """Whether one that waits beside the process that serves has shown what it can before it accepts."""
    return child.is_gated and child.waits and (not child.has_health or _has_passed(child))


def is_proven(child: Child) -> bool:
    """Whether the child is ready and, as far as it can be asked, healthy."""
    return child.ready_at is not None and _has_passed(child)


def _has_passed(child: Child) -> bool:
    return not _is_asked(child) or child.passed >= CHECKS


def _is_passing(child: Child) -> bool:
    """Whether it is on its way through its checks, which end after a start's time."""
    return 0 < child.passed < CHECKS and child.failed == 0


def _is_asked(child: Child) -> bool:
    """Whether there is anything to ask, where the child is now."""
    health = child.plan.health
    if child.role == SERVING or child.has_health:
        return health.is_asked
    return bool(health.command) and child.role == INCOMING and child.plan.handover == OVERLAP
