"""A host's parts for one transaction, by the names that the transaction has for them."""

from __future__ import annotations

import os
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from newleaf.compose.host import Host, now
from newleaf.core.records import AttemptRecord
from newleaf.core.release import Release

if TYPE_CHECKING:
    from newleaf.agent.gatekeeper import Gatekeeper
    from newleaf.agent.origin import Origin
    from newleaf.agent.reporter import Reporter
    from newleaf.core.ports import Housekeeping, Launcher, Layout, Restarts
    from newleaf.core.settings.model import Settings
    from newleaf.update.data.target_data import TargetData
    from newleaf.update.parts import TargetParts
    from newleaf.update.transaction import Transaction


def transaction(host: Host) -> Transaction:
    """Everything that an update needs; the caller holds the update lock.

    Raises: CorruptFile and its kin, NewerSchema: nothing is begun on records that cannot be relied on.
    """
    from newleaf.update.transaction import Transaction

    if host.mirror:
        # What an earlier attempt could not bring there (it was away) is brought now.
        host.mirror.begin()
    for read in (host.history.entries, host.status_file.published, host.keeper.daemon_runs):
        read()
    new_id = f"{now():%Y%m%dT%H%M%S}-{os.urandom(3).hex()}"
    return Transaction(HostParts(host), lambda: new_id, host.suspended)


class HostParts:
    """Implements `update.parts.Parts`. What an update does not come to use is never made.

    `restarts` takes the keeper's place, and the launcher's, where nobody is to be asked for a restart.
    """

    def __init__(self, host: Host, restarts: Restarts | None = None) -> None:
        self._host = host
        self._restarts = restarts
        self._made: dict[tuple[Release, str | None], TargetParts] = {}
        self.identity = host.identity
        self.journal = host.journal()
        self.history = host.history
        self.decisions = host.decisions

    @property
    def source(self) -> Origin:
        return self._host.origin

    @property
    def layout(self) -> Layout:
        return self._host.layout

    @property
    def housekeeping(self) -> Housekeeping:
        return self._host.laid.housekeeping

    @property
    def restarts(self) -> Restarts:
        return self._restarts or self._host.keeper

    @cached_property
    def launcher(self) -> Launcher | None:
        """The line to the launcher, where that is who restarts the daemon."""
        is_asked = self._restarts is None and self._host.settings.restart.mode == "launcher"
        return self.line_to_launcher() if is_asked and self._host.has_launcher else None

    def line_to_launcher(self) -> Launcher:
        """A line to the launcher that runs this app."""
        host = self._host
        from newleaf.agent.launcher_line import LauncherLine
        from newleaf.compose.launching import rewrite_launcher

        app, ready = host.settings.app, host.settings.health.ready
        overlaps = app.handover == "overlap"
        return LauncherLine(host.state, app.stop_seconds, ready, overlaps, lambda: rewrite_launcher(host))

    @cached_property
    def gates(self) -> Gatekeeper:
        from newleaf.agent.gatekeeper import GateFacts, Gatekeeper, Moment
        from newleaf.agent.idle import IdleSources, ask_idle
        from newleaf.core.errors import NewleafError
        from newleaf.core.gates import Unknown
        from newleaf.core.verdict import parse_budget
        from newleaf.system.lease import LeaseClient

        host, settings = self._host, self._host.settings
        gates, computer = settings.gates, settings.app.computer_name
        sources = IdleSources(host.state, gates, host.folder, host.daemon_environment, host.runner, host.http)

        def released_at(target: Release) -> Moment:
            try:
                return host.origin.released_at(target)
            except NewleafError as error:
                return Unknown(error.message)

        facts = GateFacts(
            computer,
            lambda is_quiet: ask_idle(sources, is_quiet=is_quiet),
            released_at,
            host.history.last_update_at,
            now,
            host.history.restarts,
            host.status_file.not_holding_since,
        )
        # Two apps of one host must not give back each other's lease.
        lease_id = f"{computer}/{settings.app.name}"
        lease = LeaseClient(gates.lease_url, lease_id, host.http) if gates.lease_url else None
        budget = None if settings.restart.mode == "none" else parse_budget(settings.restart.budget)
        return Gatekeeper(host.state, gates, facts, lease, self.reporter.line, budget)

    @property
    def reporter(self) -> Reporter:
        return self._host.reporter

    def parts_for(self, release: Release, attempt: AttemptRecord | None) -> TargetParts:
        """What the release's own copy of the settings governs."""
        key = (release, attempt.id if attempt else None)
        if key not in self._made:
            self._made[key] = self._make(release, attempt)
        return self._made[key]

    def require_sound(self) -> None:
        """Raises: SettingsInvalid."""
        from newleaf.core.settings.soundness import require_sound

        require_sound(self._host.loaded)

    def clear_signal(self) -> None:
        """Takes the signal away."""
        self._host.clear_signal()

    def now(self) -> datetime:
        """The time, in UTC."""
        return now()

    def _make(self, release: Release, attempt: AttemptRecord | None) -> TargetParts:
        from newleaf.update.parts import TargetParts

        laid = self._host.laid
        settings = self._host.settings_of(release.commit)
        return TargetParts(
            laid.environment(release, settings),
            laid.steps(settings),
            lambda: self._make_data(settings, release, attempt),
            laid.preflight(release, settings),
        )

    def _make_data(self, settings: Settings, release: Release, attempt: AttemptRecord | None) -> TargetData:
        from newleaf.update.data.target_data import Surface, TargetData

        host = self._host
        folder, data = host.laid.folder(release.commit), host.laid.data
        surface = Surface(host.state, folder, data, host.inner, host.environ, host.git, host.runner, now)
        start, name = (attempt.start, attempt.id) if attempt else (release, "")
        detail = attempt.detail if attempt else {}
        kept = str(detail.get("snapshot") or detail.get("kept") or name)
        return TargetData(surface, settings, start, release, name, kept)
