"""One look at the remote: is a target available, and the signal file that says so.

1. A suspended host looks at nothing, and leaves the signal as it is.
2. The target is resolved. A remote that cannot be reached is counted (`agent.staleness`), and is an error.
3. A target to move to, not denied here, is signalled; else the signal is removed (lessons.md L42).

It moves nothing, and takes no lock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct

from newleaf.agent.signal import SignalFile
from newleaf.agent.staleness import Staleness
from newleaf.core.decide import decide
from newleaf.core.errors import FailedError, NewleafError
from newleaf.core.release import Release
from newleaf.core.releases.channels import Choice, Rule
from newleaf.core.releases.signals import Ignored, judge_signal, signal_for
from newleaf.core.releases.source_errors import RemoteLacks


class Checked(Struct, frozen=True):
    """What one look came to."""

    outcome: str
    channel: str
    current: Release
    available: Release | None = None
    notes: tuple[str, ...] = ()

    def as_record(self) -> dict[str, Any]:
        """The record of `check --json`: the words of the signal, then both releases in full."""
        return {
            "outcome": self.outcome,
            "channel": self.channel,
            "current": self._word(self.current),
            "available": self._word(self.available) if self.available else None,
            "from": self.current.as_record(),
            "to": self.available.as_record() if self.available else None,
            "notes": list(self.notes),
        }

    def _word(self, release: Release) -> str:
        """A release as the signal names it: on alpha by its commit, else by its version."""
        is_commit = self.channel == "alpha" and not release.tag
        return release.commit if is_commit else release.version or release.commit


class HostFacts(Protocol):
    """What this host has, and has decided."""

    def live(self) -> Release:
        """What a start of the daemon would load now."""
        ...

    def rule(self) -> Rule:
        """What this host follows."""
        ...

    def denied(self) -> Mapping[str, Mapping[str, Any]]:
        """The commits that are denied, with when and why."""
        ...

    def suspended(self) -> str | None:
        """Why this host does nothing now."""
        ...


class Check(Struct, frozen=True):
    """Looks for one host. `resolve` asks the remote."""

    facts: HostFacts
    resolve: Callable[[Rule, Release], Choice]
    signal: SignalFile
    staleness: Staleness
    now: Callable[[], datetime]

    def look(self) -> Checked:
        """Looks once, and writes or removes the signal.

        Raises: what the remote, the settings and the state directory give reason to.
        """
        live, rule = self.facts.live(), self.facts.rule()
        suspended = self.facts.suspended()
        if suspended:
            return Checked("held", rule.channel, live, notes=(suspended,))
        denied = self.facts.denied()
        ignored = self.ignored(rule, live, denied)
        choice = self._resolve(rule, live)
        decision = decide(live.commit, choice.target, choice.message, denied)
        notes = tuple(note for note in (decision.reason, choice.cure, ignored) if note)
        if choice.target is None or not decision.move:
            self.signal.remove()
            return Checked(decision.outcome, rule.channel, live, notes=notes)
        self.signal.write(signal_for(rule, live, choice.target))
        return Checked("available", rule.channel, live, choice.target, notes)

    def ignored(self, rule: Rule, live: Release, denied: Mapping[str, Any]) -> str | None:
        """What is wrong with the signal that lies there, in a sentence; None when nothing is."""
        found = self.signal.read()
        if found is None:
            return None
        verdict = found if isinstance(found, Ignored) else judge_signal(found, rule, live, denied)
        return f"the signal was ignored: {verdict.reason}" if verdict else None

    def heeds(self) -> str | None:
        """Why a signal that somebody wrote is not listened to; None when it is, or when there is none.

        Raises: what the settings and the state directory give reason to.
        """
        return self.ignored(self.facts.rule(), self.facts.live(), self.facts.denied())

    def _resolve(self, rule: Rule, live: Release) -> Choice:
        try:
            choice = self.resolve(rule, live)
        except NewleafError as error:
            if isinstance(error, FailedError) and not isinstance(error, RemoteLacks):
                self.staleness.note_unreached(self.now(), error.message)
            else:
                self.staleness.note_reached(self.now())
            raise
        self.staleness.note_reached(self.now())
        if choice.failure:
            raise choice.failure
        return choice
