"""What is known of a fleet from its hosts' registrations: who runs what, and how far each is from the target.

Rules: what a silent host runs is not known any more (lessons.md L41), and unknown is shown as unknown. A host
drifts from its own target, where it says one: that is what its channel, or a pin, chooses. Else from the
fleet's: the release that was announced last; where none was, or hosts have gone on from it, the one that most
hosts run: only who looks announces, and an update that is ordered is looked for by nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from newleaf.core.missions.registration import Registration, read_registration
from newleaf.core.records import short_stamp
from newleaf.core.releases.names import is_commit

ANNOUNCED, MOST = "announced", "most hosts"


class FleetTarget(Struct, frozen=True):
    """The release that hosts are compared with, how it was found, and when it was announced."""

    commit: str
    version: str | None
    source: str
    at: datetime | None = None


class Seen(Struct, frozen=True):
    """One host as it is seen now. `drifts` from `expected`: None where that cannot be known."""

    registration: Registration
    age_seconds: float
    is_silent: bool
    drifts: bool | None
    expected: str | None

    def as_record(self) -> dict[str, Any]:
        known = {"age_seconds": round(self.age_seconds, 3), "silent": self.is_silent}
        return {**self.registration.as_record(), **known, "drift": self.drifts, "expected": self.expected}


class Fleet(Struct, frozen=True):
    """All hosts, by name."""

    target: FleetTarget | None
    hosts: tuple[Seen, ...]

    def as_record(self) -> dict[str, Any]:
        target = self.target
        said = (
            {"commit": target.commit, "version": target.version, "source": target.source} if target else None
        )
        return {"target": said, "hosts": [host.as_record() for host in self.hosts]}


def read_hosts(registrations: Mapping[str, bytes]) -> list[Registration]:
    """The registrations that can be read, each under the name that it was made for."""
    found = ((name, read_registration(text)) for name, text in registrations.items())
    return sorted((host for name, host in found if host and host.name == name), key=lambda host: host.name)


def read_announced(fields: Mapping[bytes, bytes], at: datetime | None = None) -> FleetTarget | None:
    """What was announced at a time; None for what no watcher says."""
    commit = fields.get(b"commit", b"").decode("utf-8", "replace")
    version = fields.get(b"version", b"").decode("utf-8", "replace")
    return FleetTarget(commit, version[:100] or None, ANNOUNCED, at) if is_commit(commit) else None


def see(hosts: Iterable[Registration], announced: FleetTarget | None, now: datetime) -> Fleet:
    """The fleet as it is seen at a time."""
    hosts = list(hosts)
    awake = [host for host in hosts if not host.is_silent(now)]
    target = _most(awake) if announced is None or _is_left_behind(announced, awake) else announced
    return Fleet(target, tuple(_see(host, target, now) for host in hosts))


def _is_left_behind(announced: FleetTarget, hosts: list[Registration]) -> bool:
    """Whether nobody runs what was announced, and somebody has arrived at another release since."""
    if announced.at is None or any(host.commit == announced.commit for host in hosts):
        return False
    since = short_stamp(announced.at)
    return any(host.commit and host.status == "deployed" and host.since > since for host in hosts)


def _see(host: Registration, target: FleetTarget | None, now: datetime) -> Seen:
    wanted = host.target or (target.commit if target else None)
    silent = host.is_silent(now)
    drifts = None if silent or not host.commit or not wanted else host.commit != wanted
    return Seen(host, max(0.0, (now - host.at).total_seconds()), silent, drifts, wanted)


def _most(hosts: Iterable[Registration]) -> FleetTarget | None:
    """What most of them run; of two that are as common, the one that is found first by name."""
    running = [(host.commit, host.version) for host in hosts if host.commit]
    for (commit, version), _ in Counter(running).most_common(1):
        return FleetTarget(str(commit), version, MOST)
    return None
