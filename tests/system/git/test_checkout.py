from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from newleaf.core.adoption.findings import CheckoutFacts, GitSetting
from newleaf.core.errors import CommandFailed
from newleaf.core.releases.git_errors import NotACheckout
from newleaf.system.commands import Runner
from newleaf.system.git.checkout import count_unpushed, git_version, list_untracked, read_checkout
from tests.support.repositories import Checkout, Link, Remote, git_environment


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    made = Remote.make(tmp_path)
    made.commit({"a.txt": "a\n", "b/c.txt": "c\n"})
    return made


@pytest.fixture
def checkout(remote: Remote, tmp_path: Path) -> Checkout:
    return remote.clone(tmp_path / "clone")


def facts(at: Path, **environment: str) -> CheckoutFacts:
    return read_checkout(at, Runner(), git_environment(at.parent) | environment)


def test_a_fresh_clone_is_read(remote: Remote, checkout: Checkout) -> None:
    found = facts(checkout.path)
    assert found.top == str(checkout.path)
    assert found.head == checkout.id_of()
    assert (found.branch, found.default_branch) == ("main", "main")
    assert (found.upstream_remote, found.upstream_branch) == ("origin", "main")
    assert "origin/main" in found.remote_branches
    assert found.remotes == {"origin": remote.url}
    assert found.tracked == {"a.txt", "b/c.txt"}
    assert (found.tags, found.changed, found.unpushed, found.operation) == ((), (), 0, None)
    assert not found.linked_worktree
    assert not found.shallow


def test_the_top_is_found_from_below(checkout: Checkout) -> None:
    assert facts(checkout.path / "b").top == str(checkout.path)


def test_tags_and_remotes_are_listed(remote: Remote, tmp_path: Path) -> None:
    remote.tag("v1.0.0")
    remote.tag("api/v2.0.0", message="Two")
    checkout = remote.clone(tmp_path / "clone")
    checkout.git("remote", "rename", "origin", "upstream")
    checkout.git("remote", "add", "fork.of.mine", "https://example.org/fork")
    found = facts(checkout.path)
    assert found.tags == ("api/v2.0.0", "v1.0.0")
    assert found.remotes == {"upstream": remote.url, "fork.of.mine": "https://example.org/fork"}
    assert found.upstream_remote == "upstream"


def test_a_detached_head_has_no_branch(checkout: Checkout) -> None:
    checkout.git("checkout", "-q", "--detach")
    found = facts(checkout.path)
    assert (found.branch, found.default_branch, found.head) == (None, "main", checkout.id_of())


def test_commits_that_no_remote_has_are_counted(checkout: Checkout) -> None:
    checkout.write("a.txt", "mine\n")
    checkout.git("commit", "-qam", "Mine")
    assert facts(checkout.path).unpushed == 1


def test_commits_that_the_updater_fetched_are_on_the_remote(
    remote: Remote, checkout: Checkout, tmp_path: Path
) -> None:
    """An update moves the branch, and leaves origin/main where it was."""
    own = Remote.make(tmp_path, "own")
    commit = remote.commit({"a.txt": "2\n"})
    own.git("fetch", "-q", remote.url, commit)
    own.git("update-ref", "refs/newleaf/fetched/0", commit)
    checkout.git("fetch", "-q", remote.url, commit)
    checkout.git("reset", "-q", "--hard", commit)
    found = facts(checkout.path)
    assert found.unpushed == 1
    assert count_unpushed(found, own.path, Runner(), git_environment(tmp_path)) == 0
    assert count_unpushed(found, tmp_path / "none", Runner(), git_environment(tmp_path)) == 1
    checkout.git("commit", "-q", "--allow-empty", "-m", "Mine")
    assert count_unpushed(facts(checkout.path), own.path, Runner(), git_environment(tmp_path)) == 1


def test_changes_are_listed_and_untracked_files_are_none(checkout: Checkout) -> None:
    checkout.write("a.txt", "mine\n")
    checkout.write("new.txt", "")
    checkout.git("mv", "b/c.txt", "b/d.txt")
    checkout.write("ünï.txt", "x")
    checkout.git("add", "ünï.txt")
    assert sorted(facts(checkout.path).changed) == ["a.txt", "b/d.txt", "ünï.txt"]


@pytest.mark.parametrize("operation", ["merge", "rebase", "cherry-pick", "revert"])
def test_an_operation_under_way_is_named(operation: str, remote: Remote, checkout: Checkout) -> None:
    checkout.write("a.txt", "mine\n")
    checkout.git("commit", "-qam", "Mine")
    remote.commit({"a.txt": "theirs\n"})
    checkout.git("fetch", "-q")
    target = "HEAD~1" if operation == "revert" else "origin/main"
    with pytest.raises(AssertionError):
        checkout.git(operation, target)
    assert facts(checkout.path).operation == operation


def test_a_repository_without_commits_is_read(tmp_path: Path) -> None:
    Checkout(tmp_path).git("init", "-q", "--initial-branch=trunk")
    found = facts(tmp_path)
    assert (found.head, found.branch, found.tracked, found.remotes) == (None, "trunk", frozenset(), {})


def test_repositories_inside_the_tree_are_known(checkout: Checkout) -> None:
    checkout.git("update-index", "--add", "--cacheinfo", f"160000,{checkout.id_of()},vendor/lib")
    found = facts(checkout.path)
    assert found.embedded == ("vendor/lib",)
    assert "vendor/lib" not in found.tracked


def test_a_linked_worktree_and_a_shallow_clone_are_known(
    remote: Remote, checkout: Checkout, tmp_path: Path
) -> None:
    checkout.git("worktree", "add", "-q", "--detach", str(tmp_path / "second"))
    assert facts(tmp_path / "second").linked_worktree
    remote.commit({"a.txt": "2"})
    shallow = remote.clone(tmp_path / "shallow", "--depth=1", url=f"file://{remote.path}")
    assert facts(shallow.path).shallow


def test_the_users_settings_are_told_from_the_checkouts(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "user").write_text("[http]\n\tproxy = http://proxy.example.org\n[a]\n\tb = one\\ntwo\n")
    checkout.git("config", "credential.helper", "store")
    settings = facts(checkout.path, GIT_CONFIG_GLOBAL=str(tmp_path / "user")).settings
    assert GitSetting("http.proxy", "http://proxy.example.org", "global") in settings
    assert GitSetting("a.b", "one\ntwo", "global") in settings
    assert GitSetting("credential.helper", "store", "local") in settings


@pytest.mark.parametrize("kind", ["nothing", "bare"])
def test_what_is_no_checkout_is_said(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    if kind == "bare":
        Checkout(folder).git("init", "-q", "--bare")
    with pytest.raises(NotACheckout):
        facts(folder, GIT_CEILING_DIRECTORIES=str(tmp_path))


def test_a_damaged_repository_is_an_error_of_gits(checkout: Checkout) -> None:
    (checkout.path / ".git" / "config").write_text("[broken")
    with pytest.raises(CommandFailed):
        facts(checkout.path)


def test_variables_that_point_elsewhere_are_not_passed_on(checkout: Checkout, tmp_path: Path) -> None:
    """threats.md T19."""
    other = Remote.make(tmp_path, "other.git")
    found = facts(
        checkout.path,
        GIT_DIR=str(other.path),
        GIT_CONFIG_COUNT="1",
        GIT_CONFIG_KEY_0="http.proxy",
        GIT_CONFIG_VALUE_0="http://evil.example.org",
    )
    assert found.top == str(checkout.path)
    assert "evil" not in repr(found)


def test_nothing_of_the_checkout_runs_and_nothing_is_written(checkout: Checkout, tmp_path: Path) -> None:
    """threats.md T18: a monitor, a filter and hooks stand ready, and stay unused."""
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\ncat\n")
    trap.chmod(0o755)
    hooks = checkout.path / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-index-change", "reference-transaction", "post-checkout"):
        (hooks / name).symlink_to(trap)
    for setting in ("core.fsmonitor", "filter.trap.clean", "filter.trap.process", "filter.trap.smudge"):
        checkout.git("config", setting, str(trap))
    checkout.git("config", "filter.trap.required", "true")
    checkout.write(".gitattributes", "*.txt filter=trap\n")
    checkout.write("a.txt", "b\n")
    os.utime(checkout.path / "b/c.txt", (1, 1))
    index = (checkout.path / ".git" / "index").read_bytes()
    (tmp_path / "sprung").unlink(missing_ok=True)
    found = facts(checkout.path)
    assert "a.txt" in found.changed
    assert not (tmp_path / "sprung").exists()
    assert (checkout.path / ".git" / "index").read_bytes() == index


def test_symlinks_count_as_files(remote: Remote, tmp_path: Path) -> None:
    remote.commit({"link": Link("a.txt")})
    assert "link" in facts(remote.clone(tmp_path / "clone").path).tracked


def test_names_that_are_no_text_can_be_shown(remote: Remote, checkout: Checkout) -> None:
    path = Path(os.fsdecode(os.fsencode(checkout.path) + b"/\xff.txt"))
    path.write_text("a")
    checkout.git("add", "--all")
    found = facts(checkout.path)
    assert found.changed == ("\ufffd.txt",)
    assert "\ufffd.txt" in found.tracked


def test_the_version_of_git_is_read() -> None:
    version = git_version(Runner())
    assert version > (2, 0)
    said = subprocess.run(["git", "version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith("git version " + ".".join(map(str, version)))


def untracked(checkout: Checkout) -> tuple[str, ...]:
    return list_untracked(checkout.path, Runner(), git_environment(checkout.path.parent))


def test_what_git_does_not_track_is_listed_ignored_or_not(checkout: Checkout) -> None:
    assert untracked(checkout) == ()
    checkout.write(".git/info/exclude", ".env\n/data/\n")
    for name in (".env", "data/deep/x", "notes.txt", "b/mine.txt", "new/er/y", "new\nline"):
        checkout.write(name, "x")
    assert untracked(checkout) == (".env", "b/mine.txt", "data", "new", "new\nline", "notes.txt")


def test_of_a_folder_with_ignored_and_other_files_all_is_listed(checkout: Checkout) -> None:
    checkout.write(".git/info/exclude", "*.db\n")
    checkout.write("mixed/a.db", "x")
    checkout.write("mixed/b.txt", "x")
    checkout.write("b/c.db", "x")
    found = untracked(checkout)
    assert "b/c.db" in found
    assert "mixed" in found


def test_looking_for_what_is_untracked_changes_nothing(checkout: Checkout) -> None:
    checkout.write("notes.txt", "x")
    before = {path: path.stat().st_mtime_ns for path in checkout.path.rglob("*")}
    untracked(checkout)
    assert {path: path.stat().st_mtime_ns for path in checkout.path.rglob("*")} == before
