"""The agent beside or inside a daemon, put together: made anew from settings that are read anew."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from newleaf.agent.announcements import Announcements
from newleaf.agent.attempt_process import AttemptProcess
from newleaf.agent.beside import DAEMON, DECISIONS, JOURNAL, SETTINGS, Beside, BesideParts
from newleaf.agent.children import Children
from newleaf.agent.outlook import Outlook
from newleaf.compose.host import Host
from newleaf.compose.mirroring import Following
from newleaf.core.releases.polling import Interval
from newleaf.system.commands import Runner
from newleaf.system.restarts import DAEMON_RECORD
from newleaf.update.journal import JOURNAL_FILE

SPREAD_SECONDS = 30.0
"""How far apart hosts look at the remote that have heard of a release."""
SLACK_SECONDS = 24 * 3600.0
KEPT_BYTES = 1024 * 1024
"""Of the answer of an attempt."""


def beside(
    make_host: Callable[[], Host],
    words: Sequence[str],
    children: Children,
    following: Following,
    say: Callable[[str], None],
) -> Beside:
    """The agent of one app. `words` follow `newleaf` in the call of each attempt and say which app is meant.

    Raises: UsageError and its kin when the settings cannot be used now; later that is said only.
    """

    def read() -> BesideParts:
        # A host's parts know each other: by itself Python would keep hundreds of them before it looks.
        gc.collect()
        calls = Calls(words, Path.cwd(), os.environ, children, following)
        return parts(make_host(), calls, children, say)

    return Beside(read, say, read())


class Calls(Struct, frozen=True):
    """How attempts are called: which app is meant, where, in which environment, and who remembers them."""

    words: Sequence[str]
    folder: Path
    env: Mapping[str, str]
    children: Children
    following: Following


def parts(host: Host, calls: Calls, looks: Children, say: Callable[[str], None]) -> BesideParts:
    """What the settings of `host` decide; `looks` remembers what looking at the remote starts.

    Raises: UsageError and its kin.
    """
    from newleaf.compose.watching import watcher

    host.runner.on_start = looks.note
    host.mirror = calls.following.follow(host.state, host.settings.status)
    watch = host.settings.watch
    # -P: what lies in the folder that one stands in, an app's, must never be taken for a part of newleaf.
    argv = (sys.executable, "-P", "-m", "newleaf", *calls.words)
    runner = Runner(on_start=calls.children.note, kept_bytes=KEPT_BYTES)
    attempts = AttemptProcess(argv, calls.folder, dict(calls.env), _limit_seconds(host), runner)
    return BesideParts(
        watcher(host, say),
        attempts,
        _outlook(host),
        Interval(watch.poll_seconds, watch.jitter),
        _announcements(host),
    )


def _announcements(host: Host) -> Announcements | None:
    """What hosts tell each other, where there is a bus."""
    settings = host.settings
    if not settings.fleet.redis_url:
        return None
    from newleaf.compose.missions import room

    spread = min(SPREAD_SECONDS, settings.watch.poll_seconds)
    return Announcements(settings.app.computer_name, settings.deployment.channel, lambda: room(host), spread)


def _outlook(host: Host) -> Outlook:
    place, state = host.place, host.state
    return Outlook(
        state,
        {
            SETTINGS: (place.app_file, place.host_file),
            DECISIONS: (state / "decisions.json", place.host_file),
            JOURNAL: (state / JOURNAL_FILE,),
            DAEMON: (state / DAEMON_RECORD,),
        },
        lambda: host.journal().open_attempt,
    )


def _limit_seconds(host: Host) -> float:
    """Longer than an attempt can take by its own limits (L22), several migrations and a way back included."""
    update, health = host.settings.update, host.settings.health
    limits = (
        *(update.fetch_timeout, update.install_timeout, update.migrate_timeout, update.preflight_timeout),
        *(health.ready * health.max_starts, health.probation, host.settings.app.stop_seconds),
    )
    return SLACK_SECONDS + 2 * sum(limits)
