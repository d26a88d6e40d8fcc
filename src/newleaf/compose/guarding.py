"""The pre-start check of a host: what `newleaf guard` is made of."""

from __future__ import annotations

from collections.abc import Callable

from newleaf.agent.guard import Admission, Guard
from newleaf.compose.host import Host, now
from newleaf.core.job_errors import ReleaseUnknown
from newleaf.system.loaded_tree import read_release


def admit(host: Host, warn: Callable[[str], None]) -> Admission:
    """Counts the start that is about to happen; `warn` is given a line for what could not be done.

    Raises: CrashLoop when it must not happen; whatever else is raised says that it cannot be judged.
    """
    lying_there = read_release(host.place.top)
    if lying_there is None:
        raise ReleaseUnknown(tree=host.place.top)
    guard = Guard(
        host.state,
        host.settings.health.max_starts,
        host.history,
        host.status_file.published,
        host.reporter.publish,
        host.unknown_status,
        now,
        warn,
    )
    return guard.admit(lying_there, host.journal().attempts)
