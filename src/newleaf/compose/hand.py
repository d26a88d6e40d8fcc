"""`newleaf migrate` put together: the tree as it lies, this host's own version, and what may hold it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from newleaf.agent.idle import IdleSources, ask_idle
from newleaf.agent.update_log import UpdateLog
from newleaf.compose.host import Host, now
from newleaf.core.data.migration import Plan
from newleaf.core.errors import RemoteUnknown
from newleaf.core.job_errors import AppBusy
from newleaf.core.records import Waiting
from newleaf.core.releases import versions
from newleaf.system import busy_lock
from newleaf.system.loaded_tree import read_head
from newleaf.update.data.migrating import MigrationOrder, MigrationResult, Workplace, migrate
from newleaf.update.data.migrations import Ground, child_environment, find_python

SETTLED = ("updated", "ok")
"""Outcomes of attempts after which the data was that of the attempt's target."""


def migrate_by_hand(host: Host, order: MigrationOrder) -> MigrationResult:
    """Runs, or lists, the migrations of the tree as it lies.

    Raises: LockedError, MigrationFailed and its kin.
    """
    if order.dry_run:
        return migrate(order, _workplace(host), host.watch)
    log = UpdateLog(host.state, now)

    def tell(line: str) -> None:
        host.watch(line)
        log.write(line)

    with host.locked("newleaf migrate", "to run migrations"):
        return migrate(order, _workplace(host), tell)


def _workplace(host: Host) -> Workplace:
    settings = host.settings
    tree_version = _version_as_it_lies(host) or _known_version(host)
    facts = {
        "NEWLEAF_STATE_DIR": str(host.state),
        "NEWLEAF_COMMIT": read_head(host.place.top),
        "NEWLEAF_VERSION": tree_version,
    }
    ground = Ground(
        host.folder,
        settings.update.migrations,
        find_python(host.folder),
        child_environment(host.environ, host.folder, settings.app.python_path or (), facts),
        settings.update.migrate_timeout,
    )
    return Workplace(
        host.state,
        ground,
        host.runner,
        _own_version(host),
        tree_version,
        lambda plan: _hold(host, plan),
    )


def _version_as_it_lies(host: Host) -> str | None:
    """The version that the files on the disk say, committed or not."""
    version_file = host.settings.app.version_file
    patterns = [place for place in versions.places(version_file) if place != "tag"]
    found = [path for pattern in patterns for path in sorted(host.folder.glob(pattern)) if path.is_file()]
    return versions.version_of_tree(version_file, {str(path): path.read_bytes() for path in found})


def _known_version(host: Host) -> str | None:
    """The version by which this host knows what is checked out; it may be the tag's alone."""
    with suppress(RemoteUnknown):
        return host.layout.live().version
    return None


def _own_version(host: Host) -> str | None:
    """The version that newleaf last brought this host to."""
    settled = (
        e.target.version for e in reversed(host.history.entries()) if e.outcome in SETTLED and e.target
    )
    return next(filter(None, settled), None)


@contextmanager
def _hold(host: Host, plan: Plan) -> Iterator[tuple[Waiting, ...]]:
    """Keeps jobs from starting while the plan runs; yields what stands in its way instead.

    Without a launcher nothing can stop the daemon: what needs that waits for somebody who does.
    """
    daemon_runs = bool(plan.scripts) and host.keeper.daemon_runs()
    if plan.offline and daemon_runs:
        reason = f"the daemon runs, and must be stopped for {', '.join(plan.offline)}"
        yield (Waiting("restart", reason, now()),)
        return
    with ExitStack() as stack:
        reasons: tuple[str, ...] = ()
        if not plan.all_online:
            try:
                stack.enter_context(busy_lock.quiet(host.state))
            except AppBusy as error:
                reasons = (str(error.facts["reason"]),)
            if daemon_runs and not reasons:
                reasons = ask_idle(_idle_sources(host), is_quiet=True).reasons
        yield tuple(Waiting("idle", reason, now()) for reason in reasons)


def _idle_sources(host: Host) -> IdleSources:
    gates = host.settings.gates
    return IdleSources(host.state, gates, host.folder, host.daemon_environment, host.runner, host.http)
