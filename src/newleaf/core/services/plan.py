"""The plan of a service: which files say what, and what cannot be. Pure."""

from __future__ import annotations

from newleaf.core.services import launchd_plists, systemd_units
from newleaf.core.services.service_errors import (
    NothingToListenAt,
    NothingToRun,
    SocketsNeedSystemd,
)
from newleaf.core.services.subject import Manager, ServiceFile, Subject, Wish


def make_plan(subject: Subject, wish: Wish) -> tuple[ServiceFile, ...]:
    """The files, in the order in which they are started.

    Raises: NothingToRun, NothingToListenAt, SocketsNeedSystemd, ListenUnfit, ServiceTextUnfit.
    """
    if not subject.settings.app.command and (wish.has_socket or not wish.timer):
        raise NothingToRun
    if wish.has_socket and wish.manager == "launchd":
        raise SocketsNeedSystemd
    if wish.has_socket and not subject.settings.app.listen:
        raise NothingToListenAt
    render = systemd_units.render if wish.manager == "systemd" else launchd_plists.render
    return tuple(render(subject, wish))


def names_of(app: str, manager: Manager) -> tuple[str, ...]:
    """Every file that newleaf may have written for the app, in the order in which they are taken away."""
    return systemd_units.names(app) if manager == "systemd" else launchd_plists.names(app)


def belongs_to(content: bytes, subject: Subject) -> bool:
    """Whether a file of newleaf's is this app's, and not that of another one of the same name."""
    marks = (systemd_units.state_line(subject) + "\n", launchd_plists.state_text(subject))
    return any(mark.encode() in content for mark in marks)
