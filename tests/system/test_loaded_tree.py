"""Which commit a tree is at, told from git's files alone, as real git leaves them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from newleaf.core.errors import CorruptFile
from newleaf.core.release import Release
from newleaf.system.loaded_tree import RELEASE_RECORD, find_tree, read_head, read_position, read_release
from tests.support.repositories import Checkout, Remote, Repository
from tests.support.simulated_host import commit_of


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    remote = Remote.make(tmp_path)
    remote.commit({"app/main.py": "print()\n"})
    return remote


@pytest.fixture
def checkout(remote: Remote, tmp_path: Path) -> Checkout:
    return remote.clone(tmp_path / "checkout")


def agrees(checkout: Checkout) -> bool:
    """Whether git says the same, of the branch too."""
    commit, _, branch = checkout.git("rev-parse", "HEAD", "--symbolic-full-name", "HEAD").partition("\n")
    position = (commit, None if branch == "HEAD" else branch)
    return read_head(checkout.path) == commit and read_position(checkout.path) == position


def test_a_branch_that_is_checked_out_is_followed(checkout: Checkout) -> None:
    assert agrees(checkout)
    checkout.git("commit", "-q", "--allow-empty", "-m", "Another")
    assert agrees(checkout)


def test_a_detached_head_is_read_as_it_is(checkout: Checkout) -> None:
    checkout.git("checkout", "-q", "--detach")
    assert agrees(checkout)


def test_a_head_by_way_of_another_symbolic_ref_is_followed(checkout: Checkout) -> None:
    checkout.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    checkout.git("symbolic-ref", "HEAD", "refs/heads/alias")
    assert agrees(checkout)


def test_packed_refs_are_looked_into(checkout: Checkout) -> None:
    checkout.git("branch", "main-of-another")
    checkout.git("commit", "-q", "--allow-empty", "-m", "Another")
    checkout.git("pack-refs", "--all")
    assert not (checkout.path / ".git/refs/heads/main").exists()
    assert agrees(checkout)


def test_a_ref_that_was_written_after_packing_counts(checkout: Checkout) -> None:
    checkout.git("pack-refs", "--all")
    checkout.git("commit", "-q", "--allow-empty", "-m", "Another")
    assert agrees(checkout)


def test_a_linked_worktree_has_a_head_of_its_own(checkout: Checkout, tmp_path: Path) -> None:
    """lessons.md L9"""
    checkout.git("worktree", "add", "-q", "-b", "beside", str(tmp_path / "beside"))
    checkout.git("commit", "-q", "--allow-empty", "-m", "Another")
    beside = Checkout(tmp_path / "beside")
    assert agrees(beside)
    assert read_head(beside.path) != read_head(checkout.path)
    checkout.git("pack-refs", "--all")
    assert agrees(beside)


def test_a_worktree_below_another_git_folder_is_read(remote: Remote, tmp_path: Path) -> None:
    """As submodules, and `git clone --separate-git-dir`, have it."""
    checkout = remote.clone(tmp_path / "apart", "--separate-git-dir", str(tmp_path / "git-folder"))
    assert (checkout.path / ".git").is_file()
    assert agrees(checkout)


def test_a_branch_with_slashes_in_its_name_is_read(checkout: Checkout) -> None:
    checkout.git("checkout", "-q", "-b", "release/2/main")
    assert agrees(checkout)


def test_a_repository_of_longer_ids_is_read(tmp_path: Path) -> None:
    Repository(tmp_path).git("init", "-q", "--object-format=sha256", "long")
    checkout = Checkout(tmp_path / "long")
    checkout.git("commit", "-q", "--allow-empty", "-m", "First")
    head = read_head(checkout.path)
    assert head == checkout.id_of()
    assert head is not None
    assert len(head) == 64


def unborn(checkout: Path) -> None:
    Repository(checkout).git("symbolic-ref", "HEAD", "refs/heads/none")


def circular(checkout: Path) -> None:
    (checkout / ".git/HEAD").write_text("ref: HEAD\n")


def nonsense(checkout: Path) -> None:
    (checkout / ".git/HEAD").write_bytes(b"\xff\x00 nonsense")


def cut_off(checkout: Path) -> None:
    head = (checkout / ".git/refs/heads/main").read_text()
    (checkout / ".git/refs/heads/main").write_text(head[:20])


def lost(checkout: Path) -> None:
    (checkout / ".git/HEAD").unlink()


def pointing_nowhere(checkout: Path) -> None:
    os.rename(checkout / ".git", checkout.parent / "moved")
    (checkout / ".git").write_text("gitdir: /nowhere/at/all\n")


def no_pointer(checkout: Path) -> None:
    os.rename(checkout / ".git", checkout.parent / "moved")
    (checkout / ".git").write_text("nonsense\n")


@pytest.mark.parametrize("damage", [unborn, circular, nonsense, cut_off, lost, pointing_nowhere, no_pointer])
def test_what_cannot_be_told_is_unknown(checkout: Checkout, damage: object) -> None:
    """lessons.md L1: unknown is never a guess."""
    assert callable(damage)
    damage(checkout.path)
    assert read_head(checkout.path) is None
    assert read_release(checkout.path) is None


def test_a_release_folder_says_what_it_is(tmp_path: Path, checkout: Checkout) -> None:
    release = Release(commit_of("a"), "1.2.0", "v1.2.0")
    record = {"schema": 1, "channel": "beta", "environment": "k-1", **release.as_record()}
    (checkout.path / RELEASE_RECORD).write_text(json.dumps(record))
    assert read_release(checkout.path) == release


def test_a_release_folder_whose_record_is_broken_is_an_error(checkout: Checkout) -> None:
    (checkout.path / RELEASE_RECORD).write_text("{")
    with pytest.raises(CorruptFile):
        read_release(checkout.path)


def test_the_tree_around_a_program_is_found(checkout: Checkout, tmp_path: Path) -> None:
    assert find_tree(checkout.path / "app") == checkout.path
    assert find_tree(checkout.path) == checkout.path
    release = tmp_path / "releases" / "one"
    (release / "src").mkdir(parents=True)
    (release / RELEASE_RECORD).touch()
    assert find_tree(release / "src") == release


def test_outside_any_tree_there_is_none(tmp_path: Path) -> None:
    assert find_tree(tmp_path) is None
    assert read_release(tmp_path) is None
