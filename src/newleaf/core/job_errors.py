"""How jobs, the gates and restarts can fail, as data. See `core.errors`."""

from __future__ import annotations

from newleaf.core.errors import CorruptFile, FailedError, InconsistentError, NewleafError, UsageError


class AppBusy(NewleafError):
    """the app is busy: {reason}"""

    code = "app_busy"
    outcome = "waiting"
    exit_code = 4
    cure = "it is tried again when the jobs have ended; `newleaf update --force-busy` does not wait for them"


class UpdateInstalling(FailedError):
    """an update changes the live tree now, and to wait for it here would stop the event loop"""

    code = "update_installing"
    cure = "in a coroutine write `async with newleaf.busy():`, which waits and lets the loop go on"


class LeaseDenied(FailedError):
    """the lease server at {host} {reason}"""

    code = "lease_denied"


class NoDaemon(FailedError):
    """no running daemon has reported itself in {path}, so none can be restarted"""

    code = "no_daemon"
    cure = "start the daemon; it reports itself by calling newleaf.ready()"


class CorruptDaemonRecord(CorruptFile):
    """the daemon's own record {path} cannot be read: {reason}"""

    code = "corrupt_daemon_record"
    cure = "restart the daemon, which writes it anew when it calls newleaf.ready(); when none runs: rm {path}"


class JobNotFound(FailedError):
    """there is no program {program}"""

    code = "job_not_found"
    exit_code = 127


class JobNotExecutable(FailedError):
    """{program} cannot be run: {reason}"""

    code = "job_not_executable"
    exit_code = 126


class RestartBudgetSpent(InconsistentError):
    """the daemon was restarted {count} times in {span}: no more restarts before {until}"""

    code = "restart_budget_spent"
    cure = "see `newleaf history` for why it restarts so often; restart.budget sets the limit"


class CrashLoop(InconsistentError):
    """{name}, never confirmed, ended abnormally more than {limit} times in {span}: it is not started"""

    code = "crash_loop"
    cure = (
        "`newleaf rollback` goes back to the last good release; `newleaf allow {commit}` lets this one start"
        " again; without either it is tried again at {until}"
    )


class ReleaseUnknown(FailedError):
    """which release lies in {tree} cannot be told"""

    code = "release_unknown"
    cure = "`newleaf doctor` looks at the checkout, or at the release slots"


class LauncherMissing(UsageError):
    """restart.mode is launcher, but no launcher runs this app"""

    code = "launcher_missing"
    cure = "set restart.mode to exit, sigterm, command or none"
