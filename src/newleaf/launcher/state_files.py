"""What the launcher reads and writes in the state directory.

`launcher.json`: what it runs, made by newleaf's own programs; `launcher-state.json`: its counters, and the
processes it has started, so that the next launcher finds those that a killed one has left; `daemon.pid`: the
process that serves. It reads the journal's last line, and where a checkout or a link stands.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from newleaf.core.errors import CorruptFile, NewleafError
from newleaf.core.launch.counters import Counters
from newleaf.core.launch.launcher_errors import LauncherDamaged
from newleaf.core.launch.plan import Plan, Post
from newleaf.core.records import JournalRecord, stamp
from newleaf.core.states import State
from newleaf.system import files, process_table

LAUNCHER = "launcher.json"
STATE = "launcher-state.json"
DAEMON = "daemon.pid"
JOURNAL = "journal.jsonl"
_TAIL_BYTES = 65536
_CHANGING = (State.INSTALL, State.MIGRATE, State.ACTIVATE, State.REVERT)
_JUDGED = (State.RESTART, State.CONFIRM)


class StateFiles:
    """The files of one state directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read_launcher(self) -> tuple[Post, Plan]:
        """What is run, and how this launcher was started.

        Raises: LauncherDamaged, NewerSchema.
        """
        path = self.folder / LAUNCHER
        try:
            record = files.read_record(path)
            if record is None:
                raise LauncherDamaged(path=path, reason="it is missing")
            return Post.read(record["post"]), Plan.read(record["plan"])
        except (KeyError, TypeError, ValueError) as error:
            raise LauncherDamaged(path=path, reason=f"it is not what newleaf writes ({error})") from error
        except CorruptFile as error:
            raise LauncherDamaged(path=path, reason=str(error.facts["reason"])) from error

    def read_state(self) -> dict[str, Any]:
        """What the last launcher noted; nothing where that cannot be read."""
        try:
            return files.read_record(self.folder / STATE) or {}
        except CorruptFile:
            return {}

    def left_running(self) -> list[tuple[int, str]]:
        """The processes that the last launcher noted: their numbers and start times."""
        found, noted = [], self.read_state().get("processes")
        for left in noted if isinstance(noted, list) else []:
            with contextlib.suppress(KeyError, TypeError, ValueError):
                found.append((int(left["pid"]), str(left["started"])))
        return found

    def write_state(self, record: Mapping[str, Any]) -> None:
        """Raises: DiskFull, StateDirectoryUnwritable, NewerSchema."""
        files.write_record(self.folder / STATE, record)

    def read_counters(self) -> Counters:
        """The counters of the last launcher."""
        found = self.read_state().get("counters")
        return Counters.read(found) if isinstance(found, dict) else Counters()

    def write_daemon(self, pid: int, plan: Plan) -> None:
        """Records the process that serves, with what was started.

        Raises: DiskFull, StateDirectoryUnwritable, NewerSchema.
        """
        found = process_table.find(pid)
        if found is None:
            return
        record = {
            "pid": pid,
            "started": found.started,
            "since": stamp(found.started_at + process_table.START_RESOLUTION),
            "commit": plan.release.commit,
            "version": plan.release.version,
            "launcher": os.getpid(),
        }
        files.write_record(self.folder / DAEMON, record)

    def attempt_of(self, commit: str) -> str | None:
        """The open attempt that has brought this commit, and waits for its verdict."""
        last = self._last_record()
        is_awaited = last is not None and last.state in _JUDGED and last.target.commit == commit
        return last.attempt if last and is_awaited else None

    def changing(self) -> str | None:
        """The attempt that is changing, or was killed while it changed, what a start would load."""
        last = self._last_record()
        return last.attempt if last and last.state in _CHANGING else None

    def _last_record(self) -> JournalRecord | None:
        line = _last_line(self.folder / JOURNAL)
        try:
            return JournalRecord.read(files.parse(self.folder / JOURNAL, line)) if line else None
        except (KeyError, TypeError, ValueError, NewleafError):
            return None


def utc(wall: float) -> datetime:
    """A time as records have it."""
    return datetime.fromtimestamp(wall, UTC)


def _last_line(path: Path) -> bytes:
    """The last whole line of an append-only file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        end, seen = os.fstat(descriptor).st_size, _TAIL_BYTES
        while True:
            start = max(0, end - seen)
            tail = os.pread(descriptor, end - start, start)
            lines = tail[: tail.rfind(b"\n") + 1].split(b"\n")
            if start == 0 or len(lines) > 2:
                return lines[-2] if len(lines) > 1 else b""
            seen *= 4
    except OSError:
        return b""
    finally:
        os.close(descriptor)
