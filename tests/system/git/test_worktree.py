"""Where a checkout keeps its things, and what of its configuration is harmless."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from newleaf.core.errors import CommandFailed
from newleaf.core.releases.git_errors import NotACheckout
from newleaf.system.commands import Runner
from newleaf.system.git.worktree import Worktree, read_config
from tests.support.repositories import Checkout, Remote

OUTER = {"PATH": os.environ["PATH"]}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    remote = Remote.make(tmp_path)
    remote.commit({"app.py": "one\n"})
    return remote.clone(tmp_path / "checkout")


def test_a_checkout_is_its_own_directory(checkout: Checkout) -> None:
    found = Worktree.find(checkout.path)

    assert found.own == found.common == checkout.path.resolve() / ".git"
    assert found.index.exists()
    assert found.objects.is_dir()
    assert found.operation is None


def test_a_linked_worktree_shares_the_rest(checkout: Checkout, tmp_path: Path) -> None:
    checkout.git("worktree", "add", "-q", str(tmp_path / "linked"))

    found = Worktree.find(tmp_path / "linked")

    assert found.own == checkout.path.resolve() / ".git" / "worktrees" / "linked"
    assert found.common == checkout.path.resolve() / ".git"
    assert found.index.exists()


def test_a_git_directory_elsewhere_is_followed(tmp_path: Path) -> None:
    remote = Remote.make(tmp_path)
    remote.commit({"app.py": "one\n"})
    remote.clone(tmp_path / "checkout", f"--separate-git-dir={tmp_path / 'apart'}")

    assert Worktree.find(tmp_path / "checkout").own == (tmp_path / "apart").resolve()


@pytest.mark.parametrize("pointer", [None, "", "nonsense", "gitdir: /nowhere"])
def test_a_folder_without_git_is_refused(tmp_path: Path, pointer: str | None) -> None:
    if pointer is not None:
        (tmp_path / ".git").write_text(pointer)

    with pytest.raises(NotACheckout) as caught:
        Worktree.find(tmp_path)

    assert str(tmp_path) in caught.value.message


def test_only_what_describes_files_and_objects_is_taken_over(checkout: Checkout, tmp_path: Path) -> None:
    """threats.md T18."""
    (tmp_path / "included").write_text("[core]\n\teol = crlf\n")
    for name, value in {
        "core.autocrlf": "input",
        "core.sshCommand": "touch X",
        "core.fsmonitor": "touch X",
        "filter.x.clean": "touch X",
        "include.path": str(tmp_path / "included"),
        "remote.origin.promisor": "true",
        "remote.origin.partialclonefilter": "blob:none",
        "remote.origin.uploadpack": "touch X",
        "core.hooksPath": "/tmp",
    }.items():
        checkout.git("config", name, value)

    found = read_config(Worktree.find(checkout.path), Runner(), OUTER)

    names = {name for name, _ in found.settings}
    assert ("core.autocrlf", "input") in found.settings
    assert {"remote.origin.promisor", "remote.origin.partialclonefilter", "core.filemode"} <= names
    assert not names & {
        "core.eol",
        "core.sshcommand",
        "core.fsmonitor",
        "core.hookspath",
        "remote.origin.uploadpack",
    }
    assert not any(name.startswith(("filter.", "include.")) for name in names)


def test_settings_of_one_worktree_count_there_alone(checkout: Checkout, tmp_path: Path) -> None:
    checkout.git("worktree", "add", "-q", str(tmp_path / "linked"))
    checkout.git("config", "extensions.worktreeConfig", "true")
    Checkout(tmp_path / "linked").git("config", "--worktree", "core.sparseCheckout", "true")

    here = read_config(Worktree.find(checkout.path), Runner(), OUTER)
    there = read_config(Worktree.find(tmp_path / "linked"), Runner(), OUTER)

    assert ("core.sparsecheckout", "true") in there.settings
    assert ("core.sparsecheckout", "true") not in here.settings


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://example.org/app.git", "https://example.org/app.git"),
        ("git@example.org:app.git", "git@example.org:app.git"),
        ("/srv/app.git", "/srv/app.git"),
        ("file:///srv/app.git", "file:///srv/app.git"),
        ("../remote.git", "{parent}/remote.git"),
    ],
)
def test_the_origin_is_told_relative_paths_from_the_top(checkout: Checkout, url: str, found: str) -> None:
    checkout.git("config", "remote.origin.url", url)

    config = read_config(Worktree.find(checkout.path), Runner(), OUTER)

    assert config.origin == found.format(parent=checkout.path.resolve().parent)


def test_no_origin_is_none(checkout: Checkout) -> None:
    checkout.git("remote", "remove", "origin")
    assert read_config(Worktree.find(checkout.path), Runner(), OUTER).origin is None


def test_a_damaged_configuration_is_an_error(checkout: Checkout) -> None:
    (checkout.path / ".git" / "config").write_text("[core\n")
    with pytest.raises(CommandFailed):
        read_config(Worktree.find(checkout.path), Runner(), OUTER)
