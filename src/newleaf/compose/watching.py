"""A host's look at its remote: what `check` and the watcher are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from newleaf.agent.check import Check
from newleaf.agent.signal import SignalFile
from newleaf.agent.staleness import Staleness
from newleaf.agent.watch_file import WatchFile
from newleaf.compose.host import Host, now
from newleaf.core.records import Status
from newleaf.core.release import Release
from newleaf.core.releases.channels import Rule
from newleaf.core.requests import Request

if TYPE_CHECKING:
    from newleaf.agent.watcher import Watcher


def look(host: Host, *, trusts_unchanged: bool = False) -> Check:
    """One look at the remote; a poll may trust that an unchanged list of releases has unchanged tags."""
    seen = _Seen(host)
    return Check(
        seen,
        host.resolver(trusts_unchanged=trusts_unchanged),
        SignalFile(host.state),
        staleness(host),
        now,
    )


def watcher(host: Host, say: Callable[[str], None]) -> Watcher:
    """The polling loop of a daemon; `say` is given a line for the log."""
    from newleaf.agent.watcher import Watcher
    from newleaf.core.releases.polling import Interval

    watch = host.settings.watch
    check, signal = look(host, trusts_unchanged=True), SignalFile(host.state)
    return Watcher(check, signal, Interval(watch.poll_seconds, watch.jitter), now, say)


def staleness(host: Host) -> Staleness:
    """Counts how long the remote has been out of reach, and says so once."""
    word = _StaleWord(host)
    seconds = host.settings.watch.stale_after
    return Staleness(WatchFile(host.state), seconds, word.say, word.take_back)


class _Seen:
    """Implements `agent.check.HostFacts`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def live(self) -> Release:
        return self._host.layout.live()

    def rule(self) -> Rule:
        return self._host.origin.rule(Request())

    def denied(self) -> Mapping[str, Mapping[str, Any]]:
        return self._host.decisions.denied

    def suspended(self) -> str | None:
        return self._host.suspended


class _StaleWord:
    """The word "stale", published, and taken back by the word before it."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def say(self, reason: str) -> None:
        self._publish("stale", reason)

    def take_back(self) -> None:
        running, live = self._host.keeper.running(), self._host.layout.live()
        is_confirmed = running is not None and running.commit == live.commit
        self._publish("deployed" if is_confirmed else "checking", None)

    def _publish(self, word: str, error: str | None) -> None:
        from newleaf.compose.parts import HostParts

        status: Status = self._host.unknown_status()
        told = status._replace(status=word, error=error, running=self._host.keeper.running())
        HostParts(self._host).reporter.publish(told)
