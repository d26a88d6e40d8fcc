"""Who is told what happens on a host, put together: the status file, the log, a watcher, addresses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from newleaf.agent.reporter import Reporter
from newleaf.agent.status import StatusFile
from newleaf.agent.update_log import UpdateLog

if TYPE_CHECKING:
    from newleaf.core.records import Status
    from newleaf.core.settings.sections import Notify
    from newleaf.system.http import HttpClient


class Ears(Struct, frozen=True):
    """Where words go. `watch` is given each line; `http` is asked for when something is posted."""

    state: Path
    status: StatusFile
    notify: Notify
    http: Callable[[], HttpClient]
    watch: Callable[[str], None]


def reporter(ears: Ears, now: Callable[[], datetime]) -> Reporter:
    """Tells all of them."""

    def post(status: Status) -> None:
        if ears.notify.urls:
            from newleaf.agent.notices import Notices
            from newleaf.agent.watch_file import WatchFile

            urls, allowed = tuple(ears.notify.urls), frozenset(ears.notify.allow_private)
            Notices(urls, allowed, ears.http(), WatchFile(ears.state), made.line).post(status)

    made = Reporter(ears.status, UpdateLog(ears.state, now), post, ears.watch)
    return made
