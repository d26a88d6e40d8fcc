"""The one place where parts are put together, for the command line and for daemons.

`host()` finds the app that is meant and reads its settings; the rest is made when it is first
asked for, and its modules are loaded then, so that a verb pays for what it uses only.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from newleaf.compose.host import Host
from newleaf.core.settings.fragments import Fragment, Sources
from newleaf.system import files
from newleaf.system.configuration import read_sources
from newleaf.system.loaded_tree import RELEASE_RECORD
from newleaf.system.place import (
    Place,
    Selection,
    Unnamed,
    current_folder,
    find_place,
    in_trial,
    is_deployed,
    own_tree,
)

if TYPE_CHECKING:
    from newleaf.compose.laid import Laid
    from newleaf.core.release import Release
    from newleaf.core.settings.fragments import GivenSettings
    from newleaf.system.known_apps import KnownApp

__all__ = ["Host", "host", "is_deployed", "own_tree", "ready"]


def host(
    selection: Selection,
    code: Fragment | None = None,
    folder: Path | None = None,
    *,
    of_owner: bool = False,
    makes: bool = True,
) -> Host:
    """The host's side of the app that is meant, standing in `folder` (the current one).

    With `of_owner` root may look at an app of another user's. Without `makes` no state directory is made
    where there is none: whoever only develops the app gets none by running it. The app's own code asks like
    this, also when its first release is tried, and nothing is live yet.

    Raises: UsageError and its kin when it cannot be told which, or its settings are wrong; where nothing says
    the settings, NothingDeployed (slots were begun, and their first release refused) or CurrentLost (the live
    one was removed).
    """
    standing = folder or current_folder()
    place = find_place(selection, standing, os.environ, noted)
    if not makes:
        place = in_trial(place, standing)
    if makes or is_deployed(place.state):
        files.prepare_state_directory(place.state, of_owner=of_owner)
    kept = None if place.has_slots else _app_file_amid_move(place)
    sources = read_sources(None if kept is not None else place.app_file, place.host_file, os.environ)
    if kept is not None:
        sources = sources.with_app_file(kept, str(place.app_file))
    given = Sources(sources.app, sources.host, code or sources.code, sources.environment)
    is_told = given.says("app.name") or (place.top / RELEASE_RECORD).is_file()
    if place.has_slots and not is_told:
        from newleaf.core.releases.slot_errors import CurrentLost, NothingDeployed

        if not os.path.lexists(place.top):
            raise NothingDeployed(state=place.state)
        releases = place.state / "releases"
        raise CurrentLost(link=place.top, releases=releases, reason=f"{place.top.resolve()} holds none")
    return Host(place, given, lay_slots if place.has_slots else lay_in_place)


def _app_file_amid_move(place: Place) -> bytes | None:
    """The app's file as it lay there before a move of the checkout that was killed; None where none was.

    What lies there now may be gone, or be half of it: the next update must be able to put that right.
    """
    if not os.path.lexists(place.state / "git" / "move.json"):
        return None
    from newleaf.compose.in_place import app_file_amid_move

    return app_file_amid_move(place, os.environ)


def lay_in_place(host: Host) -> Laid:
    """A checkout that moves."""
    from newleaf.compose.in_place import InPlaceLaid

    return InPlaceLaid(host)


def lay_slots(host: Host) -> Laid:
    """A folder for each release."""
    from newleaf.compose.slots import SlotsLaid

    return SlotsLaid(host)


def ready(settings: GivenSettings | None = None) -> None:
    """The daemon serves now: records its pid and the commit that it has loaded, and tells who started it.

    The commit is that of the tree which the program was started from, as of its start. On a machine
    where newleaf does not deploy this tree nothing is recorded; under a launcher the launcher records, and is
    told the commit. What goes wrong is logged, never raised, because a daemon must not die of its report.
    """
    from newleaf.system.go import is_launched
    from newleaf.system.notify_socket import notify

    launched = is_launched()
    loaded = _report(settings, launched=launched)
    message = {"READY": "1"}
    if launched and loaded:
        message["X_NEWLEAF_COMMIT"] = loaded.commit
    notify(message)


def _report(settings: GivenSettings | None, *, launched: bool) -> Release | None:
    """What this process has loaded, None when that is unknown; recorded, unless it is launched."""
    import logging

    from newleaf.core.errors import NewleafError

    try:
        tree = own_tree()
        if tree is None:
            return None
        place = find_place(Unnamed(), tree, os.environ, noted)
        if is_deployed(place.state):
            found = host(Unnamed(), settings.fragment if settings else None, tree)
            status = found.settings.status
            if status.redis_url:
                from newleaf.compose.mirroring import daemon_mirror

                found.mirror = daemon_mirror(found.state, status, logging.getLogger("newleaf").warning)
            readiness, attempts = found.readiness(tree), found.journal().attempts
            return readiness.loaded(attempts) if launched else readiness.report(attempts)
    except NewleafError as error:
        logging.getLogger("newleaf").warning("not reported as ready: %s %s", error.message, error.advice)
    except OSError as error:
        logging.getLogger("newleaf").warning("not reported as ready: %s", error)
    return None


def noted() -> list[KnownApp]:
    """The apps that `init` has noted on this machine."""
    from newleaf.system.known_apps import known_apps, notes_folder

    return known_apps(notes_folder())
