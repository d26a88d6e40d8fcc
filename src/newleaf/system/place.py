"""Where the host's app lives: its state directory, its checkout, and the files that set it up.

Rules: the app is named by `--state-dir` or NEWLEAF_STATE_DIR, else by `--app`, else by the newleaf.toml
of the checkout or release that one stands in, else it is the app that `init` has noted for this checkout, or
the only app noted. Where releases lie in slots, the app is what `current` leads to, wherever one stands; else
the checkout is the one that the state directory remembers, else the one that one stands in.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from msgspec.structs import replace

from newleaf.core.errors import UsageError, WrongApp
from newleaf.core.place_errors import (
    AppNotHere,
    AppUnknown,
    CheckoutMoved,
    CheckoutUnknown,
    FolderGone,
)
from newleaf.core.settings.fragments import APP_FILE, HOST_FILE, raise_problems
from newleaf.system import files
from newleaf.system.configuration import read_file
from newleaf.system.loaded_tree import RELEASE_RECORD, find_tree

if TYPE_CHECKING:
    from newleaf.system.known_apps import KnownApp

IDENTITY = "identity.json"
CURRENT = "current"
SLOTS = "slots"
STATE_VARIABLE = "NEWLEAF_STATE_DIR"
_KEPT = (IDENTITY, HOST_FILE, "status.json", "watch.json", "decisions.json")
"""One of these lies in every state directory in which a verb has done anything."""
_APP_NAME = re.compile(r"[a-z][a-z0-9_-]*\Z")


class Selection(Protocol):
    """What the caller says of which app is meant."""

    app: str | None
    state_dir: Path | None
    config: Path | None


class Unnamed(Struct):
    """No word on which app is meant: a daemon's own, by its environment or its tree."""

    app: str | None = None
    state_dir: Path | None = None
    config: Path | None = None


class Place(Struct, frozen=True):
    """Where one app lives. `folder` is the app's own inside `top`, which is the checkout, or `current`."""

    state: Path
    top: Path
    folder: Path
    app_file: Path
    host_file: Path
    name: str | None = None
    """As the files say it; None when only the settings as a whole can tell."""
    has_slots: bool = False


class Standing(Struct, frozen=True):
    """The checkout or release that one stands in; `state` is the state directory that a release lies in."""

    top: Path
    folder: Path
    name: str | None
    state: Path | None = None


def current_folder() -> Path:
    """The folder in which this process stands.

    Raises: FolderGone.
    """
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise FolderGone from error


def own_tree() -> Path | None:
    """The tree that this program was started from.

    Raises: FolderGone.
    """
    program = getattr(sys.modules.get("__main__"), "__file__", None)
    # As it was called first: a program of an environment is known by the release that links to it.
    ways = [path.parent for path in (Path(program).absolute(), Path(program).resolve())] if program else []
    return next(filter(None, map(find_tree, [*ways, current_folder()])), None)


def is_deployed(state: Path) -> bool:
    """Whether newleaf deploys the app with this state directory on this machine."""
    return state.is_dir() or bool(os.environ.get(STATE_VARIABLE))


def find_place(
    selection: Selection, folder: Path, environ: Mapping[str, str], noted: Callable[[], list[KnownApp]]
) -> Place:
    """The app that is meant, standing in `folder`; `noted` is asked only when nothing else says.

    Raises: AppUnknown, AppNotHere, CheckoutUnknown, CheckoutMoved, CorruptFile, and what is wrong
    with settings.
    """
    config = selection.config.absolute() if selection.config else None
    own_file = config if config and config.name != HOST_FILE else None
    standing = find_standing(folder)
    if own_file:
        around = find_standing(own_file.parent) or standing
        standing = around and replace(around, name=_name_in(own_file) or around.name)
    explicit = selection.state_dir or (Path(found) if (found := environ.get(STATE_VARIABLE)) else None)
    if standing and standing.state and not selection.app:
        explicit = explicit or standing.state
    if explicit:
        state, name = explicit.expanduser().absolute(), None
    else:
        state, name = _by_name(selection.app, standing, environ, noted)
    slots = find_slots(state)
    top, inner = slots or _checkout(state, standing, by_standing=not (explicit or selection.app))
    app_file = own_file or inner / APP_FILE
    host_file = config if config and config.name == HOST_FILE else state / HOST_FILE
    return Place(state, top, inner, app_file, host_file, name or _name_in(app_file), slots is not None)


def in_trial(place: Place, folder: Path) -> Place:
    """The place as the first release finds it that is tried before any is live, standing in `folder`."""
    standing = find_standing(folder) if place.has_slots and not os.path.lexists(place.top) else None
    if standing is None or standing.state is None or not standing.state.samefile(place.state):
        return place
    app_file = standing.folder / APP_FILE
    return replace(
        place,
        top=standing.top,
        folder=standing.folder,
        app_file=app_file,
        name=place.name or _name_in(app_file),
    )


def find_slots(state: Path) -> tuple[Path, Path] | None:
    """`current` and the app's folder in it, where the app of a state directory has release slots.

    Raises: CorruptFile, NewerSchema.
    """
    record = files.read_record(state / IDENTITY) or {}
    if record.get("layout") != SLOTS:
        return None
    top, inner = state / CURRENT, str(record.get("folder", "."))
    return top, top if inner == "." else top / inner


def find_standing(folder: Path) -> Standing | None:
    """The checkout or release around `folder`; its app is the one of the nearest newleaf.toml in it."""
    inner: Path | None = None
    for candidate in (folder, *folder.parents):
        if inner is None and (candidate / APP_FILE).is_file():
            inner = candidate
        is_release = (candidate / RELEASE_RECORD).is_file()
        if is_release or (candidate / ".git").exists():
            place = inner or candidate
            state = candidate.resolve().parent.parent if is_release else None
            return Standing(candidate, place, _name_in(place / APP_FILE), state)
    return None


def record_identity(place: Place, name: str) -> None:
    """The host's app, and where it lies, are recorded once and hold from then on.

    Raises: WrongApp, CorruptFile, NewerSchema.
    """
    path = place.state / IDENTITY
    record = files.read_record(path) or {}
    expected = record.get("app", name)
    if expected != name:
        raise WrongApp(name=place.app_file, found=name, expected=expected)
    folder = place.folder.relative_to(place.top).as_posix()
    where = {"layout": SLOTS} if place.has_slots else {"checkout": str(place.top)}
    known = {"app": name, **where, "folder": folder}
    if any(record.get(key) != value for key, value in known.items()):
        files.write_record(path, {**record, **known})


def _by_name(
    app: str | None,
    standing: Standing | None,
    environ: Mapping[str, str],
    noted: Callable[[], list[KnownApp]],
) -> tuple[Path, str]:
    by_settings = environ.get("NEWLEAF_APP__NAME") or (standing.name if standing else None)
    name = app or by_settings
    if name and _APP_NAME.match(name):
        usual = Path.home() / f".{name}"
        apps = [known for known in noted() if known.name == name] if not usual.is_dir() else []
        if len(apps) == 1:
            return apps[0].state_dir, name
        if name == by_settings or _is_state(usual):
            return usual, name
    if app:
        raise AppNotHere(name=app, listed=_listed(noted()))
    if standing:
        # A file that cannot be read names no app: what is wrong with it helps more than asking for a name.
        fragment = read_file(standing.folder / APP_FILE, tracked=True)
        if fragment.problems:
            raise_problems(fragment.problems)
    apps = noted()
    here = [known for known in apps if standing and known.checkout == standing.top.resolve()]
    meant = here or apps
    if len(meant) == 1:
        return meant[0].state_dir, meant[0].name
    raise AppUnknown(listed=_listed(apps))


def _listed(apps: list[KnownApp]) -> str:
    return ", ".join(f"{known.name} ({known.state_dir})" for known in apps) or "none"


def _is_state(folder: Path) -> bool:
    """Whether newleaf, or the host's owner, has set up a state directory there."""
    return any((folder / name).exists() for name in _KEPT)


def _checkout(state: Path, standing: Standing | None, *, by_standing: bool) -> tuple[Path, Path]:
    record = files.read_record(state / IDENTITY) or {}
    known = record.get("checkout")
    top = Path(known) if known and isinstance(known, str) else None
    if top is not None and (top / ".git").exists():
        if by_standing and standing and standing.top.resolve() != top.resolve():
            raise CheckoutMoved(known=top, here=standing.top, identity=state / IDENTITY)
        inner = top / str(record.get("folder", "."))
        return top, inner
    if standing is None:
        raise CheckoutUnknown(state=state)
    return standing.top, standing.folder


def _name_in(app_file: Path) -> str | None:
    """The app's name, as far as the file can be read; what is wrong with it the settings will say."""
    try:
        found = read_file(app_file, tracked=True).inputs.get("app.name")
    except UsageError:
        return None
    return found.value if found and isinstance(found.value, str) else None
