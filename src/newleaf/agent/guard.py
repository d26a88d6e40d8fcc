"""The pre-start check where nothing but a service manager keeps the daemon: it counts, and tells a person.

Rules: each call is one start; how the one before it ended is judged by `core.crashes`. It alarms when a
release goes round in a crash loop, once for as long as nothing changes (lessons.md L5), and never reverts.
What cannot be read, or written, never keeps a daemon from starting: that is a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from newleaf.core.crashes import SPAN_SECONDS, Start, Starts, allowed, judge
from newleaf.core.durations import format_duration
from newleaf.core.errors import CorruptFile, NewleafError
from newleaf.core.job_errors import CrashLoop
from newleaf.core.records import AttemptRecord, Status, short_stamp
from newleaf.core.release import Release
from newleaf.core.states import State
from newleaf.system import files, planned_restart
from newleaf.system.restarts import read_flag
from newleaf.update.history import History

GUARD = "guard.json"
_MALFORMED = (KeyError, TypeError, ValueError, OverflowError)


class Admission(Struct, frozen=True):
    """A start that may happen, and how many before it ended abnormally."""

    release: Release
    abnormal_ends: int


class Guard(Struct, frozen=True):
    """Judges the starts of one app. `warn` is given a line for what could not be done.

    `limit` is how many abnormal ends there may be; `unknown` is what is said of a host before that.
    """

    state: Path
    limit: int
    history: History
    published: Callable[[], Mapping[str, Any] | None]
    publish: Callable[[Status], object]
    unknown: Callable[[], Status]
    now: Callable[[], datetime]
    warn: Callable[[str], None]

    def admit(self, lying_there: Release, attempts: Iterable[AttemptRecord]) -> Admission:
        """Counts a start of the release.

        Raises: CrashLoop when it must not happen; CorruptFile, NewerSchema when that cannot be judged.
        """
        now, attempts = self.now(), list(attempts)
        release = next((a.target for a in attempts if a.target.commit == lying_there.commit), lying_there)
        known = self._known()
        asked = self._restart_asked(attempts, now)
        start = Start(release.commit, now, self._is_confirmed(release), asked)
        starts, until = judge(known, start, self.limit)
        if until:
            span = format_duration(SPAN_SECONDS)
            error = CrashLoop(
                name=release.name,
                limit=self.limit,
                span=span,
                commit=release.commit[:12],
                until=short_stamp(until),
            )
            self._remember(known, starts._replace(alarm=error.message))
            self._alarm(release, error.message)
            raise error
        self._end_alarm(release, known.alarm)
        self._remember(known, starts._replace(alarm=None))
        return Admission(release, len(starts.abnormal_ends))

    # --- evidence -----------------------------------------------------------------------

    def _known(self) -> Starts:
        try:
            return read_starts(self.state)
        except CorruptFile as error:
            self.warn(f"{error.message}; counting begins anew")
            return Starts()

    def _is_confirmed(self, release: Release) -> bool:
        """Whether a process has ever reported this release here."""
        return any(
            entry.confirmed and entry.target and entry.target.commit == release.commit
            for entry in self.history.entries()
        )

    def _restart_asked(self, attempts: Iterable[AttemptRecord], now: datetime) -> datetime | None:
        """When a restart was last asked for: by an attempt, the flag, or the marker of a planned restart."""
        flag, planned = read_flag(self.state, now), planned_restart.read(self.state, now)
        moments = [attempt.at(State.RESTART) for attempt in attempts]
        moments += [flag.at if flag else None, planned.since if planned else None]
        return max(filter(None, moments), default=None)

    # --- what is written ----------------------------------------------------------------

    def _remember(self, known: Starts, starts: Starts) -> None:
        """Writes what is to be remembered; a service manager may ask many times while nothing changes."""
        if starts != known:
            self._try(lambda: files.write_record(self.state / GUARD, starts.as_record()))

    def _alarm(self, release: Release, error: str) -> None:
        """Publishes the crash loop, unless that is the word already."""
        if (self._published() or {}).get("error") != error:
            self._say("inconsistent", release, error)

    def _end_alarm(self, release: Release, error: str | None) -> None:
        """Takes its own alarm back: a start follows, and what comes of it the daemon says (lessons.md L3)."""
        if error and (self._published() or {}).get("error") == error:
            self._say("restarting", release, None)

    def _say(self, word: str, release: Release, error: str | None) -> None:
        status = self.unknown()._replace(status=word, target=release, error=error)
        self._try(lambda: self.publish(status))

    def _published(self) -> Mapping[str, Any] | None:
        try:
            return self.published()
        except NewleafError:
            return None

    def _try(self, write: Callable[[], object]) -> None:
        try:
            with files.explained():
                write()
        except NewleafError as error:
            self.warn(error.message)


def read_starts(state: Path) -> Starts:
    """What is remembered of the starts so far.

    Raises: CorruptFile, NewerSchema.
    """
    path = state / GUARD
    record = files.read_record(path)
    try:
        return Starts.read(record) if record is not None else Starts()
    except _MALFORMED as error:
        raise CorruptFile(path=path, reason="its fields are not what `newleaf guard` writes") from error


def allow_starts(state: Path, commit: str) -> str | None:
    """Lets a commit start again that was counted; `commit` may be abbreviated. Returns the full id.

    None where it is not one that is counted. Raises: NewerSchema, DiskFull, StateDirectoryUnwritable.
    """
    try:
        starts = allowed(read_starts(state), commit)
    except CorruptFile:
        return None
    if starts:
        files.write_record(state / GUARD, starts.as_record())
    return starts.commit if starts else None
