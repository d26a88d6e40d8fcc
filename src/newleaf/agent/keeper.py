"""How the daemon comes to run the new release where nothing but a service manager keeps it.

By `restart.mode`: it is asked to leave by itself (`exit`), told to (`sigterm`), restarted by a command,
or left alone. A process counts as the new one when it started after the attempt came to its restart. What
watches over the daemon's health is told before it is asked for anything (lessons.md L31).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from newleaf.core.errors import CorruptFile, NewleafError
from newleaf.core.job_errors import LauncherMissing
from newleaf.core.ports import Restarted
from newleaf.core.records import AttemptRecord
from newleaf.core.release import CommitId, Release
from newleaf.core.settings.sections import Restart
from newleaf.core.states import State
from newleaf.system import inside_lock, own_keeper, planned_restart
from newleaf.system.commands import Runner
from newleaf.system.restarts import (
    Daemon,
    raise_flag,
    read_flag,
    run_restart_command,
    running_daemon,
    terminate_daemon,
)

POLL_SECONDS = 0.05
NO_KEEPER = "no keeper is seen that would start it again: restart it yourself"


class Keeper(Struct, frozen=True):
    """Implements `core.ports.Restarts`.

    `commits` counts what lies between two releases, for the flag; `away_seconds` is how long a restart may
    keep the daemon away.
    """

    state: Path
    settings: Restart
    folder: Path
    env: Callable[[], Mapping[str, str]]
    runner: Runner
    commits: Callable[[Release, Release], int]
    now: Callable[[], datetime]
    away_seconds: float

    def daemon_runs(self) -> bool:
        """Whether a process that has reported itself is alive. Raises: CorruptFile, NewerSchema."""
        return running_daemon(self.state) is not None

    def running(self) -> Release | None:
        """What the live process reported; None when none has, or its record cannot be read.

        Raises: NewerSchema.
        """
        try:
            daemon = running_daemon(self.state)
        except CorruptFile:
            return None
        return Release(CommitId(daemon.commit), daemon.version) if daemon and daemon.commit else None

    def restart(self, attempt: AttemptRecord) -> Restarted:
        """Asks for the restart by the mode that is set.

        Raises: CommandFailed, CommandTimedOut, ProgramMissing, NoDaemon, LauncherMissing, NewerSchema,
        DiskFull, StateDirectoryUnwritable.
        """
        daemon = running_daemon(self.state)
        if daemon and _is_new(daemon, attempt):
            return Restarted(f"the daemon has started anew (pid {daemon.pid})")
        match self.settings.mode:
            case "none":
                return Restarted("restart.mode is none", skipped=True)
            case "launcher":
                raise LauncherMissing
            case "exit" | "sigterm" if daemon is None:
                return Restarted("no daemon runs", skipped=True)
        reason = f"from {attempt.start.name} to {attempt.target.name}"
        planned_restart.announce(self.state, reason, self.now(), self.away_seconds)
        try:
            return self._ask(attempt, daemon)
        except NewleafError:
            # It is not under way: from now on a daemon that is away is a daemon that is down.
            with contextlib.suppress(NewleafError):
                planned_restart.withdraw(self.state)
            raise

    def _ask(self, attempt: AttemptRecord, daemon: Daemon | None) -> Restarted:
        if daemon is None or self.settings.mode == "command":
            run_restart_command(self.runner, self.settings.command or (), self.folder, self.env())
            return Restarted("restart.command succeeded")
        if self.settings.mode == "sigterm":
            terminate_daemon(self.state)
            return Restarted(f"SIGTERM sent to the daemon (pid {daemon.pid})")
        if read_flag(self.state, self.now(), daemon.since) is None:
            self.ask_to_leave(attempt)
        leaves = f"the daemon (pid {daemon.pid}) was asked to leave by itself, with exit code"
        # A daemon without an updater inside leaves as it thinks fit.
        is_judged = daemon.keeper == own_keeper.NONE and inside_lock.is_held(self.state)
        stays = f"; {NO_KEEPER}" if is_judged else ""
        return Restarted(f"{leaves} {self.settings.exit_code}{stays}", owed=True)

    def ask_to_leave(self, attempt: AttemptRecord) -> None:
        """Asks the daemon to leave by itself for what an attempt has brought, where it does such a thing.

        Raises: DiskFull, StateDirectoryUnwritable.
        """
        if self.settings.mode in ("exit", "sigterm"):
            raise_flag(self.state, self.commits(attempt.start, attempt.target), self.now())

    def await_report(self, attempt: AttemptRecord, seconds: float) -> bool:
        """Waits until a process started after the restart reports the target."""
        deadline = time.monotonic() + seconds
        while True:
            daemon = running_daemon(self.state)
            if daemon and _is_new(daemon, attempt) and daemon.commit == attempt.target.commit:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)


def _is_new(daemon: Daemon, attempt: AttemptRecord) -> bool:
    """Whether the process started after the attempt came to its restart."""
    asked = attempt.at(State.RESTART)
    return asked is not None and daemon.since > asked
