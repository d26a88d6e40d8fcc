"""One app on this host: its settings, its place, what it keeps, and the tools that work on it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from newleaf.core.errors import InconsistentError, NewleafError, RemoteUnknown, RepositoryUnnamed
from newleaf.core.release import CommitId
from newleaf.core.settings.fragments import Loaded, Sources, load
from newleaf.core.settings.model import Facts, Settings, resolve
from newleaf.system import control_socket, uptime
from newleaf.system.place import SLOTS, Place, record_identity

if TYPE_CHECKING:
    from newleaf.agent.keeper import Keeper
    from newleaf.agent.origin import Origin
    from newleaf.agent.readiness import Readiness
    from newleaf.agent.reporter import Reporter
    from newleaf.agent.status import StatusFile
    from newleaf.agent.status_mirror import StatusMirror
    from newleaf.agent.target import Resolver
    from newleaf.compose.laid import Laid
    from newleaf.core.ports import Layout
    from newleaf.core.records import Identity, Status
    from newleaf.core.releases.slot_errors import LayoutDiffers
    from newleaf.system.commands import Runner
    from newleaf.system.git.directory import Git
    from newleaf.system.github import Github
    from newleaf.system.http import HttpClient
    from newleaf.update.decisions import Decisions
    from newleaf.update.dependencies.surroundings import Surroundings
    from newleaf.update.history import History
    from newleaf.update.journal import Journal

Watch = Callable[[str], None]
Lay = Callable[["Host"], "Laid"]
"""Puts together what the layout decides; the one argument in which hosts of both layouts differ."""


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class Host:
    """One app on this host, and every part that works for it."""

    def __init__(
        self,
        place: Place,
        sources: Sources,
        lay: Lay,
        watch: Watch = lambda _: None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.place = place
        self.sources = sources
        self._lay = lay
        self.watch = watch
        self.environ = environ
        self._app_files: dict[CommitId, bytes | None] = {}

    # --- what it is ---------------------------------------------------------------------

    @cached_property
    def loaded(self) -> Loaded:
        """The settings of the running release's copy of the app's file, and where each was said."""
        return load(self.sources)

    @cached_property
    def settings(self) -> Settings:
        """The settings of the running release's copy, with what this host's facts decide; not the `url`.

        Raises: SettingsInvalid, LayoutDiffers.
        """
        settings = self._resolved(self.loaded)
        if (settings.app.layout == SLOTS) != self.place.has_slots:
            raise self._layout_differs(settings.app.layout)
        return settings

    def _layout_differs(self, said: str) -> LayoutDiffers:
        from newleaf.core.releases.slot_errors import LayoutDiffers

        if self.place.has_slots:
            there, way = f"in slots, in {self.state}", 'say app.layout = "slots" there, or nothing'
        else:
            there = f"in place, in {self.place.top}"
            way = "newleaf init --slots makes the slots; or take app.layout out of there"
        return LayoutDiffers(origin=self.loaded.origins["app.layout"], said=said, there=there, way=way)

    @property
    def state(self) -> Path:
        return self.place.state

    @property
    def name(self) -> str:
        return self.settings.app.name

    @cached_property
    def identity(self) -> Identity:
        from newleaf.core.records import Identity

        settings = self.settings
        return Identity(settings.app.name, settings.app.computer_name, settings.deployment.channel)

    def _resolved(self, loaded: Loaded) -> Settings:
        facts = Facts(os.uname().nodename, not self.place.has_slots, under_launcher=self.has_launcher)
        return resolve(loaded.settings, facts)

    @cached_property
    def has_launcher(self) -> bool:
        """Whether a launcher runs this app now."""
        return control_socket.is_answered(self.state)

    def settings_of(self, commit: CommitId) -> Settings:
        """The settings with the app's file as it lies there when `commit` is live."""
        return self._resolved(self._loaded_of(commit))

    def sound_settings_of(self, commit: CommitId) -> Settings:
        """Like `settings_of`, once no part of newleaf would refuse them when the commit is live.

        Raises: SettingsInvalid, SettingsUnreadable.
        """
        from newleaf.core.settings.soundness import require_sound

        loaded = self._loaded_of(commit)
        require_sound(loaded)
        return self._resolved(loaded)

    def _loaded_of(self, commit: CommitId) -> Loaded:
        path = self.app_path
        if path is None:
            return self.loaded
        if commit not in self._app_files:
            self._app_files[commit] = self.git.show(commit, path)
        content = self._app_files[commit]
        if content is None and self.laid.stays_untracked(path):
            return self.loaded
        return load(self.sources.with_app_file(content, f"{path} of {commit[:9]}"))

    @property
    def app_path(self) -> str | None:
        """The app's file, as git names it; None where another file was named, outside of the checkout."""
        file, top = self.place.app_file, self.place.top
        return str(file.relative_to(top)) if file.is_relative_to(top) else None

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
    def laid(self) -> Laid:
        """How releases lie on the disk, with all that follows from it."""
        return self._lay(self)

    @cached_property
    def surroundings(self) -> Surroundings:
        from newleaf.update.dependencies.surroundings import Surroundings

        return Surroundings(self.runner, self.environ)

    @cached_property
    def url(self) -> str | None:
        """Where the app comes from: what `source.url` says, else the checkout's `origin`."""
        return self.settings.source.url or self.laid.origin

    @cached_property
    def git(self) -> Git:
        from newleaf.system.git.directory import Git
        from newleaf.system.git.environment import Access

        source = self.settings.source
        if not self.url:
            raise RemoteUnknown(top=self.place.top)
        access = Access(
            self.url,
            Path(source.token_file).expanduser() if source.token_file else None,
            source.git_config,
            self.settings.update.fetch_timeout,
            source.max_fetch_bytes,
        )
        return Git(self.laid.repository(), access, self.runner, self.environ)

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
        from newleaf.update.journal import JOURNAL_FILE, Journal

        return Journal(self.state / JOURNAL_FILE, now, uptime.mark)

    @cached_property
    def status_file(self) -> StatusFile:
        from newleaf.agent.status import StatusFile

        return StatusFile(self.state, self.keeper.running, self._mirror_word)

    def _mirror_word(self, record: Mapping[str, Any]) -> None:
        if self.mirror:
            self.mirror.tell(record)

    @cached_property
    def mirror(self) -> StatusMirror | None:
        """Brings the status to a Redis: an attempt's, unless an agent or a daemon has put its own here."""
        from newleaf.compose.mirroring import attempt_mirror

        return attempt_mirror(self.state, self.settings.status, self.watch)

    # --- the parts of a transaction -----------------------------------------------------

    @property
    def layout(self) -> Layout:
        """What the transaction moves."""
        return self.laid.layout

    @cached_property
    def origin(self) -> Origin:
        from newleaf.agent.known_tags import KnownTags
        from newleaf.agent.origin import Origin
        from newleaf.agent.seen_tags import SeenTags
        from newleaf.system.git.signatures import Signatures

        return Origin(
            self.git,
            self.settings,
            self.inner,
            # Read anew each time: a watcher lives longer than a decision.
            lambda: self.decisions.pin,
            self.resolver(),
            self.sound_settings_of,
            self.laid.check_movable,
            self.laid.note_fetched,
            Signatures(self.git, self.settings.security, self.laid.trees).require,
            KnownTags(SeenTags(self.state), self.git, self.settings.source.tag_prefix).find,
        )

    def resolver(self, *, trusts_unchanged: bool = False) -> Resolver:
        """Asks the remote; a poll may trust that an unchanged list of releases has unchanged tags."""
        from newleaf.agent.target import Resolver

        return Resolver(self.git, self.state, now, self._releases(), trusts_unchanged)

    def _releases(self) -> Github | None:
        """Where published releases are listed, when that is not the remote's tags."""
        from newleaf.core.releases.hosting import read_hosted, reads_github

        source = self.settings.source
        url = self.url or ""
        if self.settings.deployment.channel == "alpha" or not reads_github(
            source.releases, url, source.api_url
        ):
            return None
        from newleaf.system.github import Api, Github

        hosted = read_hosted(url)
        if hosted is None:
            raise RepositoryUnnamed(url=self.git.shown_url)
        token = Path(source.token_file).expanduser() if source.token_file else None
        return Github(Api(source.api_url, hosted.path, token), self.http, now)

    @property
    def inner(self) -> str:
        """The app's folder, as git names it."""
        return self.folder.relative_to(self.place.top).as_posix()

    @cached_property
    def daemon_environment(self) -> dict[str, str]:
        """What the app's own commands are started with."""
        from newleaf.update.data.migrations import child_environment

        facts = {"NEWLEAF_STATE_DIR": str(self.state)}
        return child_environment(self.environ, self.folder, self.settings.app.python_path or (), facts)

    @cached_property
    def keeper(self) -> Keeper:
        from newleaf.agent.keeper import Keeper

        return Keeper(
            self.state,
            self.settings.restart,
            self.folder,
            lambda: self.daemon_environment,
            self.runner,
            lambda start, target: self.origin.commits(start, target)[0],
            now,
            self.settings.app.stop_seconds + self.settings.health.ready,
        )

    @cached_property
    def reporter(self) -> Reporter:
        """Who is told what happens."""
        from newleaf.compose.telling import Ears, reporter

        notify, watch = self.settings.notify, self.watch
        return reporter(Ears(self.state, self.status_file, notify, lambda: self.http, watch), now)

    # --- questions ----------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """The published status, with what runs now."""
        return self.status_file.current(self.unknown_status())

    def unknown_status(self) -> Status:
        """What is said before anything was published."""
        from newleaf.core.records import Status

        identity = self.identity
        return Status("checking", now(), identity.computer, identity.app, identity.channel)

    def readiness(self, tree: Path) -> Readiness:
        """What reports a process that was started from `tree`."""
        from newleaf.agent.readiness import Readiness
        from newleaf.agent.signal import SignalFile

        status = self.status_file
        return Readiness(
            self.state,
            tree,
            self.laid.moves(tree),
            self.identity,
            self.history,
            lambda commit: self.origin.version_of(CommitId(commit)),
            status.published,
            status.publish,
            SignalFile(self.state).remove_of,
            self.keeper.ask_to_leave,
            now,
        )

    @property
    def suspended(self) -> str | None:
        """Why this host does nothing now; None when it is not suspended."""
        from newleaf.core.decide import suspension

        return suspension(self.decisions.suspended, by_settings=self.settings.deployment.suspended)

    # --- changes ------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self, who: str, why: str, *, is_brief: bool = False) -> Iterator[None]:
        """Holds the update lock, under a name; children that are started meanwhile are noted in it.

        Raises: LockedError.
        """
        from newleaf.system.locks import update_lock

        with update_lock(self.state, who, why, is_brief=is_brief) as lock:
            self.runner.on_start = lock.note_child
            record_identity(self.place, self.name)
            try:
                yield
            except InconsistentError as error:
                self._publish_inconsistent(error)
                raise

    def _publish_inconsistent(self, error: InconsistentError) -> None:
        """A host that needs a person says so, also where nothing could be begun (lessons.md L2)."""
        status = self.unknown_status()._replace(status="inconsistent", error=error.message)
        with contextlib.suppress(NewleafError):
            self.reporter.publish(status)

    def clear_signal(self) -> None:
        """Takes the signal away: its target is here, or is no longer ahead."""
        from newleaf.agent.signal import SignalFile

        SignalFile(self.state).remove()
