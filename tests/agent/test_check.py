"""One look at the remote, and the signal that comes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from newleaf.agent.check import Check
from newleaf.agent.signal import SignalFile
from newleaf.agent.staleness import Staleness
from newleaf.agent.target import Resolver
from newleaf.agent.watch_file import WatchFile
from newleaf.core.errors import NewleafError
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.channels import Rule
from newleaf.core.releases.git_errors import RemoteUnreachable
from newleaf.core.releases.signals import Signal
from newleaf.core.releases.source_errors import BranchMissing, PinMissing, TagMoved
from tests.support.hosts import make_host
from tests.support.repositories import Remote
from tests.support.simulated_remote import SimulatedRemote

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
BETA = Rule(channel="beta")


@dataclass
class Host:
    """A host with a remote in memory: implements `agent.check.HostFacts`."""

    state: Path
    remote: Any
    here: Release
    follows: Rule = field(default_factory=Rule)
    denies: dict[str, dict[str, str]] = field(default_factory=dict)
    why: str | None = None
    now: datetime = NOW
    said: list[str] = field(default_factory=list)

    def live(self) -> Release:
        return self.here

    def rule(self) -> Rule:
        return self.follows

    def denied(self) -> Mapping[str, Mapping[str, Any]]:
        return self.denies

    def suspended(self) -> str | None:
        return self.why

    @property
    def check(self) -> Check:
        clock: Callable[[], datetime] = lambda: self.now  # noqa: E731
        staleness = Staleness(
            WatchFile(self.state), 3600, self.said.append, lambda: self.said.append("reached")
        )
        return Check(self, Resolver(self.remote, self.state, clock), self.signal, staleness, clock)

    @property
    def signal(self) -> SignalFile:
        return SignalFile(self.state)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    remote = SimulatedRemote()
    remote.commit()
    return Host(tmp_path, remote, Release(remote.clone(), "1.2.0"))


def published(host: Host, tag: str) -> CommitId:
    commit: CommitId = host.remote.commit()
    host.remote.tag(tag)
    return commit


# --- the signal's life ----------------------------------------------------------------


def test_target_available_then_signalled(host: Host) -> None:
    commit = published(host, "v1.3.0")
    host.follows = BETA
    checked = host.check.look()
    assert (checked.outcome, checked.available) == ("available", Release(commit, "1.3.0", "v1.3.0"))
    assert host.signal.read() == Signal("1.2.0", "1.3.0", "beta", commit)
    assert checked.as_record() == {
        "outcome": "available",
        "channel": "beta",
        "current": "1.2.0",
        "available": "1.3.0",
        "from": {"commit": host.here.commit, "version": "1.2.0"},
        "to": {"commit": commit, "version": "1.3.0", "tag": "v1.3.0"},
        "notes": [],
    }


def test_alpha_then_commits_in_the_signal(host: Host) -> None:
    head = host.remote.commit()
    assert host.check.look().outcome == "available"
    record = json.loads((host.state / "update_available.json").read_text())
    assert record == {"current": host.here.commit, "available": head, "channel": "alpha", "commit": head}


def test_newer_target_then_the_signal_follows(host: Host) -> None:
    host.remote.commit()
    host.check.look()
    newest = host.remote.commit()
    host.check.look()
    found = host.signal.read()
    assert isinstance(found, Signal)
    assert found.available == newest


def test_target_reached_then_the_signal_is_removed(host: Host) -> None:
    head = host.remote.commit()
    host.check.look()
    host.here = Release(head)
    checked = host.check.look()
    assert (checked.outcome, checked.available, host.signal.read()) == ("up_to_date", None, None)


def test_target_withdrawn_then_the_signal_is_removed(host: Host) -> None:
    host.follows = BETA
    published(host, "v1.3.0")
    host.check.look()
    host.remote.delete("refs/tags/v1.3.0")
    checked = host.check.look()
    assert (checked.outcome, host.signal.read()) == ("up_to_date", None)
    assert "no release" in checked.notes[0]


def test_target_denied_then_not_signalled_and_held(host: Host) -> None:
    """lessons.md L42."""
    head = host.remote.commit()
    host.check.look()
    host.denies[head] = {"when": "2026-11-20", "why": "it was not healthy"}
    for _ in range(2):
        checked = host.check.look()
        assert (checked.outcome, checked.available, host.signal.read()) == ("held", None, None)
        assert "it was not healthy" in checked.notes[0]


def test_newer_target_than_the_denied_one_then_signalled(host: Host) -> None:
    """lessons.md L42."""
    host.denies[host.remote.commit()] = {"when": "2026-11-20", "why": "it was not healthy"}
    newest = host.remote.commit()
    assert host.check.look().available == Release(newest)


def test_suspended_then_nothing_is_asked_and_the_signal_left(host: Host) -> None:
    host.remote.commit()
    host.check.look()
    before, asked = host.signal.trace(), len(host.remote.asked)
    host.why = "suspended by hand: a demonstration"
    checked = host.check.look()
    assert (checked.outcome, checked.notes) == ("held", ("suspended by hand: a demonstration",))
    assert (host.signal.trace(), len(host.remote.asked)) == (before, asked)


def test_renumbered_then_up_to_date_with_the_cure(host: Host) -> None:
    """lessons.md L14: the same clear words in every cycle, and no exception."""
    host.follows = BETA
    published(host, "v0.2.0")
    for _ in range(3):
        checked = host.check.look()
        assert (checked.outcome, host.signal.read()) == ("up_to_date", None)
        assert any("newleaf pin 0.2.0" in note for note in checked.notes)


def test_signal_of_somebody_else_is_strange_then_told_and_mended(host: Host) -> None:
    (host.state / "update_available.json").write_text('{"current": ')
    checked = host.check.look()
    assert checked.notes == ("the signal was ignored: it is not JSON",)
    assert host.signal.read() is None


def test_signal_promises_what_the_remote_does_not_have_then_removed(host: Host) -> None:
    """A hint, never the truth."""
    host.follows = BETA
    host.signal.write(Signal("1.2.0", "9.9.9", "beta"))
    assert host.check.heeds() is None
    checked = host.check.look()
    assert (checked.outcome, checked.available, host.signal.read()) == ("up_to_date", None, None)


def test_foreign_channel_then_not_heeded_and_why(host: Host) -> None:
    host.signal.write(Signal("1.2.0", "1.3.0", "beta"))
    assert host.check.heeds() == (
        "the signal was ignored: it is for the channel beta, and this host follows alpha"
    )


def test_no_signal_then_nothing_to_object_to(host: Host) -> None:
    assert host.check.heeds() is None


# --- failures -------------------------------------------------------------------------


def test_remote_out_of_reach_then_an_error_and_the_signal_stays(host: Host) -> None:
    """lessons.md L2."""
    host.remote.commit()
    host.check.look()
    before = host.signal.trace()
    host.remote.break_down()
    with pytest.raises(RemoteUnreachable):
        host.check.look()
    assert host.signal.trace() == before


def test_out_of_reach_past_stale_after_then_told_once_and_taken_back(host: Host) -> None:
    """threats.md T2."""
    host.check.look()
    host.remote.break_down()
    for minutes in (30, 61, 90):
        host.now = NOW + timedelta(minutes=minutes)
        with pytest.raises(RemoteUnreachable):
            host.check.look()
    assert len(host.said) == 1
    assert "not been reached for 1h1m" in host.said[0]
    host.remote.failure = None
    assert host.check.look().outcome == "up_to_date"
    assert host.said[1:] == ["reached"]


@pytest.mark.parametrize(
    ("rule", "error"), [(Rule(branch="trunk"), BranchMissing), (Rule(exact="9.9.9"), PinMissing)]
)
def test_remote_answers_and_lacks_it_then_an_error_but_not_stale(
    rule: Rule, error: type[NewleafError], host: Host
) -> None:
    """lessons.md L2; threats.md T2: an answer is contact."""
    host.follows = rule
    for hours in (0, 5, 10):
        host.now = NOW + timedelta(hours=hours)
        with pytest.raises(error):
            host.check.look()
    assert host.said == []


def test_moved_tag_then_refused_not_signalled_and_not_stale(host: Host) -> None:
    """threats.md T9."""
    host.follows = BETA
    published(host, "v1.3.0")
    host.check.look()
    host.signal.remove()
    published(host, "v1.3.0")
    for hours in (0, 5, 10):
        host.now = NOW + timedelta(hours=hours)
        with pytest.raises(TagMoved):
            host.check.look()
    assert (host.signal.read(), host.said) == (None, [])


# --- with real git --------------------------------------------------------------------


def test_real_remote_then_signal_appears_and_goes(tmp_path: Path) -> None:
    remote = Remote.make(tmp_path)
    remote.commit({"app.py": "1\n"})
    real = make_host(tmp_path / "host", remote)
    real.state.mkdir(mode=0o700)
    host = Host(real.state, real.git, Release(real.checkout.id_of()))
    assert host.check.look().outcome == "up_to_date"
    head = remote.commit({"app.py": "2\n"})
    assert host.check.look().available == Release(head)
    assert isinstance(host.signal.read(), Signal)
    host.here = Release(head)
    assert host.check.look().outcome == "up_to_date"
    assert host.signal.read() is None


def test_real_remote_vanishes_then_an_error_that_says_so(tmp_path: Path) -> None:
    """lessons.md L2."""
    remote = Remote.make(tmp_path)
    remote.commit({"app.py": "1\n"})
    real = make_host(tmp_path / "host", remote)
    real.state.mkdir(mode=0o700)
    host = Host(real.state, real.git, Release(real.checkout.id_of()))
    remote.path.rename(tmp_path / "elsewhere.git")
    with pytest.raises(NewleafError) as caught:
        host.check.look()
    assert caught.value.exit_code == 1
    assert host.signal.read() is None
