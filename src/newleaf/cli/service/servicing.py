"""What `newleaf service` does: what a service is made from, what lies there, and the way to the other."""

from __future__ import annotations

import os
import pwd
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from newleaf.core.errors import ProgramMissing
from newleaf.core.place_errors import AppNotHere
from newleaf.core.services.launchd_plists import LOGS
from newleaf.core.services.plan import belongs_to, make_plan, names_of
from newleaf.core.services.service_errors import ServiceManagerUnknown, ServiceOfAnother
from newleaf.core.services.subject import Manager, ServiceFile, Subject, Wish
from newleaf.core.settings.kinds import NAME
from newleaf.system import services
from newleaf.system.commands import Runner
from newleaf.system.files import PRIVATE_FOLDER
from newleaf.system.launchctl import Launchd
from newleaf.system.services import Found
from newleaf.system.systemctl import Systemd
from newleaf.update.data.migrations import child_environment

if TYPE_CHECKING:
    from newleaf.compose import Host

Action = Literal["write", "keep", "remove"]


class Planned(Struct, frozen=True):
    """What becomes of one file; `is_new` where none lies there yet."""

    path: Path
    action: Action
    content: bytes
    is_new: bool = False


class Place(Struct, frozen=True):
    """A service manager, and the folder where it looks."""

    manager: Systemd | Launchd
    folder: Path
    wish: Wish


class Done(Struct, frozen=True):
    """What was done, and what a person has to do."""

    written: tuple[Path, ...] = ()
    removed: tuple[Path, ...] = ()
    lines: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()


def choose_manager(environ: Mapping[str, str]) -> Manager:
    """The service manager that this machine has. Raises: ServiceManagerUnknown."""
    search = environ.get("PATH", "")
    for manager, program in (("launchd", "launchctl"), ("systemd", "systemctl")):
        if (manager == "launchd") == (sys.platform == "darwin") and services.find_program(program, search):
            return manager  # type: ignore[return-value]
    raise ServiceManagerUnknown


def find_place(wish: Wish, environ: Mapping[str, str], patience_seconds: float = 0.0) -> Place:
    """Where the wish leads to."""
    folder = services.folder_of(wish.manager, Path.home(), environ, is_system=wish.is_system)
    if wish.manager == "systemd":
        return Place(Systemd(Runner(), environ, wish.is_system, patience_seconds), folder, wish)
    return Place(Launchd(Runner(), environ, wish.is_system, folder, patience_seconds), folder, wish)


def subject_of(host: Host, environ: Mapping[str, str]) -> Subject:
    """What a service of this app is made from. Raises: ProgramMissing, SettingsInvalid."""
    settings = host.loaded.settings
    newleaf = services.own_newleaf()
    search = services.search_path(newleaf, environ.get("PATH", ""))
    owner = pwd.getpwuid(host.state.stat().st_uid)
    subject = Subject(settings, newleaf, host.state, host.folder, owner.pw_name, Path(owner.pw_dir), search)
    if not subject.is_bare or not settings.app.command:
        return subject
    program, *rest = settings.app.command
    whole = str(host.folder / program) if "/" in program else services.find_program(program, environ["PATH"])
    if whole is None:
        raise ProgramMissing(program=program)
    facts = {"NEWLEAF_STATE_DIR": str(host.state)}
    variables = child_environment({}, host.folder, settings.app.python_path or (), facts)
    return Subject(
        settings,
        newleaf,
        host.state,
        host.folder,
        owner.pw_name,
        Path(owner.pw_dir),
        search,
        (whole, *rest),
        variables,
    )


def app_named(name: str) -> str:
    """An app's name as it was given. Raises: AppNotHere for what is none."""
    try:
        return str(NAME.read(name))
    except ValueError as error:
        raise AppNotHere(name=name, listed="none of that name") from error


# --- the plan -----------------------------------------------------------------------------


def plan_install(subject: Subject, place: Place) -> tuple[tuple[ServiceFile, ...], tuple[Planned, ...]]:
    """The files that make the service, and what becomes of each file, those to be removed last.

    Raises: ServiceFileForeign, ServiceOfAnother, NothingToRun and its kin.
    """
    made = make_plan(subject, place.wish)
    planned = []
    for file in made:
        found = _require_ours(services.look(place.folder / file.name), subject)
        action: Action = "keep" if found.content == file.content else "write"
        planned.append(Planned(found.path, action, file.content, found.content is None))
    wanted = {file.name for file in made}
    for found in _own(subject.app, place):
        if found.path.name not in wanted:
            _require_ours(found, subject)
            planned.append(Planned(found.path, "remove", found.content or b""))
    return made, tuple(planned)


def plan_uninstall(app: str, place: Place) -> tuple[tuple[Planned, ...], tuple[Found, ...]]:
    """What is removed, and what lies there that is somebody else's."""
    removed = tuple(Planned(found.path, "remove", found.content or b"") for found in _own(app, place))
    looked = (services.look(place.folder / name) for name in names_of(app, place.wish.manager))
    return removed, tuple(found for found in looked if found.foreign)


def _own(app: str, place: Place) -> list[Found]:
    looked = (services.look(place.folder / name) for name in names_of(app, place.wish.manager))
    return [found for found in looked if found.content is not None and not found.foreign]


def _require_ours(found: Found, subject: Subject) -> Found:
    services.require_own(found)
    if found.content is not None and not belongs_to(found.content, subject):
        raise ServiceOfAnother(path=found.path, app=subject.app, state=subject.state)
    return found


# --- carrying it out ----------------------------------------------------------------------


def install(
    subject: Subject, made: tuple[ServiceFile, ...], planned: tuple[Planned, ...], place: Place
) -> Done:
    """Writes what is to be written and has it run, where a service manager can be spoken to.

    Raises: ServiceFolderUnwritable, ServiceManagerFailed.
    """
    removed = uninstall(planned, place).removed
    written = [each for each in planned if each.action == "write"]
    for each in written:
        services.write(each.path, each.content)
    if place.wish.manager == "launchd":
        _make_logs(subject)
    started = [file.name for file in made if file.is_started]
    changed = [each.path.name for each in written]
    paths = tuple(each.path for each in written)
    if not place.manager.runs():
        return Done(paths, removed, (), tuple(_by_hand(subject, started, place)))
    lines = place.manager.activate(started, changed)
    told, steps = _linger(subject, place)
    return Done(paths, removed, (*lines, *told), steps)


def uninstall(planned: tuple[Planned, ...], place: Place) -> Done:
    """Stops and removes what is to be removed. Raises: ServiceFolderUnwritable, ServiceManagerFailed."""
    paths = tuple(each.path for each in planned if each.action == "remove")
    if not paths:
        return Done()
    names = [path.name for path in paths]
    is_spoken_to = place.manager.runs()
    if is_spoken_to:
        place.manager.deactivate(names)
    for path in paths:
        services.remove(path)
    if is_spoken_to:
        place.manager.forget(names)
    return Done(removed=paths)


def _make_logs(subject: Subject) -> None:
    """launchd makes the files of its logs, and not their folder."""
    logs = subject.state / LOGS
    if not logs.is_dir():
        logs.mkdir(mode=PRIVATE_FOLDER)
        owner = subject.state.stat()
        os.chown(logs, owner.st_uid, owner.st_gid)


def _linger(subject: Subject, place: Place) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A user's services end with the last login, unless they are let to linger."""
    manager = place.manager
    if not isinstance(manager, Systemd) or manager.lingers(subject.user):
        return (), ()
    if manager.let_linger():
        return (f"services of {subject.user} run without a login from now on (loginctl enable-linger)",), ()
    return (), (linger_step(subject.user),)


def linger_step(user: str) -> str:
    """What a person types so that it runs without a login."""
    return f"sudo loginctl enable-linger {user}   # else it ends when {user} logs out"


def _by_hand(subject: Subject, started: list[str], place: Place) -> list[str]:
    """What a person types where no service manager can be spoken to."""
    manager = place.manager
    if isinstance(manager, Systemd):
        steps = [manager.line("daemon-reload"), manager.line("enable", "--now", *started)]
        return steps if manager.is_system else [*steps, linger_step(subject.user)]
    paths = [shlex.quote(str(place.folder / name)) for name in started]
    return [manager.line("bootstrap", manager.domain, path) for path in paths]
