"""A verdict of the launcher's that no attempt waits for: recorded, or made good, by a program of its own.

Rules: the launcher waits for this program, so it asks the launcher for nothing: a restart that is owed is
left to it, and it starts what lies there when this has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from newleaf.core.ports import Restarted
from newleaf.core.records import EXIT_CODES, AttemptRecord, Result
from newleaf.core.release import CommitId, Release
from newleaf.core.requests import Request
from newleaf.system.restarts import running_daemon
from newleaf.update.transaction import Transaction

if TYPE_CHECKING:
    from newleaf.compose.host import Host

REQUEST = Request("launcher", force_busy=True)
"""Jobs are no reason to wait: the daemon has ended, or is about to be judged."""


class _LaunchedNext:
    """Implements `core.ports.Restarts`: whatever is owed, the launcher starts next."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def daemon_runs(self) -> bool:
        return self._host.keeper.daemon_runs()

    def restart(self, attempt: AttemptRecord) -> Restarted:
        return Restarted("its launcher starts it", owed=True)

    def running(self) -> Release | None:
        return self._host.keeper.running()

    def await_report(self, attempt: AttemptRecord, seconds: float) -> bool:
        return False


def settle(host: Host, word: str, reason: str) -> int:
    """Deals with it; returns the exit code.

    Raises: LockedError, and what records give reason to.
    """
    from newleaf.compose.parts import HostParts

    if word == "alarm":
        status = host.unknown_status()._replace(status="inconsistent", error=reason)
        host.reporter.publish(status._replace(running=host.keeper.running()))
        return 0
    # A confirmation is only recorded: an update asked for right then has its turn after it.
    why = f"to deal with a verdict: {word}"
    with host.locked("newleaf launcher", why, is_brief=word == "confirmed"):
        deal: Mapping[str, Callable[[Transaction], Result | None]] = {
            "confirmed": lambda transaction: transaction.confirm(REQUEST),
            "failed": lambda transaction: transaction.give_up(REQUEST, reason),
            "left": lambda transaction: transaction.take_up(REQUEST),
        }
        parts = HostParts(host, _LaunchedNext(host))
        if word == "failed":
            # To have the daemon stopped while its data is put back, and started again.
            parts.launcher = parts.line_to_launcher()
        transaction = Transaction(parts, lambda: "", host.suspended)
        result = deal[word](transaction)
        if word == "confirmed" and result is None:
            _report_start(host)
    return 0 if result is None or result.outcome == "waiting" else EXIT_CODES[result.outcome]


def _report_start(host: Host) -> None:
    """No attempt waits for it: the word of a process that serves, as if it had reported itself."""
    daemon = running_daemon(host.state)
    if daemon is not None and daemon.commit is not None:
        host.readiness(host.place.top).report_launched(
            Release(CommitId(daemon.commit), daemon.version), host.journal().attempts
        )
