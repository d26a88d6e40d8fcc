"""The published word, brought to where others read it: a Redis, by a thread that nobody waits for.

Rules:
1. The status file is the truth. Each word that this process publishes is sent, in order; then whatever the
   file says since, by whomever it was written, so that the last word to arrive is the latest.
2. When it cannot be sent, the words in between are let go, and the latest is tried again after a pause that
   grows: always by an agent, until it has arrived by a daemon that reports itself; who makes one attempt
   tries again with its next word, and in the end waits half a second, no longer.
3. An agent also sends the word anew now and then: the other side may have forgotten it.
4. Nothing raises, and nothing but the thread waits. What goes wrong is said once (lessons.md L5).
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Protocol

from newleaf.core.errors import NewleafError

FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 30.0
LOOK_SECONDS = 1.0
ANEW_SECONDS = 15.0
FINISH_SECONDS = 0.5
_UNSEEN = object()


class Manner(Enum):
    """Whose mirror it is: of one attempt, of a daemon that has reported itself, of an agent."""

    ATTEMPT = "attempt"
    DAEMON = "daemon"
    AGENT = "agent"


class Reads(Protocol):
    """The published word: `agent.status.StatusFile`."""

    def published(self) -> dict[str, Any] | None:
        """The last word. Raises: NewerSchema."""
        ...

    def trace(self) -> object:
        """What differs once another word is published."""
        ...


class StatusMirror:
    """Brings the words of one status file to `send`, which raises NewleafError when it cannot."""

    def __init__(
        self, send: Callable[[str], None], file: Reads, manner: Manner, say: Callable[[str], None]
    ) -> None:
        self._send = send
        self._file = file
        self._manner = manner
        self._say = say
        self._change = threading.Condition()
        self._words: deque[str] = deque()
        self._thread: threading.Thread | None = None
        self._is_idle = True
        self._is_stopped = False
        self._arrived: str | None = None
        self._arrived_at = 0.0
        self._seen: object = _UNSEEN
        self._pause_seconds = 0.0
        self._complaint: str | None = None

    def tell(self, record: Mapping[str, Any]) -> None:
        """A word that was published just now by this process."""
        with self._change:
            self._words.append(json.dumps(record))
            self._begin()

    def begin(self) -> None:
        """Sends what was published before, and for an agent whatever is from now on."""
        with self._change:
            self._begin()

    def finish(self, seconds: float = FINISH_SECONDS) -> bool:
        """Waits for what is on its way, so long at most; whether it has arrived."""
        with self._change:
            return self._change.wait_for(lambda: self._is_idle, seconds) and self._complaint is None

    def stop(self) -> None:
        """Sends nothing any more; a call that is under way ends by itself."""
        with self._change:
            self._is_stopped = True
            self._change.notify_all()

    def _begin(self) -> None:
        self._is_idle = False
        self._change.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="newleaf-status", daemon=True)
            self._thread.start()

    # --- the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._wait_for_turn():
                word = self._next()
                is_over = self._is_over() if word is None else not self._try(word)
                if is_over:
                    return
        except Exception as error:  # noqa: BLE001 - nothing depends on this thread
            self._say(f"a defect in newleaf: {type(error).__name__}: {error}")
        with self._change:
            self._end()

    def _end(self) -> None:
        self._is_idle, self._thread = True, None
        self._change.notify_all()

    def _wait_for_turn(self) -> bool:
        """Until a pause is over; whether to go on."""
        with self._change:
            if self._pause_seconds:
                self._change.wait_for(lambda: self._is_stopped, self._pause_seconds)
            return not self._is_stopped

    def _next(self) -> str | None:
        """The next word of this process, else the file's when that has not arrived."""
        with self._change:
            while self._words:
                word = self._words.popleft()
                # It may have been seen in the file before this process came to tell of it.
                if word != self._arrived:
                    return word
        is_due = self._manner is Manner.AGENT and time.monotonic() - self._arrived_at >= ANEW_SECONDS
        latest = self._latest(is_due=is_due)
        return latest if is_due or latest != self._arrived else None

    def _latest(self, *, is_due: bool) -> str | None:
        """What the file says; read when it was written since, or when it is due."""
        seen = self._file.trace()
        if seen == self._seen and not is_due:
            return self._arrived
        self._seen = seen
        try:
            record = self._file.published()
        except NewleafError:
            record = None
        return None if record is None else json.dumps(record)

    def _is_over(self) -> bool:
        """Nothing is left to send: whether the thread has ended; an agent's waits for more."""
        with self._change:
            if self._words:
                return False
            if self._manner is not Manner.AGENT:
                self._end()
                return True
            self._is_idle = True
            self._change.notify_all()
            self._change.wait_for(lambda: self._is_stopped or bool(self._words), LOOK_SECONDS)
            return False

    def _try(self, word: str) -> bool:
        """Whether the thread goes on."""
        try:
            self._send(word)
        except NewleafError as error:
            return self._let_go(error)
        self._arrived, self._arrived_at, self._pause_seconds = word, time.monotonic(), 0.0
        complained, self._complaint = self._complaint, None
        if complained and self._manner is Manner.AGENT:
            self._say("the status arrives again")
        return True

    def _let_go(self, error: NewleafError) -> bool:
        """Forgets the words in between: the next try is for what the file says then."""
        if error.message != self._complaint:
            self._complaint = error.message
            self._say(f"the status does not arrive: {error.message}")
        with self._change:
            has_more = bool(self._words)
            self._words.clear()
            self._seen = _UNSEEN
            if self._manner is Manner.ATTEMPT:
                if not has_more:
                    self._end()
                return has_more
            self._is_idle = True
            longer = max(self._pause_seconds * 2, FIRST_RETRY_SECONDS)
            self._pause_seconds = min(longer, LONGEST_RETRY_SECONDS)
            self._change.notify_all()
            return True
