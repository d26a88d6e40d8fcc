"""How the launcher, and talking to it, can fail, as data. See `core.errors`. Standard library only."""

from __future__ import annotations

from newleaf.core.errors import FailedError, InconsistentError, UsageError


class AddressTaken(FailedError):
    """{address} of app.listen is in use by another process"""

    code = "address_taken"
    cure = "end the process that holds it (`ss -ltnp` names it), or change app.listen"


class AddressUnusable(UsageError):
    """{address} cannot be listened on: {reason}"""

    code = "address_unusable"
    cure = (
        "change app.listen; where it is the state directory's path, name a shorter one with NEWLEAF_STATE_DIR"
    )


class LauncherRuns(FailedError):
    """a launcher runs this app already, as pid {pid}"""

    code = "launcher_runs"
    cure = "`newleaf status` says what runs; `newleaf stop` ends it"


class NoLauncher(FailedError):
    """no launcher runs this app: nobody answers at {path}"""

    code = "no_launcher"
    cure = "start one with `newleaf run`"


class NoCommand(UsageError):
    """nothing says how the daemon is started: app.command is not set"""

    code = "no_command"
    cure = "set app.command in newleaf.toml and commit that, or name it: newleaf run -- COMMAND"


class LauncherRefused(FailedError):
    """the launcher does not do it now: {reason}"""

    code = "launcher_refused"
    cure = (
        "`newleaf status` says what is going on; an update is tried again, any other order is yours to repeat"
    )


class LauncherLost(FailedError):
    """the launcher has gone away before it had a verdict"""

    code = "launcher_lost"
    cure = "the attempt is finished when the launcher runs again; `newleaf status` says how it went"


class LauncherSilent(LauncherLost):
    """the launcher runs, and has not answered within {seconds:.0f} seconds"""

    code = "launcher_silent"
    cure = "`newleaf status` and `newleaf why` say what it waits for; it goes on by itself"


class LauncherDamaged(InconsistentError):
    """{path} cannot be used: {reason}"""

    code = "launcher_damaged"
    cure = "remove it and start `newleaf run` again"


class NoLogFiles(FailedError):
    """the output of {name} is not kept in files: it goes to its launcher's own output"""

    code = "no_log_files"
    cure = "look there (systemd: journalctl --user -u newleaf-{name}), or start `newleaf run --log-files`"
