"""What the update transaction needs of the outside, as Protocols; `system` and `update` implement them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from newleaf.core.records import AttemptRecord, Status, Waiting
from newleaf.core.release import Release
from newleaf.core.requests import Request

if TYPE_CHECKING:
    from newleaf.core.releases.channels import Choice

OnLine = Callable[[str], None]
"""Is given each line of progress."""


class Source(Protocol):
    """Where releases come from: the remote, and the objects already fetched."""

    def resolve(self, request: Request, live: Release) -> Choice:
        """What the channel, or the request, names now."""
        ...

    def fetch(self, target: Release) -> Release:
        """Brings the target's objects here, nothing else; returns it with the version that its tree says."""
        ...

    def verify(self, target: Release, *, sideways: bool) -> None:
        """Refuses what policy refuses; `sideways` allows a target that does not descend from what is live."""
        ...

    def commits(self, start: Release, target: Release) -> tuple[int, tuple[tuple[str, str], ...]]:
        """How many commits lie between the two, and the newest of them as (id, subject)."""
        ...


class Layout(Protocol):
    """How releases lie on disk. Every method may be called again after a kill, with the same effect."""

    def live(self) -> Release:
        """What a start of the daemon would load now."""
        ...

    def stage(self, release: Release) -> None:
        """Makes the release ready beside the live one, touching nothing live."""
        ...

    def place(self, release: Release, *, sideways: bool) -> None:
        """Moves the live tree to the release, where the layout has only one tree."""
        ...

    def activate(self, release: Release) -> list[str]:
        """Makes the release the one that a start of the daemon loads; returns what people should know."""
        ...


class Housekeeping(Protocol):
    """What may be done once the host has arrived."""

    def tidy(self) -> list[str]:
        """Makes room, now that nobody waits; returns what people should know, and never fails."""
        ...


class Environment(Protocol):
    """The dependencies that a release runs with."""

    def owed(self) -> str | None:
        """Why the installed dependencies are not what the tree asks for; None when they are."""
        ...

    def install(self, on_line: OnLine) -> None:
        """Makes the installed dependencies what the tree asks for."""
        ...

    def attach(self) -> None:
        """Lets the release run with what is installed, where it is not so by lying there."""
        ...


class Preflight(Protocol):
    """Tries a release beside the live one."""

    def run(self, on_line: OnLine) -> str:
        """Proves that the release can be started; returns a line for people, empty when nothing is named."""
        ...


class Pending(Struct, frozen=True):
    """The migrations that will run, and those among them that need the daemon stopped.

    `declared` says whether there is data to keep before they do, `is_online` that all are declared safe
    beside the old release.
    """

    names: tuple[str, ...] = ()
    offline: tuple[str, ...] = ()
    declared: bool = False
    is_online: bool = False

    @property
    def need_stop(self) -> bool:
        """Whether the daemon is stopped first, by who can: so that what is kept and what is used agree."""
        return bool(self.offline) or (bool(self.names) and self.declared and not self.is_online)


class Data(Protocol):
    """The app's data on its way from one release to the next."""

    def pending(self) -> Pending:
        """What is left to migrate."""
        ...

    def snapshot(self) -> str:
        """Keeps the declared data as it is now; returns a line for people, empty when none is declared."""
        ...

    def migrate(self, on_line: OnLine) -> tuple[str, ...]:
        """Runs what is pending; returns the names of what ran."""
        ...

    def restore(self) -> str:
        """Puts the kept data back; returns where what was written meanwhile lies now."""
        ...


class Restarted(Struct, frozen=True):
    """What came of asking for a restart: done, nothing to restart (`skipped`), or why it is still `owed`."""

    detail: str = ""
    skipped: bool = False
    owed: bool = False


class Restarts(Protocol):
    """How the daemon comes to run the new release, and how it reports."""

    def daemon_runs(self) -> bool:
        """Whether a process that has reported itself is alive."""
        ...

    def restart(self, attempt: AttemptRecord) -> Restarted:
        """Asks for the restart, unless a process that started since then has reported already."""
        ...

    def running(self) -> Release | None:
        """What the live process reported; None when none has."""
        ...

    def await_report(self, attempt: AttemptRecord, seconds: float) -> bool:
        """Waits until a process started after the attempt's restart reports the target."""
        ...


class Launcher(Protocol):
    """Who starts the daemon, stops it, and judges a release by how it runs."""

    def hold(self, attempt: AttemptRecord) -> None:
        """Stops the daemon, until it is handed over or freed."""
        ...

    def hand_over(self, attempt: AttemptRecord, on_stopped: Callable[[], None]) -> str | None:
        """Runs the attempt's release and judges it; why it is not kept, None when it is confirmed.

        `on_stopped` is called once the old process may not hinder the new one any more.
        """
        ...

    def free(self) -> None:
        """Has what lies there now run, where something was held or a release was not kept."""
        ...


class Gates(Protocol):
    """The conditions on touching anything live, and on restarting."""

    def judge(self, attempt: AttemptRecord, request: Request, before: str) -> tuple[Waiting, ...]:
        """The gates that do not hold now, before the install or before the restart."""
        ...

    def quiet(self) -> AbstractContextManager[None]:
        """Keeps new jobs from starting while the live tree is changed."""
        ...

    def let_jobs_go(self) -> None:
        """Ends the quiet before its time."""
        ...

    def release(self) -> None:
        """Gives back what was taken for the attempt (the lease)."""
        ...


class Reporter(Protocol):
    """Who is told what happens: the terminal, the status file, the log, the notices."""

    def publish(self, status: Status) -> None:
        """A new status word."""
        ...

    def line(self, text: str) -> None:
        """A line of progress."""
        ...


class Updates(Protocol):
    """Who makes an update for somebody who asks, and says how the host stands; never blocks an event loop."""

    async def request(self, request: Request) -> Mapping[str, Any]:
        """What came of an update: the record of `newleaf update --json`, whoever's attempt it was (L36)."""
        ...

    async def rollback(self) -> Mapping[str, Any]:
        """What came of going back: the record of `newleaf rollback --json`."""
        ...

    async def status(self) -> Mapping[str, Any]:
        """The record of `newleaf status --json`."""
        ...

    async def why(self) -> Mapping[str, Any]:
        """The record of `newleaf why --json`."""
        ...


__all__ = [
    "Data",
    "Environment",
    "Gates",
    "Housekeeping",
    "Launcher",
    "Layout",
    "OnLine",
    "Pending",
    "Preflight",
    "Reporter",
    "Restarted",
    "Restarts",
    "Source",
    "Updates",
]
