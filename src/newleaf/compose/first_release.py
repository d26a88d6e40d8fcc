"""The first release of a host with slots: verified, made ready and tried like any other, then made live.

Nothing is live before it, so there is nothing to wait for, to migrate or to go back to; killed anywhere, it
is made again from the start.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from newleaf.compose.host import Host, now
from newleaf.core.errors import NewleafError
from newleaf.core.records import stamp
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.channels import Rule
from newleaf.core.releases.slot_errors import NothingDeployed
from newleaf.core.releases.source_errors import NothingPublished
from newleaf.core.requests import Request
from newleaf.system import files

NOTHING = Release(CommitId("0" * 40), "0.dev0")
"""What runs where nothing does: older than every version."""
FIRST = "first"
"""The kind of the history's line; no attempt brought it."""


def make_first_release(host: Host, wanted: Release | None = None) -> tuple[Release, bool]:
    """What is live, and whether it was made live now: `wanted`, else what the channel names.

    Raises: LockedError, and what fetching, verifying, installing and trying give reason to.
    """
    with host.locked("newleaf init", "to make the first release"):
        try:
            return host.layout.live(), False
        except NothingDeployed:
            return _make(host, wanted or _resolve(host), host.reporter.line), True


def _resolve(host: Host) -> Release:
    rule: Rule = replace(host.origin.rule(Request()), paths=())
    choice = host.resolver()(rule, NOTHING)
    if choice.failure:
        raise choice.failure
    if choice.target is None:
        raise NothingPublished(reason=choice.message)
    return choice.target


def _make(host: Host, wanted: Release, say: Callable[[str], None]) -> Release:
    say(f"fetching {wanted.name}")
    release = host.origin.fetch(wanted)
    host.origin.verify(release, sideways=True)
    settings = host.settings_of(release.commit)
    with files.explained():
        host.layout.stage(release)
    environment = host.laid.environment(release, settings)
    reason = environment.owed()
    if reason:
        say(f"installing: {reason}")
        environment.install(say)
    environment.attach()
    preflight = host.laid.preflight(release, settings)
    if preflight:
        preflight.run(say)
    host.layout.activate(release)
    _remember(host, release)
    return release


def _remember(host: Host, release: Release) -> None:
    """Adds the line that lets the history begin. What is live is live without it too."""
    line = {"attempt": None, "kind": FIRST, "outcome": "ok", "at": stamp(now())}
    ends = {"from": release.as_record(), "to": release.as_record()}
    try:
        host.history.add({**line, **ends})
    except NewleafError as error:
        host.reporter.line(error.message)
