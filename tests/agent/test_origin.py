"""Where releases come from: what is asked for, what is brought, and what is refused of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from newleaf.agent.origin import Origin
from newleaf.core.errors import BelowFloor, CommandFailed, FailedError, SettingsInvalid, TreeRefused, WrongApp
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.channels import Choice, Reason, Rule
from newleaf.core.releases.git_errors import NameInvalid
from newleaf.core.requests import Request
from newleaf.core.settings.fragments import Sources, load, read_table
from newleaf.core.settings.model import Settings
from tests.support.hosts import Host, make_host
from tests.support.repositories import FIRST_TIME, Link, Remote

FIRST_SEEN = CommitId("f" * 40)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def settings(**tables: dict[str, object]) -> Settings:
    whole = {"app": {"name": "sessions"}, **tables}
    return load(Sources(host=read_table(whole, "host"))).settings


@dataclass
class Scene:
    """An origin on a real host; `choice` is what the remote resolves to."""

    host: Host
    choice: Choice = field(default_factory=lambda: Choice(Reason.RUNNING))
    pin: str | None = None
    name: str = "sessions"
    rules: list[Rule] = field(default_factory=list)
    noted: list[tuple[str, str]] = field(default_factory=list)
    moves: list[tuple[Release, bool]] = field(default_factory=list)
    asked: list[tuple[Release, CommitId | None]] = field(default_factory=list)
    unsound: Exception | None = None

    def origin(self, own: Settings | None = None, inner: str = ".") -> Origin:
        return Origin(
            self.host.git,
            own or settings(),
            inner,
            lambda: self.pin,
            self.resolve,
            self.settings_of,
            lambda target, sideways: self.moves.append((target, sideways)),
            lambda branch, commit: self.noted.append((branch, commit)),
            lambda target, tag_object: self.asked.append((target, tag_object)),
            lambda target: (target, FIRST_SEEN if target.tag == "v1.0.0" else None),
        )

    def resolve(self, rule: Rule, live: Release) -> Choice:
        self.rules.append(rule)
        return self.choice

    def settings_of(self, commit: CommitId) -> Settings:
        if self.unsound:
            raise self.unsound
        return settings(app={"name": self.name})


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    remote = Remote.make(tmp_path)
    remote.commit({"pyproject.toml": '[project]\nversion = "1.0.0"\n'})
    return Scene(make_host(tmp_path, remote))


def ruled(scene: Scene, request: Request, **tables: dict[str, object]) -> Rule:
    return scene.origin(settings(**tables)).rule(request)


# --- what is asked for ----------------------------------------------------------------------


def test_the_settings_say_what_is_followed(scene: Scene) -> None:
    rule = ruled(
        scene,
        Request(),
        deployment={"channel": "stable", "pinned_minor": "1.3", "prereleases": True},
        source={"branch": "release/1", "tag_prefix": "worker-v"},
        watch={"paths": ["worker"]},
    )
    assert rule == Rule("stable", "release/1", "worker-v", "1.3", True, None, ("worker",))


def test_a_pin_outranks_the_channel_and_a_verb_s_pin_the_settings(scene: Scene) -> None:
    """contracts.md: a verb's decision outranks host.toml, and undoing the verb returns to it."""
    tables: dict[str, dict[str, object]] = {"deployment": {"channel": "beta", "pin": "1.1.0"}}
    assert ruled(scene, Request(), **tables).exact == "1.1.0"
    scene.pin = "1.0.0"
    assert ruled(scene, Request(), **tables).exact == "1.0.0"
    scene.pin = None
    assert ruled(scene, Request(), **tables).exact == "1.1.0"


def test_an_order_outranks_the_pin(scene: Scene) -> None:
    scene.pin = "1.0.0"
    assert ruled(scene, Request(to="1.2.0")).exact == "1.2.0"
    branch = ruled(scene, Request(branch="feature"), deployment={"channel": "beta"})
    assert (branch.exact, branch.channel, branch.branch) == (None, "alpha", "feature")


def test_an_abbreviated_commit_is_completed_where_it_is_here(scene: Scene) -> None:
    head = scene.host.checkout.id_of()
    assert ruled(scene, Request(to=head[:9])).exact == head
    assert ruled(scene, Request(to="f" * 9)).exact == "f" * 9, "the remote may know what it means"


@pytest.mark.parametrize("branch", ["--upload-pack=touch X", "-f", "a..b", "a\nb", "x" * 300, ""])
def test_a_branch_that_is_no_plain_name_is_refused(scene: Scene, branch: str) -> None:
    """threats.md T15, lessons.md L11"""
    with pytest.raises(NameInvalid):
        scene.origin().resolve(Request(branch=branch), Release(scene.host.checkout.id_of()))
    assert scene.rules == []


def test_what_a_choice_fails_with_is_raised(scene: Scene) -> None:
    scene.choice = Choice(Reason.PIN_MISSING, failure=FailedError(reason="no such tag"))
    with pytest.raises(FailedError, match="no such tag"):
        scene.origin().resolve(Request(), Release(scene.host.checkout.id_of()))


# --- what is brought ------------------------------------------------------------------------


def test_the_head_of_a_branch_is_brought_and_noted(scene: Scene) -> None:
    commit = scene.host.remote.commit({"pyproject.toml": '[project]\nversion = "1.1.0"\n'})
    origin = scene.origin()
    assert origin.fetch(Release(commit)) == Release(commit, "1.1.0")
    assert scene.host.git.has(commit)
    assert scene.noted == [("main", commit)]


def test_the_branch_of_an_order_is_the_one_that_is_brought(scene: Scene) -> None:
    commit = scene.host.remote.commit(
        {"app.py": "feature\n"}, branch="feature", parent=scene.host.remote.id_of("main")
    )
    scene.choice = Choice(Reason.AHEAD, Release(commit), Release(commit))
    origin = scene.origin()
    target = origin.resolve(Request(branch="feature"), Release(scene.host.checkout.id_of())).target
    assert target is not None
    origin.fetch(target)
    assert scene.noted == [("feature", commit)]


def test_a_tag_is_brought_by_its_full_name_and_keeps_its_version(scene: Scene) -> None:
    """threats.md T10"""
    remote = scene.host.remote
    commit = remote.commit({"pyproject.toml": '[project]\nversion = "0.0.0"\n'})
    remote.tag("v1.1.0", commit)
    for other in ("refs/v1.1.0", "refs/heads/v1.1.0"):
        remote.git("update-ref", other, remote.id_of("main~1"))
    target = Release(commit, "1.1.0", "v1.1.0")
    assert scene.origin().fetch(target) == target
    assert scene.host.git.has(commit)
    assert scene.noted == [], "origin/main did not move"


def test_what_is_here_is_not_asked_for(scene: Scene) -> None:
    live = Release(scene.host.checkout.id_of())
    scene.host.remote.path.rename(scene.host.remote.path.with_name("gone.git"))
    assert scene.origin().fetch(live).version == "1.0.0"


def test_a_version_is_asked_of_git_once(scene: Scene) -> None:
    origin = scene.origin()
    head = scene.host.checkout.id_of()
    assert origin.version_of(head) == "1.0.0"
    (scene.host.state / "git" / "HEAD").unlink()
    assert origin.version_of(head) == "1.0.0"


def test_the_version_is_the_app_s_own_in_a_monorepo(scene: Scene) -> None:
    commit = scene.host.remote.commit({"worker/pyproject.toml": '[project]\nversion = "2.0.0"\n'})
    assert scene.origin(inner="worker").fetch(Release(commit)).version == "2.0.0"


def test_the_commits_between_two_releases_are_counted_and_named(scene: Scene) -> None:
    start = Release(scene.host.checkout.id_of())
    commits = [scene.host.remote.commit({"app.py": f"{number}\n"}, f"Change {number}") for number in (1, 2)]
    target = Release(commits[-1])
    origin = scene.origin()
    origin.fetch(target)
    assert origin.commits(start, target) == (2, ((commits[1], "Change 2"), (commits[0], "Change 1")))
    assert origin.commits(start, start) == (0, ())
    with pytest.raises(CommandFailed):
        origin.commits(start, Release(CommitId("f" * 40)))


def test_a_release_is_as_old_as_its_publication_else_as_its_commit(scene: Scene) -> None:
    live = Release(scene.host.checkout.id_of())
    origin = scene.origin()
    assert origin.released_at(live) == datetime.fromtimestamp(FIRST_TIME, UTC) + timedelta(minutes=1)
    scene.choice = Choice(Reason.AHEAD, live, live, published_at=NOON)
    origin.resolve(Request(), live)
    assert origin.released_at(live) == NOON


# --- what is refused ------------------------------------------------------------------------


def verified(scene: Scene, **tables: dict[str, object]) -> None:
    head = scene.host.remote.heads()["main"]
    origin = scene.origin(settings(**tables))
    origin.verify(origin.fetch(Release(CommitId(head))), sideways=False)


def test_a_good_release_comes_to_the_layout_for_its_word(scene: Scene) -> None:
    verified(scene)
    assert [sideways for _, sideways in scene.moves] == [False]


def bad_tree(scene: Scene) -> None:
    scene.host.remote.commit({"link": Link("/etc/passwd")})


def other_app(scene: Scene) -> None:
    scene.name = "tasks"


def unsound(scene: Scene) -> None:
    scene.unsound = SettingsInvalid(listed="newleaf.toml of abc: gates.window is no window", problems=[])


REFUSED: dict[str, tuple[Callable[[Scene], None], type[Exception], str]] = {
    "a tree that leads out": (bad_tree, TreeRefused, "link"),
    "another app": (other_app, WrongApp, "a release of tasks, and this host runs sessions"),
    "settings nobody could run with": (unsound, TreeRefused, r"gates\.window"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_policy_refuses_never_comes_to_the_layout(scene: Scene, kind: str) -> None:
    """threats.md T17"""
    spoil, error, telling = REFUSED[kind]
    spoil(scene)
    with pytest.raises(error, match=telling):
        verified(scene)
    assert scene.moves == []


def test_a_version_below_the_floor_is_refused(scene: Scene) -> None:
    """threats.md T1"""
    with pytest.raises(BelowFloor):
        verified(scene, security={"floor": "1.0.1"})
    verified(scene, security={"floor": "1.0.0"})


# --- signatures -----------------------------------------------------------------------------


def test_a_signature_is_asked_of_the_very_object_that_the_tag_was_resolved_to(scene: Scene) -> None:
    """threats.md T10, T22"""
    commit, tag_object = scene.host.fetched().commit, CommitId("e" * 40)
    target = Release(commit, "1.0.0", "v1.0.0")
    scene.choice = Choice(Reason.AHEAD, target, target, tag_object=tag_object)
    origin = scene.origin()
    origin.resolve(Request(), Release(CommitId("a" * 40)))
    origin.verify(target, sideways=False)
    assert scene.asked == [(target, tag_object)]


def test_a_tag_that_was_resolved_by_an_earlier_process_is_the_one_first_seen(scene: Scene) -> None:
    """threats.md T9: as on the way back"""
    target = Release(scene.host.fetched().commit, "1.0.0", "v1.0.0")
    scene.origin().verify(target, sideways=False)
    assert scene.asked == [(target, FIRST_SEEN)]


def test_a_commit_without_a_tag_has_no_object_that_could_vouch_for_it(scene: Scene) -> None:
    target = Release(scene.host.fetched().commit)
    scene.origin().verify(target, sideways=False)
    assert scene.asked == [(target, None)]
