"""How what a launcher, or a service manager, hands to a process can be wrong, as data. See `core.errors`.

Standard library only, for the launcher's sake.
"""

from __future__ import annotations

from newleaf.core.errors import FailedError, UsageError


class ListenersInvalid(UsageError):
    """the sockets that this process was to inherit are not there: {reason}"""

    code = "listeners_invalid"
    cure = "start the program itself, not a wrapper that starts it; under `uv run` and the like they are lost"


class GoInvalid(UsageError):
    """NEWLEAF_GO_FD={value} {reason}"""

    code = "go_invalid"
    cure = (
        "call newleaf.wait_go() in the very process that the launcher starts, and start no wrapper before it"
    )


class LauncherGone(FailedError):
    """the launcher gave this process up, or has ended, before it said go"""

    code = "launcher_gone"
    cure = "leave: another process serves, or the launcher's successor starts a new one"


class GoOverdue(FailedError):
    """the launcher has not said go within {seconds} s"""

    code = "go_overdue"
    cure = "call newleaf.wait_go() again, or without a timeout: it ends by itself when the launcher does"
