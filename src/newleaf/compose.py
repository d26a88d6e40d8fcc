"""The one place where parts are put together, for the command line and for daemons.

`host()` finds the app that is meant and reads its settings; the rest is made when it is first
asked for, and its modules are loaded then, so that a verb pays for what it uses only.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from newleaf.core.errors import RemoteUnknown
from newleaf.core.fragments import Fragment, Sources, load
from newleaf.core.release import CommitId, Release
from newleaf.core.settings import Facts, Settings, resolve
from newleaf.system import files
from newleaf.system.configuration import read_sources
from newleaf.system.place import STATE_VARIABLE, Place, Selection, Unnamed, find_place, record_identity

if TYPE_CHECKING:
    from newleaf.agent.gatekeeper import Gatekeeper
    from newleaf.agent.keeper import Keeper
    from newleaf.agent.naming import NamedInPlace
    from newleaf.agent.origin import Origin
    from newleaf.agent.reporter import Reporter
    from newleaf.agent.status import StatusFile
    from newleaf.core.records import AttemptRecord
    from newleaf.system.commands import Runner
    from newleaf.system.git import Git
    from newleaf.system.http import HttpClient
    from newleaf.system.known_apps import KnownApp
    from newleaf.system.worktree import CheckoutConfig, Worktree
    from newleaf.update.decisions import Decisions
    from newleaf.update.history import History
    from newleaf.update.journal import Journal
    from newleaf.update.parts import Identity, TargetParts
    from newleaf.update.transaction import Transaction

Watch = Callable[[str], None]


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def host(selection: Selection, code: Fragment | None = None, folder: Path | None = None) -> Host:
    """The host's side of the app that is meant, standing in `folder` (the current one).

    Raises: UsageError and its kin when it cannot be told which, or its settings are wrong.
    """
    place = find_place(selection, folder or Path.cwd(), os.environ, _noted)
    files.prepare_state_directory(place.state)
    sources = read_sources(place.app_file, place.host_file, os.environ)
    return Host(place, Sources(sources.app, sources.host, code or sources.code, sources.environment))


def ready(settings: Fragment | None = None) -> None:
    """The daemon serves now: records its pid and the commit that it has loaded.

    The commit is that of the tree which the program was started from, as of its start. On a machine
    where newleaf does not deploy this tree it does nothing; what goes wrong is logged, never raised, because
    a daemon must not die of its report.
    """
    import logging

    from newleaf.core.errors import NewleafError
    from newleaf.system.loaded_tree import find_tree

    program = getattr(sys.modules.get("__main__"), "__file__", None)
    tree = (find_tree(Path(program).resolve().parent) if program else None) or find_tree(Path.cwd())
    if tree is None:
        return
    try:
        own = Unnamed()
        place = find_place(own, tree, os.environ, _noted)
        if place.state.is_dir() or os.environ.get(STATE_VARIABLE):
            host(own, settings, tree).report_ready(tree)
    except NewleafError as error:
        logging.getLogger("newleaf").warning("not reported as ready: %s %s", error.message, error.advice)


def _noted() -> list[KnownApp]:
    from newleaf.system.known_apps import known_apps, notes_folder

    return known_apps(notes_folder())


@dataclass(eq=False)
class Host:
    """One app on this host, and every part that works for it."""

    place: Place
    sources: Sources
    watch: Watch = field(default=lambda _: None)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    _parts: dict[tuple[Release, str | None], TargetParts] = field(default_factory=dict, init=False)

    # --- what it is ---------------------------------------------------------------------

    @cached_property
    def settings(self) -> Settings:
        """The settings of the running release's copy of the app's file."""
        return self._resolved(self.sources)

    @property
    def state(self) -> Path:
        return self.place.state

    @property
    def name(self) -> str:
        return self.settings.app.name

    @cached_property
    def identity(self) -> Identity:
        from newleaf.update.parts import Identity

        settings = self.settings
        return Identity(settings.app.name, settings.app.computer_name, settings.deployment.channel)

    def _resolved(self, sources: Sources) -> Settings:
        return resolve(load(sources).settings, Facts(socket.gethostname(), self.config.origin))

    def settings_of(self, commit: CommitId) -> Settings:
        """The settings with the app's file as `commit` has it, or as it lies there untracked."""
        path = self.app_path
        content = self.git.show(commit, path)
        if content is None and self.git.show(self.layout.live().commit, path) is None:
            return self.settings
        return self._resolved(self.sources.with_app_file(content, f"{path} of {commit[:9]}"))

    @property
    def app_path(self) -> str:
        """The app's file, as git names it."""
        return str(self.place.app_file.relative_to(self.place.top))

    @property
    def folder(self) -> Path:
        """The app's own folder in the checkout."""
        inner = self.settings.app.path
        return self.place.folder if inner == "." else self.place.top / inner

    # --- the outside --------------------------------------------------------------------

    @cached_property
    def runner(self) -> Runner:
        from newleaf.system.commands import Runner

        return Runner()

    @cached_property
    def worktree(self) -> Worktree:
        from newleaf.system.worktree import Worktree

        return Worktree.find(self.place.top)

    @cached_property
    def config(self) -> CheckoutConfig:
        from newleaf.system.worktree import read_config

        return read_config(self.worktree, self.runner, self.environ)

    @cached_property
    def git(self) -> Git:
        from newleaf.system.git import Git, Repository
        from newleaf.system.git_environment import Access

        source = self.settings.source
        if not source.url:
            raise RemoteUnknown(top=self.place.top)
        access = Access(
            source.url,
            Path(source.token_file).expanduser() if source.token_file else None,
            source.git_config,
            self.settings.update.fetch_timeout,
            source.max_fetch_bytes,
        )
        repository = Repository.beside(self.worktree, self.config, self.state / "git")
        return Git(repository, access, self.runner, self.environ)

    @cached_property
    def http(self) -> HttpClient:
        from newleaf.system.http import HttpClient

        return HttpClient(self.environ)

    # --- what it keeps ------------------------------------------------------------------

    @cached_property
    def history(self) -> History:
        from newleaf.update.history import History

        return History(self.state / "history.jsonl")

    @cached_property
    def decisions(self) -> Decisions:
        from newleaf.update.decisions import Decisions

        return Decisions(self.state)

    def journal(self) -> Journal:
        """The journal as it is now; only who holds the update lock may write to it."""
        from newleaf.update.journal import Journal

        return Journal(self.state / "journal.jsonl", now)

    @cached_property
    def status_file(self) -> StatusFile:
        from newleaf.agent.status import StatusFile

        return StatusFile(self.state, self.keeper.running)

    # --- the parts of a transaction -----------------------------------------------------

    @cached_property
    def layout(self) -> NamedInPlace:
        from newleaf.agent.naming import NamedInPlace
        from newleaf.update.in_place import InPlace

        settings = self.settings
        refuses = settings.update.dirty_tree == "refuse"
        in_place = InPlace(self.git, self.worktree, settings.source.branch, refuses_dirty=refuses)
        return NamedInPlace(in_place, self._name)

    def _name(self, commit: CommitId) -> Release:
        """A commit with the version by which this host knows it."""
        known = next((a.target for a in reversed(self.journal().attempts) if a.target.commit == commit), None)
        return known or Release(commit, self.origin.version_of(commit))

    @cached_property
    def origin(self) -> Origin:
        from newleaf.agent.origin import Origin, resolve_by_git

        return Origin(
            self.git,
            self.settings,
            self.inner,
            self.decisions.pin,
            lambda rule, live: resolve_by_git(self.git, rule, live),
            self.settings_of,
            lambda target, sideways: self.layout.in_place.check_movable(target, sideways=sideways),
        )

    @property
    def inner(self) -> str:
        """The app's folder, as git names it."""
        return self.folder.relative_to(self.place.top).as_posix()

    @cached_property
    def daemon_environment(self) -> dict[str, str]:
        """What the app's own commands are started with."""
        from newleaf.update.migrations import child_environment

        facts = {"NEWLEAF_STATE_DIR": str(self.state)}
        return child_environment(self.environ, self.folder, self.settings.app.python_path or (), facts)

    @cached_property
    def keeper(self) -> Keeper:
        from newleaf.agent.keeper import Keeper

        return Keeper(
            self.state,
            self.settings.restart,
            self.folder,
            self.daemon_environment,
            self.runner,
            lambda start, target: self.origin.commits(start, target)[0],
            now,
        )

    @cached_property
    def gatekeeper(self) -> Gatekeeper:
        from newleaf.agent.gatekeeper import GateFacts, Gatekeeper
        from newleaf.agent.idle import IdleSources, ask_idle
        from newleaf.core.verdict import parse_budget
        from newleaf.system.lease import LeaseClient

        settings = self.settings
        gates, computer = settings.gates, settings.app.computer_name
        sources = IdleSources(self.state, gates, self.folder, self.daemon_environment, self.runner, self.http)
        facts = GateFacts(
            computer,
            lambda is_quiet: ask_idle(sources, is_quiet=is_quiet),
            self.origin.released_at,
            self.history.last_update_at,
            now,
            self.history.restarts,
            self.status_file.not_holding_since,
        )
        lease = LeaseClient(gates.lease_url, computer, self.http) if gates.lease_url else None
        budget = None if settings.restart.mode == "none" else parse_budget(settings.restart.budget)
        return Gatekeeper(self.state, gates, facts, lease, self.reporter.line, budget)

    @cached_property
    def reporter(self) -> Reporter:
        from newleaf.agent.reporter import Reporter
        from newleaf.agent.update_log import UpdateLog

        return Reporter(self.status_file, UpdateLog(self.state, now), lambda _: None, self.watch)

    def parts_for(self, release: Release, attempt: AttemptRecord | None) -> TargetParts:
        """What the release's own copy of the settings governs."""
        from newleaf.update.environments import InPlaceEnvironment
        from newleaf.update.parts import TargetParts
        from newleaf.update.surroundings import Surroundings
        from newleaf.update.target_data import Surface, TargetData

        key = (release, attempt.id if attempt else None)
        if key in self._parts:
            return self._parts[key]
        settings = self.settings_of(release.commit)
        surroundings = Surroundings(self.runner, self.environ)
        environment = InPlaceEnvironment(
            self.folder, settings.update, surroundings, self.state, release.commit
        )
        surface = Surface(self.state, self.folder, self.inner, self.environ, self.git, self.runner, now)
        start, name = (attempt.start, attempt.id) if attempt else (release, "")
        kept = str(attempt.detail.get("snapshot") or name) if attempt else ""
        data = TargetData(surface, settings, start, release, name, kept)
        self._parts[key] = TargetParts(environment, data, settings.update.steps)
        return self._parts[key]

    def transaction(self) -> Transaction:
        """Everything that an update needs; the caller holds the update lock."""
        from newleaf.update.transaction import Transaction

        new_id = f"{now():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        return Transaction(_Parts(self), lambda: new_id, self.suspended)

    # --- questions ----------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """The published status, with what runs now."""
        from newleaf.core.records import Status

        identity = self.identity
        unknown = Status("checking", now(), identity.computer, identity.app, identity.channel)
        return self.status_file.current(unknown)

    def report_ready(self, tree: Path) -> None:
        """Reports this very process as the daemon. Raises: CorruptFile, NewerSchema and their kin."""
        from newleaf.agent.readiness import Readiness

        status = self.status_file
        readiness = Readiness(
            self.state,
            tree,
            self.identity,
            self.history,
            lambda commit: self.origin.version_of(CommitId(commit)),
            status.published,
            status.publish,
            lambda _: self.clear_signal(),
            now,
        )
        readiness.report(self.journal().attempts)

    @property
    def suspended(self) -> str | None:
        """Why this host does nothing now; None when it is not suspended."""
        from newleaf.core.decide import suspension

        return suspension(self.decisions.suspended, by_settings=self.settings.deployment.suspended)

    # --- changes ------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self, who: str, why: str) -> Iterator[None]:
        """Holds the update lock, under a name; children that are started meanwhile are noted in it.

        Raises: LockedError.
        """
        from newleaf.system.locks import update_lock

        with update_lock(self.state, who, why) as lock:
            self.runner.on_start = lock.note_child
            record_identity(self.place, self.name)
            yield

    def clear_signal(self) -> None:
        """Takes the signal away."""
        files.remove(self.state / "update_available.json")


class _Parts:
    """Implements `update.parts.Parts`: the host's parts, by the names that a transaction has for them."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.identity = host.identity
        self.journal = host.journal()
        self.history = host.history
        self.decisions = host.decisions
        self.parts_for = host.parts_for
        self.clear_signal = host.clear_signal
        self.now = now

    @property
    def source(self) -> Origin:
        return self._host.origin

    @property
    def layout(self) -> NamedInPlace:
        return self._host.layout

    @property
    def restarts(self) -> Keeper:
        return self._host.keeper

    @property
    def gates(self) -> Gatekeeper:
        return self._host.gatekeeper

    @property
    def reporter(self) -> Reporter:
        return self._host.reporter
