"""What `newleaf.ready()` does: the daemon reports itself, and with it what really runs.

Rules: the commit is that of the tree this process has loaded, judged by when it started, never an
environment variable's, and whatever the clock was set to meanwhile; a report confirms the attempt that
brought this commit, turns "restarting" into "deployed" (lessons.md L3), takes away a restart flag that was
meant for the process before, and ends the planned restart that brought it (L31). One that was on its way up
while an update ended, and has not loaded what lies there, is asked to leave again (L1). A process of the
launcher's confirms nothing by itself: it says what it has loaded, and the launcher judges.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from newleaf.core.confirmation import is_behind, is_confirmed_by, loaded_commit
from newleaf.core.records import AttemptRecord, Identity, Status, stamp
from newleaf.core.release import Release
from newleaf.core.states import State
from newleaf.system import planned_restart, uptime
from newleaf.system.loaded_tree import read_release
from newleaf.system.restarts import Daemon, drop_stale_flag, identify_daemon, write_daemon
from newleaf.update.history import History

FAILURES = ("update_failed", "rolled_back", "inconsistent")
STARTED = "started"
"""The outcome of a line that no attempt wrote: a process reported a release by itself."""


class Readiness(Struct, frozen=True):
    """Reports one process.

    `moves` are the states of an attempt in which `tree` may change under a process; `version_of` tells the
    version that a commit's tree says; `ask_to_leave` asks this process to, for what an attempt has brought.
    """

    state: Path
    tree: Path
    moves: Collection[State]
    identity: Identity
    history: History
    version_of: Callable[[str], str | None]
    published: Callable[[], Mapping[str, Any] | None]
    publish: Callable[[Status], object]
    clear_signal: Callable[[Release], None]
    ask_to_leave: Callable[[AttemptRecord], None]
    now: Callable[[], datetime]

    def loaded(self, attempts: Iterable[AttemptRecord]) -> Release | None:
        """What this process has loaded, None when that is unknown; nothing is recorded.

        For a process of the launcher's, which records it, judges it and says what is confirmed.
        Raises: CorruptFile, NewerSchema.
        """
        daemon = identify_daemon(self.state, os.getpid())
        drop_stale_flag(self.state, self.now(), daemon.since)
        return self._loaded(daemon, list(attempts))

    def report(self, attempts: Iterable[AttemptRecord]) -> Release | None:
        """Records this process as the daemon; returns what it has loaded, None when that is unknown.

        Raises: CorruptFile, NewerSchema, StateDirectoryUnwritable, DiskFull.
        """
        known = list(attempts)
        daemon = write_daemon(self.state, os.getpid(), None, None)
        drop_stale_flag(self.state, self.now(), daemon.since)
        loaded = self._loaded(daemon, known)
        if loaded:
            write_daemon(self.state, os.getpid(), loaded.commit, loaded.version)
        self._end_planned_restart(daemon)
        self._tell(loaded, known)
        if known and self._is_behind(known[-1], loaded):
            self.ask_to_leave(known[-1])
        return loaded

    def report_launched(self, release: Release, attempts: Iterable[AttemptRecord]) -> None:
        """Reports what a launcher started and found to be good, also where the daemon says nothing itself.

        Raises: CorruptFile, NewerSchema, StateDirectoryUnwritable, DiskFull.
        """
        self._tell(release, list(attempts))

    def _tell(self, loaded: Release | None, known: list[AttemptRecord]) -> None:
        last = known[-1] if known else None
        confirmed = is_confirmed_by(last, loaded.commit if loaded else None)
        if loaded:
            self._remember(last if confirmed else None, loaded)
            self.clear_signal(loaded)
        said = self.published() or {}
        if confirmed or said.get("status") not in FAILURES:
            self._publish(last, loaded)
        else:
            self._publish_running(said, loaded)

    def _end_planned_restart(self, daemon: Daemon) -> None:
        """Withdraws the marker, unless it announces that this very process will be away."""
        planned = planned_restart.read(self.state, self.now())
        if planned is None or planned.since <= daemon.since:
            planned_restart.withdraw(self.state)

    def _is_behind(self, last: AttemptRecord, loaded: Release | None) -> bool:
        lying_there = read_release(self.tree)
        commit = loaded.commit if loaded else None
        if lying_there is None or _by_this_clock(last).records[-1].at > self.now():
            # By a clock that went back: who leaves for that would at each start, until it is as late again.
            return False
        return is_behind(last, commit, lying_there.commit)

    def _loaded(self, daemon: Daemon, attempts: list[AttemptRecord]) -> Release | None:
        lying_there = read_release(self.tree)
        if lying_there is None:
            return None
        known = [_by_this_clock(attempt) for attempt in attempts]
        commit = loaded_commit(lying_there.commit, daemon.since, known, self.moves, self.now())
        if commit is None:
            return None
        brought = next((a.target for a in reversed(attempts) if a.target.commit == commit), None)
        return brought or lying_there._replace(commit=commit, version=self.version_of(commit))

    def _remember(self, attempt: AttemptRecord | None, loaded: Release) -> None:
        """Adds the line that says what was confirmed: the attempt's own, made whole, or a start's."""
        entries = self.history.entries()
        told: Mapping[str, Any] = {"attempt": None, "kind": STARTED, "outcome": STARTED}
        if attempt:
            known = [entry.line for entry in entries if entry.attempt == attempt.id]
            told = known[-1] if known else {"attempt": attempt.id, "outcome": "updated"}
        else:
            confirmed = [entry for entry in entries if entry.confirmed and entry.target]
            if confirmed and confirmed[-1].target == loaded:
                return
        start = attempt.start if attempt else loaded
        line = {"from": start.as_record(), "to": loaded.as_record(), "at": stamp(self.now())}
        self.history.add({**line, **told, "confirmed": True})

    def _publish_running(self, said: Mapping[str, Any], loaded: Release | None) -> None:
        """The word of a failure stays until an attempt succeeds; what runs all the same is said with it."""
        identity = self.identity
        self.publish(
            Status(
                said["status"],
                self.now(),
                identity.computer,
                identity.app,
                identity.channel,
                running=loaded,
                target=Release.read(said.get("target")),
                attempt=said.get("attempt"),
                error=said.get("error"),
            )
        )

    def _publish(self, attempt: AttemptRecord | None, loaded: Release | None) -> None:
        """The word of the new process: deployed, unless it is not what was meant to run."""
        identity = self.identity
        status = Status(
            "deployed",
            self.now(),
            identity.computer,
            identity.app,
            identity.channel,
            running=loaded,
            attempt=attempt.id if attempt else None,
        )
        if attempt and self._is_behind(attempt, loaded):
            status = status._replace(status="waiting", target=attempt.target)
        elif loaded is None:
            error = "a process started while the tree was being changed: what it has loaded is not known"
            status = status._replace(status="inconsistent", error=error)
        elif attempt and attempt.is_open and attempt.target.commit != loaded.commit:
            status = status._replace(status="waiting", target=attempt.target)
        self.publish(status)


def _by_this_clock(attempt: AttemptRecord) -> AttemptRecord:
    """The attempt with the times that the clock would have shown, as it is set now: as a start is told."""
    records = (record._replace(at=uptime.moment_of(record.mark, record.at)) for record in attempt.records)
    return AttemptRecord(tuple(records))
