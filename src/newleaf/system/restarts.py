"""The edge where restarts happen: the daemon's own record, the flag for its job loops, a signal, a command.

Rules: `daemon.pid` names a process by number and start time, so that no other process is ever signalled
(lessons.md L35); the flag is a hint, believed only when it is well formed, not from the future and not from
before the daemon's start, so that it never makes a restart loop (L29). Nothing is read or written through
a symlink (threats.md T20). Whether a restart may happen is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import stat
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec import Struct

from newleaf.core.errors import CorruptFile
from newleaf.core.job_errors import CorruptDaemonRecord, NoDaemon
from newleaf.core.records import moment, short_stamp, stamp
from newleaf.system import own_keeper, process_table
from newleaf.system.commands import Command, Runner
from newleaf.system.files import read_record, remove, write_record, write_whole

DAEMON_RECORD = "daemon.pid"
RESTART_FLAG = "restart-requested"
COMMAND_SECONDS = 120.0
MAX_FLAG_BYTES = 256
A_SECOND = timedelta(seconds=1)

_FLAG = re.compile(
    r"(?P<at>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z) (?P<count>[0-9]{1,9}) commit\(s\)\n?\Z"
)


class Daemon(Struct, frozen=True):
    """The process that has reported itself, and the release it has loaded."""

    pid: int
    started: str
    since: datetime
    commit: str | None = None
    version: str | None = None
    keeper: str | None = None
    """What would start it again if it left: `system.own_keeper`'s word, "none", or None for unknown."""

    @property
    def runs(self) -> bool:
        """Whether it still does."""
        return process_table.is_alive(self.pid, self.started)


class RestartFlag(Struct, frozen=True):
    """What `restart-requested` says."""

    at: datetime
    commits: int


# --- the daemon -------------------------------------------------------------------------


def identify_daemon(state: Path, pid: int, commit: str | None = None, version: str | None = None) -> Daemon:
    """A process as the daemon, not recorded anywhere.

    Raises: NoDaemon when there is no such process.
    """
    found = process_table.find(pid)
    if found is None:
        raise NoDaemon(path=state / DAEMON_RECORD)
    # The system floors start times: what began in the same tick as a restart was ordered began after it.
    return Daemon(pid, found.started, found.started_at + process_table.START_RESOLUTION, commit, version)


def write_daemon(state: Path, pid: int, commit: str | None, version: str | None) -> Daemon:
    """Records a process as the daemon.

    Raises: NoDaemon when there is no such process, NewerSchema, DiskFull, StateDirectoryUnwritable.
    """
    daemon = identify_daemon(state, pid, commit, version)
    keeper = None
    if pid == os.getpid():
        keeper = own_keeper.name_keeper(os.environ, pid, os.getppid()) or own_keeper.NONE
    write_record(
        state / DAEMON_RECORD,
        {
            "pid": pid,
            "started": daemon.started,
            "since": stamp(daemon.since),
            "commit": commit,
            "version": version,
            **({"keeper": keeper} if keeper else {}),
        },
    )
    return daemon


def read_daemon(state: Path) -> Daemon | None:
    """The daemon that was recorded last, alive or not; None when none was.

    Raises: CorruptDaemonRecord, NewerSchema.
    """
    path = state / DAEMON_RECORD
    try:
        record = read_record(path)
        if record is None:
            return None
        pid, started, since = record["pid"], record["started"], moment(record["since"])
    except CorruptFile as error:
        raise CorruptDaemonRecord(**error.facts) from error
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptDaemonRecord(path=path, reason="its fields are not what a daemon records") from error
    texts = (record.get("commit"), record.get("version"), record.get("keeper"))
    if (
        type(pid) is not int
        or not isinstance(started, str)
        or not all(isinstance(t, str | None) for t in texts)
    ):
        raise CorruptDaemonRecord(path=path, reason="its fields are not what a daemon records")
    return Daemon(pid, started, since, *texts)


def running_daemon(state: Path) -> Daemon | None:
    """The recorded daemon, if that very process still runs.

    Raises: CorruptFile, NewerSchema.
    """
    daemon = read_daemon(state)
    return daemon if daemon and daemon.runs else None


def terminate_daemon(state: Path) -> Daemon:
    """Sends SIGTERM to the recorded daemon, and to no process that got its number later.

    Raises: NoDaemon, CorruptFile, NewerSchema.
    """
    daemon = read_daemon(state)
    with contextlib.suppress(PermissionError):
        if daemon and process_table.send_signal(daemon.pid, daemon.started, signal.SIGTERM):
            return daemon
    raise NoDaemon(path=state / DAEMON_RECORD)


def run_restart_command(runner: Runner, argv: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
    """Runs `restart.command` to its end.

    Raises: CommandFailed, ProgramMissing, CommandTimedOut.
    """
    runner.check(Command(argv, "restart.command", folder, env, COMMAND_SECONDS))


# --- the flag ---------------------------------------------------------------------------


def raise_flag(state: Path, commits: int, now: datetime) -> None:
    """Asks job loops to take no more work, because a restart is wanted.

    Raises: DiskFull, StateDirectoryUnwritable.
    """
    write_whole(state / RESTART_FLAG, f"{short_stamp(now)} {commits} commit(s)\n".encode())


def read_flag(state: Path, now: datetime, started_at: datetime | None = None) -> RestartFlag | None:
    """The flag, if there is a good one: well formed, not from the future, not from before `started_at`."""
    text, written_at = _read_flag_file(state / RESTART_FLAG)
    flag = _parse_flag(text)
    if flag is None or flag.at > now + A_SECOND:
        return None
    # The flag is to the second. In the second of the start the file's own time decides, where it agrees: a
    # flag may be lost, never loop.
    raised_at = written_at if written_at and flag.at <= written_at < flag.at + A_SECOND else flag.at
    return flag if started_at is None or raised_at >= started_at else None


def clear_flag(state: Path) -> None:
    """Takes the flag away, or the symlink in its place. Raises: OSError."""
    remove(state / RESTART_FLAG)


def drop_stale_flag(state: Path, now: datetime, started_at: datetime) -> bool:
    """At a daemon's start: takes away what is no good flag for this process. True when it did."""
    path = state / RESTART_FLAG
    if not os.path.lexists(path) or read_flag(state, now, started_at):
        return False
    remove(path)
    return True


def _parse_flag(text: str) -> RestartFlag | None:
    found = _FLAG.match(text)
    try:
        return RestartFlag(moment(found["at"]), int(found["count"])) if found else None
    except ValueError:
        return None


def _read_flag_file(path: Path) -> tuple[str, datetime | None]:
    """The beginning of a regular file, and when it was written; nothing of a pipe, whose writer may wait."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with open(os.open(path, flags), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                return "", None
            return file.read(MAX_FLAG_BYTES).decode("ascii"), datetime.fromtimestamp(found.st_mtime, UTC)
    except (OSError, ValueError, OverflowError):
        return "", None
