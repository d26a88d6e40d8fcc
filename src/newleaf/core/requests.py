"""What a trigger asks for: one record, whoever asks."""

from __future__ import annotations

from msgspec import Struct

BY_HAND = "command line"

AGENTS_ORIGINS = ("poll", "signal", "owed", "decision")
"""Why the agent asks: it looked, a signal was written, an attempt was left open, a person has decided."""
ASKED_ORIGINS = ("app", "chat", "http", "webhook", "mission")
"""Who asks the agent inside a daemon: the app's own code, or somebody by way of it."""


class Request(Struct, frozen=True):
    """An update that somebody, or something, asks for.

    `origin` names the asker for the lock and the log. `to` is a version or a commit, `branch` another branch
    for this one attempt. `now` skips the window, age and cooldown gates, `force_busy` the idle gate.
    `wait_seconds` is how long to wait for the new process to report.
    """

    origin: str = BY_HAND
    to: str | None = None
    branch: str | None = None
    now: bool = False
    force_busy: bool = False
    wait_seconds: float = 0.0

    @property
    def is_special(self) -> bool:
        """Whether it means something else than the channel's target."""
        return self.to is not None or self.branch is not None
