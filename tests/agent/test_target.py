"""What the channel resolves to, with a remote in memory and with a real one behind the same interface."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from newleaf.agent.target import Remote as RemotePort
from newleaf.agent.target import Resolver
from newleaf.core.errors import NewleafError
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.channels import Choice, Reason, Rule
from newleaf.core.releases.source_errors import ApiLimited, ReleaseWithoutTag, TagMoved
from newleaf.system.github import Api, Github
from newleaf.system.http import HttpClient
from tests.support.github_server import GithubServer, github_api
from tests.support.hosts import make_host
from tests.support.http_server import Answer
from tests.support.repositories import Remote as RealRemote
from tests.support.simulated_remote import SimulatedRemote
from tests.support.written_files import written

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
BETA = Rule(channel="beta")
STABLE = Rule(channel="stable", pinned_minor="1.2")


class World(Protocol):
    """A remote that a test changes, and the port through which newleaf asks it."""

    @property
    def port(self) -> RemotePort: ...

    def commit(self, path: str) -> CommitId: ...

    def tag(self, name: str, commit: CommitId | None = None, message: str | None = None) -> CommitId: ...

    def delete(self, ref: str) -> None: ...

    def clone(self) -> CommitId: ...


class InMemory:
    def __init__(self) -> None:
        self.remote = SimulatedRemote()

    @property
    def port(self) -> RemotePort:
        return self.remote

    def commit(self, path: str) -> CommitId:
        return self.remote.commit(path)

    def tag(self, name: str, commit: CommitId | None = None, message: str | None = None) -> CommitId:
        return self.remote.tag(name, commit, message)

    def delete(self, ref: str) -> None:
        self.remote.delete(ref)

    def clone(self) -> CommitId:
        return self.remote.clone()


class OnDisk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.remote = RealRemote.make(folder)
        self.count = 0
        self.made: RemotePort | None = None

    @property
    def port(self) -> RemotePort:
        if self.made is None:
            self.clone()
        assert self.made
        return self.made

    def commit(self, path: str) -> CommitId:
        self.count += 1
        return self.remote.commit({path: f"{self.count}\n"})

    def tag(self, name: str, commit: CommitId | None = None, message: str | None = None) -> CommitId:
        return self.remote.tag(name, commit, message)

    def delete(self, ref: str) -> None:
        self.remote.git("update-ref", "-d", ref)

    def clone(self) -> CommitId:
        host = make_host(self.folder / "host", self.remote)
        self.made = host.git
        return host.checkout.id_of()


@pytest.fixture(params=["in memory", "real git"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return InMemory() if request.param == "in memory" else OnDisk(tmp_path)


@pytest.fixture
def remote() -> SimulatedRemote:
    """A remote in memory with one commit, which this host has."""
    made = SimulatedRemote()
    made.commit()
    made.clone()
    return made


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def now() -> datetime:
    return NOW


def seen(state: Path) -> dict[str, Any]:
    return json.loads((state / "identity.json").read_text())["tags"]


# --- alpha ----------------------------------------------------------------------------


def test_branch_moved_then_its_head(world: World, state: Path) -> None:
    world.commit("app.py")
    live = world.clone()
    head = world.commit("app.py")
    choice = Resolver(world.port, state, now)(Rule(), Release(live))
    assert choice.target == Release(head)


def test_branch_unmoved_then_up_to_date(world: World, state: Path) -> None:
    world.commit("app.py")
    live = world.clone()
    choice = Resolver(world.port, state, now)(Rule(), Release(live))
    assert (choice.target, choice.reason) == (None, Reason.RUNNING)


def test_tag_with_the_branch_s_name_then_the_branch(world: World, state: Path) -> None:
    """threats.md T10."""
    world.commit("app.py")
    live = world.clone()
    world.tag("main")
    head = world.commit("app.py")
    assert Resolver(world.port, state, now)(Rule(), Release(live)).target == Release(head)


def test_branch_gone_then_failure(world: World, state: Path) -> None:
    """lessons.md L2."""
    world.commit("app.py")
    live = world.clone()
    choice = Resolver(world.port, state, now)(Rule(branch="trunk"), Release(live))
    assert choice.failure
    assert choice.failure.code == "branch_missing"


# --- watch.paths ----------------------------------------------------------------------

WATCHING = Rule(paths=("src", "uv.lock"))


def test_nothing_watched_is_touched_then_up_to_date_and_why(world: World, state: Path) -> None:
    world.commit("src/app.py")
    live = world.clone()
    world.commit("README.md")
    choice = Resolver(world.port, state, now)(WATCHING, Release(live))
    assert choice.target is None
    assert "src, uv.lock" in choice.message


def test_something_watched_is_touched_then_that_commit_not_the_head(world: World, state: Path) -> None:
    world.commit("src/app.py")
    live = world.clone()
    touching = world.commit("src/deep/app.py")
    world.commit("README.md")
    choice = Resolver(world.port, state, now)(WATCHING, Release(live))
    assert choice.target == Release(touching)


def test_here_is_past_the_newest_touching_commit_then_up_to_date(world: World, state: Path) -> None:
    world.commit("src/app.py")
    world.commit("README.md")
    live = world.clone()
    world.commit("README.md")
    assert Resolver(world.port, state, now)(WATCHING, Release(live)).target is None


def test_file_whose_name_begins_alike_then_not_touched(world: World, state: Path) -> None:
    world.commit("src/app.py")
    live = world.clone()
    world.commit("srcs/app.py")
    assert Resolver(world.port, state, now)(WATCHING, Release(live)).target is None


def test_head_is_here_already_then_not_fetched_again(remote: SimulatedRemote, state: Path) -> None:
    live = remote.clone()
    remote.commit("README.md")
    for _ in range(2):
        Resolver(remote, state, now)(WATCHING, Release(live))
    assert [question.split()[0] for question in remote.asked] == ["ls-remote", "fetch", "ls-remote"]


# --- tags -----------------------------------------------------------------------------


def test_tags_then_the_highest_with_the_commit_it_points_to(world: World, state: Path) -> None:
    """lessons.md L15."""
    for number in (1, 9, 10):
        world.commit("app.py")
        world.tag(f"v1.{number}.0", message=f"Release 1.{number}.0")
    head = world.clone()
    choice = Resolver(world.port, state, now)(BETA, Release(CommitId("0" * 40), "1.1.0"))
    assert choice.target == Release(head, "1.10.0", "v1.10.0")
    assert choice.tag_object != head


def test_exact_version_then_its_tag_whatever_the_channel(world: World, state: Path) -> None:
    world.commit("app.py")
    old = world.tag("v1.0.0")
    world.commit("app.py")
    world.tag("v1.1.0")
    live = world.clone()
    choice = Resolver(world.port, state, now)(Rule(exact="1.0.0"), Release(live, "1.1.0"))
    assert (choice.target, choice.sideways) == (Release(old, "1.0.0", "v1.0.0"), True)


def test_exact_commit_then_nobody_is_asked(remote: SimulatedRemote, state: Path) -> None:
    remote.break_down()
    choice = Resolver(remote, state, now)(Rule(exact="a" * 40), Release(CommitId("b" * 40)))
    assert choice.target == Release(CommitId("a" * 40))
    assert remote.asked == []


@pytest.mark.parametrize("position", ["before", "at", "past"])
def test_no_version_known_then_the_history_says(position: str, world: World, state: Path) -> None:
    world.commit("app.py")
    ids = {"before": world.commit("app.py")}
    ids["at"] = world.commit("app.py")
    world.tag("v1.0.0", message="Release")
    ids["past"] = world.commit("app.py")
    world.clone()
    choice = Resolver(world.port, state, now)(BETA, Release(ids[position]))
    expected = {"before": Reason.AHEAD, "at": Reason.RUNNING, "past": Reason.CONTAINED}
    assert choice.reason is expected[position]
    assert (choice.target is not None) == (position == "before")


def test_no_version_known_and_the_release_not_here_then_ahead(remote: SimulatedRemote, state: Path) -> None:
    live = remote.clone()
    remote.commit()
    remote.tag("v1.0.0")
    assert Resolver(remote, state, now)(BETA, Release(live)).target


# --- moved tags -----------------------------------------------------------------------


def test_tags_seen_then_their_objects_are_kept(world: World, state: Path) -> None:
    """threats.md T9."""
    world.commit("app.py")
    plain = world.tag("v1.0.0")
    world.tag("v1.1.0", message="Release")
    world.tag("junk")
    live = world.clone()
    (state / "identity.json").write_text('{"schema": 1, "app": "sessions", "later": [1]}')
    Resolver(world.port, state, now)(BETA, Release(live, "1.0.0"))
    assert seen(state)["v1.0.0"] == plain
    assert set(seen(state)) == {"v1.0.0", "v1.1.0"}
    assert seen(state)["v1.1.0"] != plain
    record = json.loads((state / "identity.json").read_text())
    assert (record["app"], record["later"]) == ("sessions", [1])


@pytest.mark.parametrize("message", [None, "Release"])
@pytest.mark.parametrize("rule", [BETA, STABLE, Rule(exact="1.2.0")])
def test_target_tag_moved_then_refused_for_good(
    rule: Rule, message: str | None, world: World, state: Path
) -> None:
    """threats.md T9."""
    live = world.commit("app.py")
    first = world.commit("app.py")
    world.tag("v1.2.0", message=message)
    world.clone()
    resolver = Resolver(world.port, state, now)
    assert resolver(rule, Release(live, "1.0.0")).target == Release(first, "1.2.0", "v1.2.0")
    world.commit("app.py")
    world.tag("v1.2.0", message=message)
    with pytest.raises(TagMoved):
        resolver(rule, Release(live, "1.0.0"))
    with pytest.raises(TagMoved) as caught:
        resolver(rule, Release(live, "1.0.0"))
    assert caught.value.exit_code == 5
    assert "v1.2.0" in caught.value.message
    assert str(state / "identity.json") in caught.value.advice


def test_tag_of_what_is_here_moved_then_refused(remote: SimulatedRemote, state: Path) -> None:
    """threats.md T9: what is installed is not replaced under its own version."""
    live = remote.clone()
    remote.tag("v1.2.0")
    resolver = Resolver(remote, state, now)
    assert resolver(BETA, Release(live, "1.2.0")).reason is Reason.RUNNING
    remote.commit()
    remote.tag("v1.2.0")
    with pytest.raises(TagMoved):
        resolver(BETA, Release(live, "1.2.0"))


def test_tag_moved_to_what_is_here_then_nothing_to_do(remote: SimulatedRemote, state: Path) -> None:
    live = remote.clone()
    other = remote.commit()
    remote.tag("v1.2.0", other)
    resolver = Resolver(remote, state, now)
    resolver(BETA, Release(live, "1.0.0"))
    remote.tag("v1.2.0", live)
    assert resolver(BETA, Release(live, "1.0.0")).reason is Reason.RUNNING


def test_tag_deleted_and_made_anew_then_refused(remote: SimulatedRemote, state: Path) -> None:
    """threats.md T9."""
    live = remote.clone()
    remote.commit()
    remote.tag("v1.2.0")
    resolver = Resolver(remote, state, now)
    resolver(BETA, Release(live, "1.0.0"))
    remote.delete("refs/tags/v1.2.0")
    assert resolver(BETA, Release(live, "1.0.0")).reason is Reason.NO_RELEASE
    remote.commit()
    remote.tag("v1.2.0")
    with pytest.raises(TagMoved):
        resolver(BETA, Release(live, "1.0.0"))


def test_other_tag_moved_then_the_target_is_taken(remote: SimulatedRemote, state: Path) -> None:
    live = remote.clone()
    remote.tag("v1.1.0")
    resolver = Resolver(remote, state, now)
    resolver(BETA, Release(live, "1.0.0"))
    head = remote.commit()
    remote.tag("v1.1.0", head)
    remote.tag("v1.2.0", head)
    assert resolver(BETA, Release(live, "1.1.0")).target == Release(head, "1.2.0", "v1.2.0")
    assert seen(state)["v1.1.0"] == live


def test_line_removed_by_a_person_then_the_moved_tag_is_taken(remote: SimulatedRemote, state: Path) -> None:
    """The cure works."""
    live = remote.clone()
    remote.tag("v1.2.0")
    resolver = Resolver(remote, state, now)
    resolver(BETA, Release(live, "1.0.0"))
    head = remote.commit()
    remote.tag("v1.2.0")
    record = json.loads((state / "identity.json").read_text())
    del record["tags"]["v1.2.0"]
    (state / "identity.json").write_text(json.dumps(record))
    assert resolver(BETA, Release(live, "1.0.0")).target == Release(head, "1.2.0", "v1.2.0")


@pytest.mark.parametrize("text", ['{"tags": []}', '{"tags": {"v1.0": 1}}', '{"tags": ', "", "[]"])
def test_identity_unreadable_then_nothing_is_chosen(text: str, remote: SimulatedRemote, state: Path) -> None:
    """threats.md T9: what was seen is never forgotten silently."""
    remote.tag("v1.2.0")
    (state / "identity.json").write_text(text)
    with pytest.raises(NewleafError) as caught:
        Resolver(remote, state, now)(BETA, Release(CommitId("0" * 40), "1.0.0"))
    assert (caught.value.code, caught.value.exit_code) == ("corrupt_file", 7)


def test_nothing_new_then_identity_is_not_written(remote: SimulatedRemote, state: Path) -> None:
    remote.tag("v1.2.0")
    resolver = Resolver(remote, state, now)
    resolver(BETA, Release(remote.clone(), "1.2.0"))
    before = written(state / "identity.json")
    resolver(BETA, Release(remote.clone(), "1.2.0"))
    assert written(state / "identity.json") == before


# --- GitHub ---------------------------------------------------------------------------


@dataclass
class OnGithub:
    """A remote whose releases are listed by an API."""

    remote: SimulatedRemote
    api: GithubServer
    state: Path
    live: CommitId

    def publish(self, tag: str, **fields: Any) -> CommitId:
        """A commit, its tag, and a release of it."""
        commit = self.remote.commit()
        self.remote.tag(tag, message="Release")
        self.api.publish(tag, **fields)
        return commit

    def resolve(self, rule: Rule = BETA, at: datetime = NOW, *, trusting: bool = False) -> Choice:
        releases = Github(Api(self.api.url, "acme/sessions"), HttpClient(), lambda: at)
        resolver = Resolver(self.remote, self.state, lambda: at, releases, trusting)
        return resolver(rule, Release(self.live, "1.0.0"))


@pytest.fixture
def hosted(remote: SimulatedRemote, state: Path) -> Any:
    with github_api() as api:
        yield OnGithub(remote, api, state, remote.clone())


def test_release_on_github_then_the_commit_that_git_says(hosted: OnGithub) -> None:
    commit = hosted.publish("v1.1.0", target_commitish="f" * 40, published_at="2026-11-19T10:00:00Z")
    choice = hosted.resolve()
    assert choice.target == Release(commit, "1.1.0", "v1.1.0")
    assert choice.published_at == datetime(2026, 11, 19, 10, tzinfo=UTC)
    assert hosted.remote.asked == ["ls-remote refs/tags/v1.1.0 refs/tags/v1.1.0^{}"]


def test_tag_without_a_release_then_not_a_target(hosted: OnGithub) -> None:
    commit = hosted.publish("v1.1.0")
    hosted.remote.commit()
    hosted.remote.tag("v1.2.0")
    found = hosted.resolve().target
    assert found
    assert found.commit == commit


def test_drafts_and_prereleases_then_not_targets(hosted: OnGithub) -> None:
    hosted.publish("v1.1.0")
    hosted.publish("v1.2.0", draft=True)
    hosted.publish("v1.3.0", prerelease=True)
    found, early = hosted.resolve().target, hosted.resolve(Rule(channel="beta", prereleases=True)).target
    assert found
    assert early
    assert (found.version, early.version) == ("1.1.0", "1.3.0")


def test_nothing_published_then_nothing_to_do(hosted: OnGithub) -> None:
    hosted.remote.tag("v1.1.0")
    assert hosted.resolve().reason is Reason.NO_RELEASE
    assert hosted.remote.asked == []


def test_release_whose_tag_is_gone_then_failure_not_an_older_one(hosted: OnGithub) -> None:
    hosted.publish("v1.1.0")
    hosted.publish("v1.2.0")
    hosted.remote.delete("refs/tags/v1.2.0")
    with pytest.raises(ReleaseWithoutTag, match=r"v1\.2\.0"):
        hosted.resolve()


def test_unchanged_and_trusted_then_git_is_not_asked(hosted: OnGithub) -> None:
    hosted.publish("v1.1.0")
    first = hosted.resolve(trusting=True)
    again = hosted.resolve(trusting=True)
    assert again == first
    assert len(hosted.remote.asked) == 1
    assert hosted.api.counted == 1


def test_unchanged_and_not_trusted_then_git_is_asked_and_a_moved_tag_refused(hosted: OnGithub) -> None:
    """threats.md T9: an attempt never takes the API's word."""
    hosted.publish("v1.1.0")
    hosted.resolve()
    hosted.remote.commit()
    hosted.remote.tag("v1.1.0", message="Release again")
    with pytest.raises(TagMoved):
        hosted.resolve()


def test_another_rule_on_an_unchanged_list_then_its_own_tag_is_asked(hosted: OnGithub) -> None:
    patch = hosted.publish("v1.2.5")
    newest = hosted.publish("v1.3.0")
    assert hosted.resolve(trusting=True).target == Release(newest, "1.3.0", "v1.3.0")
    assert hosted.resolve(STABLE, trusting=True).target == Release(patch, "1.2.5", "v1.2.5")


def test_pin_then_among_the_tags_not_the_releases(hosted: OnGithub) -> None:
    hosted.remote.commit()
    hosted.remote.tag("v0.9.0")
    found = hosted.resolve(Rule(channel="beta", exact="0.9.0")).target
    assert found
    assert found.tag == "v0.9.0"
    assert hosted.api.received == []


def test_limit_reached_then_not_asked_again_before_its_time(hosted: OnGithub) -> None:
    """lessons.md L44."""
    hosted.publish("v1.1.0")
    hosted.api.instead.append(Answer(429, {"Retry-After": "600"}))
    for minutes in (0, 9):
        with pytest.raises(ApiLimited, match="12:10:00Z"):
            hosted.resolve(at=NOW + timedelta(minutes=minutes))
    assert len(hosted.api.received) == 1
    assert hosted.resolve(at=NOW + timedelta(minutes=11)).target
    assert hosted.resolve(at=NOW).target


@pytest.mark.parametrize(
    "text", ["", "{", '{"github": 1}', '{"github_tag": {"tag": "v1.1.0"}}', '{"retry_at": 5}']
)
def test_memory_unreadable_then_asked_anew(text: str, hosted: OnGithub) -> None:
    hosted.publish("v1.1.0")
    (hosted.state / "watch.json").write_text(text)
    assert hosted.resolve(trusting=True).target
    assert hosted.resolve(trusting=True).target


def test_remote_fails_then_its_error_and_nothing_is_guessed(remote: SimulatedRemote, state: Path) -> None:
    """lessons.md L2."""
    remote.break_down()
    rules: list[Callable[[], Choice]] = [
        lambda rule=rule: Resolver(remote, state, now)(rule, Release(CommitId("0" * 40)))  # type: ignore[misc]
        for rule in (Rule(), BETA, STABLE, Rule(exact="1.0"))
    ]
    for resolve in rules:
        with pytest.raises(NewleafError, match="no route to host"):
            resolve()
