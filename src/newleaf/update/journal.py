"""The journal: every move of every attempt, written before it is made.

Rules: append only, fsynced; a torn last line is cut off; one attempt is open at a time; the
table of `core.states` decides what may follow; records per attempt are bounded, and so are attempts at one
target that are killed again and again before they touch anything. Old attempts are dropped by
rewriting the file whole, between attempts only.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from newleaf.core.errors import CorruptFile
from newleaf.core.records import AttemptRecord, JournalRecord
from newleaf.core.release import Release
from newleaf.core.states import BESIDE, State, advance
from newleaf.system import files

JOURNAL_FILE = "journal.jsonl"
COMPACT_BYTES = 64 * 1024
"""The journal is read at every look at the remote: so much takes 2 ms."""
KEPT_ATTEMPTS = 20


class Journal:
    """Implements `core.ports.Journal` on `journal.jsonl`.

    `mark` gives what a record keeps of its time that no change of the clock moves, where that is known.
    """

    def __init__(
        self, path: Path, now: Callable[[], datetime], mark: Callable[[], str | None] = lambda: None
    ) -> None:
        self._path = path
        self._now = now
        self._mark = mark
        self._attempts = _read(path)
        self._target: Release | None = None

    @property
    def open_attempt(self) -> AttemptRecord | None:
        """The attempt that has not ended, if any."""
        last = self.last
        return last if last and last.is_open else None

    @property
    def last(self) -> AttemptRecord | None:
        """The newest attempt, ended or not."""
        return self._attempts[-1] if self._attempts else None

    @property
    def attempts(self) -> tuple[AttemptRecord, ...]:
        """All attempts that the journal still has, oldest first."""
        return tuple(self._attempts)

    @property
    def records_beside(self) -> int:
        """How many records the last attempt has, with those directly before it that led nowhere.

        Attempts at the same target that were killed while all was untouched are one story with it, which is
        bounded as one attempt is.
        """
        count = 0
        for attempt in self._attempts[::-1]:
            states = [record.state for record in attempt.records[-2:]]
            was_killed = states[-1] is State.DISCARDED and states[0] in BESIDE
            if count and not (was_killed and attempt.target.commit == self._attempts[-1].target.commit):
                break
            count += len(attempt.records)
        return count

    def begin(
        self, attempt: str, start: Release, target: Release, state: State, **detail: Any
    ) -> AttemptRecord:
        """Opens an attempt with its first record.

        Raises: InconsistentError when another one is open.
        """
        previous = self.open_attempt
        if previous is not None:
            raise CorruptFile(path=self._path, reason=f"attempt {previous.id} is still open")
        advance(None, state, 0)
        self._compact()
        record = JournalRecord(attempt, self._now(), state, start, target, detail, self._mark())
        files.append_line(self._path, record.as_record())
        self._attempts.append(AttemptRecord((record,)))
        self._target = target
        return self._attempts[-1]

    def learn(self, target: Release) -> None:
        """Names the target more fully in the records that follow."""
        self._target = target

    def append(self, state: str, **detail: Any) -> None:
        """Moves the open attempt to `state`, durably.

        Raises: InconsistentError for a move that the table does not have.
        """
        current = self.last
        if current is None:
            raise CorruptFile(path=self._path, reason="no attempt is open")
        to = advance(current.state, State(state), len(current.records))
        target = self._target or current.target
        record = JournalRecord(current.id, self._now(), to, current.start, target, detail, self._mark())
        files.append_line(self._path, record.as_record())
        self._attempts[-1] = AttemptRecord((*current.records, record))

    def _compact(self) -> None:
        if len(self._attempts) <= KEPT_ATTEMPTS or self._path.stat().st_size < COMPACT_BYTES:
            return
        self._attempts = self._attempts[-KEPT_ATTEMPTS:]
        files.write_lines(self._path, [r.as_record() for a in self._attempts for r in a.records])


def _read(path: Path) -> list[AttemptRecord]:
    try:
        records = [JournalRecord.read(line) for line in files.read_lines(path)]
    except (KeyError, ValueError, TypeError) as error:
        raise CorruptFile(path=path, reason=f"a record is not newleaf's: {error}") from error
    return [AttemptRecord(tuple(group)) for _, group in groupby(records, key=lambda r: r.attempt)]
