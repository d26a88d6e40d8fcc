"""Who is told what happens: the status file, the log, the notices, and whoever watches.

An outcome is told everywhere; a line of progress goes to the watcher and the log only. A word that stands
already, because an update that waits was tried again, is not logged once more (lessons.md L5).
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from newleaf.agent.status import StatusFile
from newleaf.agent.update_log import UpdateLog
from newleaf.core.records import Status
from newleaf.core.release import Release

OUTCOMES = frozenset({"deployed", "update_failed", "rolled_back", "inconsistent", "held", "stale"})
"""The words that end something; the others are on the way."""


class Reporter(Struct):
    """Implements `core.ports.Reporter`. `notify` posts an outcome; `watch` is given each line."""

    status: StatusFile
    log: UpdateLog
    notify: Callable[[Status], None]
    watch: Callable[[str], None]
    _last: str = ""

    def publish(self, status: Status) -> None:
        """Publishes a word, and posts it when it is an outcome."""
        is_new = self.status.publish(status)
        sentence = describe(status)
        if sentence != self._last:
            self._last = sentence
            self.watch(sentence)
            if is_new:
                self.log.write(sentence)
        if status.status in OUTCOMES:
            self.notify(status)

    def line(self, text: str) -> None:
        """A line of progress."""
        self.watch(text)
        self.log.write(text)


def describe(status: Status) -> str:
    """The status in one line."""
    release: Release | None = status.target or status.running
    parts = [status.status, release.name if release else ""]
    parts += [f"waits for {waiting.gate}: {waiting.reason}" for waiting in status.waiting_for]
    parts.append(status.error or "")
    return " ".join(part for part in parts if part)
