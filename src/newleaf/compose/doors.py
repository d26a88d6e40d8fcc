"""`newleaf.doors()`: what chats, HTTP and webhooks need of this host, put together."""

from __future__ import annotations

import logging
import os
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from newleaf.agent.asking import ByProcess, ByUpdater, Submits, VerbProcess
from newleaf.agent.attempt_process import inherited
from newleaf.agent.desk import Doors, EndedLines
from newleaf.agent.missions.door import MissionDoor, Wants
from newleaf.compose import host
from newleaf.compose.host import Host, now
from newleaf.core.errors import NewleafError
from newleaf.core.releases.channels import Rule
from newleaf.core.settings.fragments import Fragment, GivenSettings
from newleaf.system.commands import Runner
from newleaf.system.git.environment import read_token
from newleaf.system.orders import Orders
from newleaf.system.place import Unnamed, current_folder
from newleaf.update.history import History

__all__ = ["Doors", "doors", "doors_of", "meant"]

LIMIT_SECONDS = 48 * 3600.0
"""Of a verb: longer than an attempt can take by its own limits (lessons.md L22)."""
KEPT_BYTES = 4 * 1024 * 1024


class InThisProcess(Submits, Wants, Protocol):
    """A `newleaf.Updater`."""


def doors(
    name: str | None = None, settings: GivenSettings | None = None, updater: InThisProcess | None = None
) -> Doors:
    """The doors of the app that is meant, as its settings open them: found by its tree, or by `name`.

    Updates are made by `updater`, a `newleaf.Updater` of this process, else each by a process of its own.
    Raises: UsageError and its kin when it cannot be told which app, or its settings are wrong.
    """
    return doors_of(meant(name, settings), updater)


def meant(name: str | None = None, settings: GivenSettings | None = None) -> Host:
    """The app that is meant on this host: found by this program's tree, or by `name`.

    Raises: UsageError and its kin when it cannot be told which app, or its settings are wrong.
    """
    from newleaf.compose import own_tree

    given = settings.fragment if settings else Fragment()
    said = given.inputs.get("app.name")
    selection = Unnamed(app=name or (said.value if said else None))
    return host(selection, given, own_tree() or current_folder(), makes=False)


def doors_of(found: Host, updater: InThisProcess | None = None) -> Doors:
    """The doors of an app whose settings are read. Raises: UsageError and its kin when they are wrong."""
    history = found.state / "history.jsonl"
    lines = EndedLines(history, lambda: [entry.line for entry in History(history).entries()])
    looks = ByProcess(found.state, _verbs(found), lines, _status_of(found), now)
    chat, http = found.settings.chat, found.settings.http
    return Doors(
        found.state,
        Orders(found.state),
        ByUpdater(updater, looks) if updater else looks,
        lines,
        now,
        lambda: uuid.uuid4().hex,
        rule=_rule(found),
        chats=frozenset(map(str, chat.chats)),
        telegram_token=_secret(chat.telegram_token_file),
        token=_secret(http.token_file),
        webhook_secret=_secret(http.webhook_secret_file),
        missions=_missions(found),
        restarts=updater,
    )


def _missions(found: Host) -> Callable[[], MissionDoor]:
    def open_door() -> MissionDoor:
        from newleaf.compose.missions import mission_door

        return mission_door(found)

    return open_door


def _verbs(found: Host) -> VerbProcess:
    # -P: what lies in the folder that one stands in, an app's, must never be taken for a part of newleaf.
    argv = (sys.executable, "-P", "-m", "newleaf", "--state-dir", str(found.state))
    folder = found.state if found.place.has_slots else found.place.folder
    return VerbProcess(argv, folder, inherited(os.environ), LIMIT_SECONDS, Runner(kept_bytes=KEPT_BYTES))


def _status_of(found: Host) -> Callable[[], Mapping[str, Any]]:
    # What it loads is loaded now: after a checkout in place it would be another release's (lessons.md L25).
    status_file, unknown = found.status_file, found.unknown_status
    unknown()
    return lambda: status_file.current(unknown())


def _rule(found: Host) -> Rule:
    deployment, source = found.settings.deployment, found.settings.source
    return Rule(
        channel=deployment.channel,
        branch=source.branch,
        tag_prefix=source.tag_prefix,
        pinned_minor=deployment.pinned_minor,
        prereleases=deployment.prereleases,
    )


def _secret(named: str | None) -> Callable[[], str | None]:
    """What reads a secret's file whenever it is needed; a door whose file cannot be used is shut (L40)."""
    if not named:
        return lambda: None
    path, told = Path(named).expanduser(), set[str]()

    def read() -> str | None:
        try:
            return read_token(path)
        except NewleafError as error:
            if error.message not in told:
                told.add(error.message)
                logging.getLogger("newleaf").warning("a door is shut: %s", error.message)
            return None

    return read
