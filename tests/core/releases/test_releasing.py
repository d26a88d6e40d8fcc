"""Each check of a release: a seat at which everything holds, and what is changed in it to make one fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace
from packaging.version import Version

from newleaf.core.data.data_errors import MigrationNumberTwice
from newleaf.core.data.migration import Script
from newleaf.core.errors import SettingsInvalid
from newleaf.core.release import CommitId
from newleaf.core.releases.channels import Published
from newleaf.core.releases.git_errors import RemoteUnreachable
from newleaf.core.releases.releasing import RULES, Check, examine, may_release, remarks
from newleaf.core.releases.seat import Before, Key, Line, Seat, Tree, Wish

HEAD, OLD, TAG, OTHER = (CommitId(letter * 40) for letter in "abcd")
REFS = {"refs/heads/main": OLD, "refs/tags/v1.0.0": OTHER, "refs/tags/v1.0.0^{}": OLD}
LINE = Line("main", "origin", "git@example.org:team/sessions.git", ("origin",), REFS)
TREE = Tree(
    "newleaf.toml",
    app="sessions",
    version="1.1.0",
    version_files=("pyproject.toml",),
    scripts=(Script("v1.0.0/001_old.py"), Script("v1.1.0/001_new.py")),
)


def published(*versions: str) -> tuple[Published, ...]:
    return tuple(Published(f"v{text}", Version(text), Version(text).is_prerelease, OLD) for text in versions)


BEFORE = Before(published("1.0.0")[0], app="sessions", scripts=frozenset({"1.0.0/001_old.py"}))
SEAT = Seat(
    wish=Wish(),
    head=HEAD,
    line=LINE,
    tree=TREE,
    published=published("1.0.0"),
    before=BEFORE,
    key=Key("the key /home/ada/.ssh/id"),
)


def line(**facts: Any) -> dict[str, Any]:
    return {"line": replace(LINE, **facts)}


def tree(**facts: Any) -> dict[str, Any]:
    return {"tree": replace(TREE, **facts)}


def before(**facts: Any) -> dict[str, Any]:
    return {"before": replace(BEFORE, **facts)}


def check(name: str, facts: Mapping[str, Any]) -> Check:
    (found,) = [each for each in examine(replace(SEAT, **facts)) if each.name == name]
    return found


def test_everything_holds_then_every_check_says_so_and_no_cure() -> None:
    checks = examine(SEAT)
    assert [each.name for each in checks] == list(RULES)
    assert all(each.ok and each.detail and not each.cure for each in checks)
    assert may_release(checks)


def test_one_check_fails_or_cannot_be_made_then_it_may_not_be_released() -> None:
    assert not may_release((Check("a", True, ""), Check("b", False, "")))
    assert not may_release((Check("a", True, ""), Check("b", None, "")))


FAILING: dict[str, tuple[str, Mapping[str, Any], str, str]] = {
    "a merge is under way": ("operation", {"operation": "merge"}, "a merge is", "git merge --abort"),
    "a bisect is under way": ("operation", {"operation": "bisect"}, "a bisect is", "git bisect reset"),
    "a tracked file is changed": ("clean", {"changed": ("app.py",)}, "not committed: app.py", "git stash"),
    "a migration is untracked": (
        "clean",
        {"untracked_scripts": ("migrations/v1.1.0/002_x.py",)},
        "does not track: migrations/v1.1.0/002_x.py",
        "git add",
    ),
    "HEAD is detached": ("branch", line(branch=None), "HEAD is on no branch", "--branch main"),
    "a branch that git could misread": ("branch", line(branch="a..b"), "'a..b' would be read", "--branch"),
    "no remote": ("branch", line(remote=None, remotes=()), "no remote", "--no-push"),
    "several remotes": ("branch", line(remote=None, remotes=("a", "b")), "a, b?", "--set-upstream-to=REMOTE"),
    "a remote that git could misread": ("branch", line(remote="-x"), "'-x' begins with -", "git remote"),
    "the remote does not answer": (
        "branch",
        line(refs=None, error=RemoteUnreachable(url="x", reason="timed out")),
        "cannot be reached: timed out",
        "git ls-remote origin",
    ),
    "the remote is ahead": (
        "remote",
        line(contains_remote=False),
        "origin/main has bbbbbbbbb, which is not part of aaaaaaaaa",
        "git pull --rebase origin main",
    ),
    "the remote is ahead of a shallow clone": (
        "remote",
        {**line(contains_remote=False), "shallow": True},
        "is not part of",
        "git fetch --unshallow, then git pull",
    ),
    "settings do not hold": (
        "settings",
        tree(settings_error=SettingsInvalid(listed="newleaf.toml: app.nam is not a setting")),
        "app.nam is not",
        "settings.md",
    ),
    "the last release is not in the clone": (
        "history",
        before(is_here=False),
        "v1.0.0, the last release, is not in this clone",
        "git fetch --tags origin",
    ),
    "the last release is not in a shallow clone": (
        "history",
        {**before(is_here=False), "shallow": True},
        "is not in this clone",
        "git fetch --tags --unshallow origin",
    ),
    "the app has another name": (
        "app",
        tree(app="chat"),
        "chat, but v1.0.0 was sessions",
        'name = "sessions"',
    ),
    "no version": ("version", tree(version=None), "says no version", "newleaf release VERSION"),
    "another version was asked for": (
        "version",
        {"wish": Wish("1.2.0")},
        "pyproject.toml says 1.1.0, and 1.2.0 was asked for",
        "write 1.2.0 there",
    ),
    "a development version": ("version", tree(version="1.1.0.dev3"), "on the way", "make it 1.1.0"),
    "a local version": ("version", tree(version="1.1.0+mine"), "on the way", "make it 1.1.0"),
    "the version is not raised": (
        "bump",
        {**tree(version="1.0.0"), "before": None},
        "1.0.0 is not higher than 1.0.0",
        "in pyproject.toml above 1.0.0",
    ),
    "the version is spelled otherwise, and not raised": (
        "bump",
        {"published": (replace(published("1.1.0")[0], tag="v1.1"),)},
        "1.1.0 is not higher than 1.1.0",
        "above 1.1.0",
    ),
    "a lower version of a minor of its own": (
        "bump",
        {"published": published("1.0.0", "1.3.0")},
        "1.1.0 is not higher than 1.3.0",
        "above 1.3.0",
    ),
    "a patch that is older than its minor": (
        "bump",
        {"published": published("1.1.4", "1.3.0")},
        "1.1.0 is not higher than 1.1.4, the newest of its minor",
        "above 1.1.4",
    ),
    "a patch of an older minor, made from the newer one": (
        "bump",
        {**tree(version="1.1.5"), "published": published("1.1.4", "1.3.0"), "contained": {"v1.3.0"}},
        "1.1.5 is not higher than 1.3.0",
        "above 1.3.0",
    ),
    "the tag's name cannot be used": ("tag", {"prefix": "a..b"}, "would be read as a revision", "tag_prefix"),
    "the tag is at the remote": (
        "tag",
        line(refs={**REFS, "refs/tags/v1.1.0": TAG}),
        "v1.1.0 is at origin already",
        "raise the version",
    ),
    "the tag is at the remote, another one here": (
        "tag",
        {**line(refs={**REFS, "refs/tags/v1.1.0": TAG}), "local_tag": OTHER},
        "v1.1.0 is at origin already",
        "raise the version",
    ),
    "the tag is here, of another commit": (
        "tag",
        {"local_tag": TAG, "local_fault": "it names ddddddddd, not aaaaaaaaa"},
        "v1.1.0 is here already, and not at the remote: it names ddddddddd",
        "git tag -d v1.1.0",
    ),
    "two migrations with one number": (
        "migrations",
        tree(
            scripts=(),
            scripts_error=MigrationNumberTwice(number="001", version="1.1.0", first="a", second="b"),
        ),
        "two migrations have the number 001",
        "next free number",
    ),
    "a migration above the version": (
        "migrations",
        tree(scripts=(Script("v1.2.0/001_soon.py"),)),
        "v1.2.0/001_soon.py",
        "under v1.1.0",
    ),
    "a migration of the version itself, in a prerelease of it": (
        "migrations",
        tree(version="1.1.0rc1"),
        "filed above 1.1.0rc1",
        "or release their version",
    ),
    "a migration that is late": (
        "migrations",
        tree(scripts=(Script("v1.0.0/001_old.py"), Script("v1.0.0/002_late.py"))),
        "so that no host would run them: v1.0.0/002_late.py",
        "under v1.1.0",
    ),
    "a tree that hosts refuse": (
        "tree",
        tree(faults=("'lib' is a submodule",)),
        "'lib' is a sub",
        "take it out",
    ),
    "no key": ("signing", {"key": None}, "no ssh key", "--no-sign"),
    "a key that cannot sign": (
        "signing",
        {"key": Key("the key x", "needs a passphrase", "ssh-add x")},
        "the key x needs a passphrase",
        "ssh-add x",
    ),
}


@pytest.mark.parametrize("situation", FAILING)
def test_one_thing_is_wrong_then_its_check_fails_with_its_cure(situation: str) -> None:
    name, facts, detail, cure = FAILING[situation]
    found = check(name, facts)
    assert found.ok is False
    assert detail in found.detail
    assert cure in found.cure


PASSING: dict[str, tuple[str, Mapping[str, Any], str]] = {
    "no remote, and nothing to push": (
        "branch",
        {**line(remote=None, remotes=(), refs=None), "wish": Wish(push=False)},
        "no remote to ask",
    ),
    "no remote to be behind": (
        "remote",
        {**line(remote=None, remotes=(), refs=None), "wish": Wish(push=False)},
        "no remote to be behind",
    ),
    "the remote has no such branch": ("remote", line(refs={}), "origin has no main yet"),
    "the remote has this very commit": ("remote", line(refs={"refs/heads/main": HEAD}), "is this commit"),
    "commits go along": ("remote", {}, "newer commits go along"),
    "the first release has any name": ("app", {"before": None, "published": ()}, "no release before"),
    "no newleaf.toml before": ("app", before(app=None), "sessions"),
    "the version asked for is the tree's": (
        "version",
        {"wish": Wish("1.1")},
        "1.1.0, as pyproject.toml says",
    ),
    "the tree says none, one was asked for": (
        "version",
        {**tree(version=None, version_files=()), "wish": Wish("1.1.0")},
        "1.1.0, as asked for",
    ),
    "the first release": ("bump", {"published": ()}, "the first release"),
    "a patch of an older minor": (
        "bump",
        {**tree(version="1.1.5"), "published": published("1.1.4", "1.3.0")},
        "1.1.5 follows 1.1.4; a patch beside 1.3.0",
    ),
    "the tag of an interrupted run": ("tag", {"local_tag": TAG}, "an earlier run"),
    "the tag of an interrupted run, which arrived": (
        "tag",
        {**line(refs={**REFS, "refs/tags/v1.1.0": TAG}), "local_tag": TAG},
        "an earlier run",
    ),
    "an interrupted run's tag is no release before": (
        "bump",
        {"local_tag": TAG, "published": published("1.0.0", "1.1.0")},
        "1.1.0 is higher than 1.0.0",
    ),
    "no migrations": ("migrations", tree(scripts=()), "there are none"),
    "migrations of the first release": ("migrations", {"before": None}, "2, none above 1.1.0"),
    "new ones since": ("migrations", {}, "2, of which 1 new since v1.0.0"),
    "a new one between the releases": (
        "migrations",
        tree(scripts=(Script("v1.0.1/001_skipped.py"),)),
        "1, of which 1 new",
    ),
    "no signature is wished for": ("signing", {"key": None, "wish": Wish(sign=False)}, "not asked for"),
}


@pytest.mark.parametrize("situation", PASSING)
def test_nothing_is_wrong_then_the_check_passes(situation: str) -> None:
    name, facts, detail = PASSING[situation]
    found = check(name, facts)
    assert found.ok is True
    assert detail in found.detail


UNJUDGED: dict[str, tuple[str, Mapping[str, Any]]] = {
    "the remote is not known": ("remote", line(refs=None)),
    "the app has no name": ("app", tree(app=None)),
    "the last app is not in the clone": ("app", before(is_here=False)),
    "no version to compare": ("bump", tree(version=None)),
    "no version to name a tag by": ("tag", tree(version=None)),
    "no version for migrations": ("migrations", tree(version=None)),
    "the last migrations are not in the clone": ("migrations", before(is_here=False)),
}


@pytest.mark.parametrize("situation", UNJUDGED)
def test_another_check_failed_then_what_depends_on_it_is_not_judged(situation: str) -> None:
    name, facts = UNJUDGED[situation]
    found = check(name, facts)
    assert (found.ok, found.detail.startswith("not judged: ")) == (None, True)


def test_many_files_then_the_first_are_named_and_the_rest_counted() -> None:
    found = check("clean", {"changed": tuple("abcdefg")})
    assert found.detail.endswith("a, b, c, d, e and 2 more")


def test_a_plain_release_then_nothing_is_remarked() -> None:
    assert not list(remarks(SEAT))


def test_an_unsigned_prerelease_on_github_then_each_is_remarked() -> None:
    facts = {
        "wish": Wish(sign=False),
        **tree(version="1.1.0rc1"),
        **line(url="https://github.com/acme/sessions"),
    }
    unsigned, prerelease, hosted = remarks(replace(SEAT, **facts))
    assert 'security.require = "tags" will refuse it' in unsigned
    assert "deployment.prereleases" in prerelease
    assert "gh release create v1.1.0rc1" in hosted
