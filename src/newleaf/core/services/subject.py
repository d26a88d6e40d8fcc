"""What a service is made from: the wish, the settings, and the facts of the host.

Rules: under the launcher unless `restart.mode` says another way; a file of newleaf's begins with `MARK`, by
which it is known again. What a service's file says of times is longer than what newleaf and the daemon take
inside of it (lessons.md L22). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from newleaf.core.durations import Rate, parse_rate
from newleaf.core.services.service_errors import ServiceTextUnfit
from newleaf.core.services.timer import Timer
from newleaf.core.settings.model import Settings

Manager = Literal["systemd", "launchd"]

MARK = "Written by newleaf: `newleaf service uninstall` takes it away."
MARK_WITHIN = 600
"""So near to a file's beginning the mark stands."""
MARGIN_SECONDS = 10
"""By how much the service manager is more patient than the launcher."""
BARE_MODES = ("exit", "sigterm", "command", "none")
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class Wish(Struct, frozen=True):
    """What was asked for."""

    manager: Manager
    is_system: bool = False
    timer: Timer | None = None
    has_socket: bool = False


class Subject(Struct, frozen=True):
    """The app, as far as a service manager is concerned.

    `newleaf` starts newleaf; `command` is `app.command` with the whole path of its program, `variables` what
    that is started with; `search` is the PATH. `settings` are those of the files: nothing is resolved, so
    that a `restart.mode` which nobody has set is `auto`.
    """

    settings: Settings
    newleaf: tuple[str, ...]
    state: Path
    folder: Path
    user: str
    home: Path
    search: str
    command: tuple[str, ...] = ()
    variables: Mapping[str, str] = {}

    @property
    def app(self) -> str:
        return self.settings.app.name

    @property
    def is_bare(self) -> bool:
        """Whether the service manager runs the daemon itself, without the launcher."""
        return self.settings.restart.mode in BARE_MODES

    @property
    def restarts_always(self) -> bool:
        """Whether an end that looks like success is followed by a start, too (lessons.md L28).

        A daemon that newleaf ends by a signal leaves as if it were no longer wanted.
        """
        return self.is_bare and (
            self.settings.restart.mode == "sigterm" or self.settings.restart.exit_code == 0
        )

    @property
    def budget(self) -> Rate:
        """How often it may be started anew."""
        return parse_rate(self.settings.restart.budget)

    @property
    def start_seconds(self) -> int:
        """Longer than the launcher takes to try a release as often as it may, and to go back."""
        health = self.settings.health
        tries = health.max_starts * (health.ready + self.settings.app.stop_seconds)
        return _whole(tries + health.ready) + MARGIN_SECONDS

    @property
    def stop_seconds(self) -> int:
        """For the launcher longer than it gives the daemon; a bare daemon has what was said."""
        seconds = _whole(self.settings.app.stop_seconds)
        return max(1, seconds) if self.is_bare else seconds + MARGIN_SECONDS

    def verb(self, *words: str) -> tuple[str, ...]:
        """The words that call a verb of this newleaf, for this app."""
        return (*self.newleaf, "--state-dir", str(self.state), *words)


class ServiceFile(Struct, frozen=True):
    """A file for the service manager; one that `is_started` is enabled and started by its name."""

    name: str
    content: bytes
    is_started: bool = False


def is_own(content: bytes) -> bool:
    """Whether newleaf wrote this."""
    return MARK.encode() in content[:MARK_WITHIN]


def require_fit(text: str) -> str:
    """`text`, when every service manager can read it.

    Raises: ServiceTextUnfit.
    """
    if _UNFIT.search(text):
        raise ServiceTextUnfit(text=text, reason="it holds a control character, or is not UTF-8")
    return text


def _whole(seconds: float) -> int:
    return int(-(-seconds // 1))
