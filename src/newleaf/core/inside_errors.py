"""How an agent inside a daemon can be of no use to who asks it, as data. See `core.errors`."""

from __future__ import annotations

from newleaf.core.errors import FailedError, LockedError, UsageError


class NotDeployedHere(UsageError):
    """newleaf does not deploy this app on this machine: there is no {state}"""

    code = "not_deployed_here"
    cure = "`newleaf init` sets it up; where you only develop the app there is nothing to do"


class StandsBy(LockedError):
    """another daemon with the state directory {state} watches and updates: {owner}"""

    code = "stands_by"
    cure = "ask that one; this process takes over when it has ended. Two apps need two state directories"


class DaemonEnds(FailedError):
    """the daemon ends, and the update that was asked for was not made"""

    code = "daemon_ends"
    cure = "ask again when it has started; what was under way goes on then by itself"
