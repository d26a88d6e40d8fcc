"""When the agent beside the daemon is started again; it never takes the daemon with it. Standard library."""

from __future__ import annotations

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 60.0
STEADY_SECONDS = 10.0
"""Who lived so long did not fail at its start."""


class Companion:
    """The agent. `wanted` is False once the daemon says that it has one inside; times of the steady clock."""

    def __init__(self, *, wanted: bool) -> None:
        self.wanted = wanted
        self.began: float | None = None
        self.start_at = 0.0
        self.short_lives = 0

    @property
    def runs(self) -> bool:
        return self.began is not None

    def is_due(self, now: float) -> bool:
        """Whether it is to be started."""
        return self.wanted and not self.runs and now >= self.start_at

    def started(self, now: float) -> None:
        """It runs."""
        self.began = now

    def ended(self, now: float) -> None:
        """It has ended, or could not be started: it comes back, later each time it fails early."""
        lived = 0.0 if self.began is None else now - self.began
        self.began = None
        self.short_lives = 0 if lived >= STEADY_SECONDS else self.short_lives + 1
        pause = FIRST_SECONDS * 2.0 ** min(max(self.short_lives - 1, 0), 16)
        self.start_at = now + min(LONGEST_SECONDS, pause)
