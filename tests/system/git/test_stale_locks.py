"""Lock files of git: waited for and respected while their owner lives, removed when it does not."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from newleaf.core.releases.git_errors import CheckoutLocked
from newleaf.system import process_table
from newleaf.system.git.stale_locks import StaleLocks, find_owners, read_lsof
from newleaf.system.git.worktree import Worktree
from newleaf.system.processes import Holder
from tests.support.children import read_line, started
from tests.support.hosts import Host, make_host
from tests.support.kills import wait_until
from tests.support.repositories import Remote

HOLDS_OPEN = "import sys, time; file = open(sys.argv[1], 'x'); print('ready', flush=True); time.sleep(60)"
LONG_AGO_SECONDS = 3600


@pytest.fixture
def host(tmp_path: Path) -> Host:
    remote = Remote.make(tmp_path)
    remote.commit({"app.py": "one\n"})
    return make_host(tmp_path / "host", remote)


@pytest.fixture
def lock(host: Host) -> Path:
    return host.checkout.path / ".git" / "index.lock"


def leave(lock: Path, age_seconds: float = LONG_AGO_SECONDS) -> None:
    """A lock as a dead process left it."""
    lock.write_bytes(b"")
    written = time.time() - age_seconds
    os.utime(lock, (written, written))


def test_a_lock_of_a_dead_process_is_removed_and_the_update_goes_on(host: Host, lock: Path) -> None:
    """lessons.md L12."""
    leave(lock)
    target = host.remote.commit({"app.py": "two\n"})

    host.update()

    assert not lock.exists()
    assert host.checkout.id_of() == target


@pytest.mark.parametrize("name", ["HEAD.lock", "refs/heads/main.lock", "refs/stash.lock"])
def test_dead_locks_on_head_branch_and_stash_are_removed_too(host: Host, name: str) -> None:
    """lessons.md L12: an update may be killed while any of them is held."""
    leave(host.checkout.path / ".git" / name)
    host.checkout.write("app.py", "mine\n")
    target = host.remote.commit({"app.py": "two\n"})

    host.update()

    assert host.checkout.id_of() == target
    assert len(host.checkout.stashes()) == 1


def test_a_lock_that_a_living_process_has_open_is_respected(host: Host, lock: Path) -> None:
    """lessons.md L12: also of a program that is not called git, and however old the lock is."""
    host.remote.commit({"app.py": "two\n"})
    with started(sys.executable, "-c", HOLDS_OPEN, str(lock)) as owner:
        leave(lock)
        locks = StaleLocks(Worktree.find(host.checkout.path), patience_seconds=0.2)

        with pytest.raises(CheckoutLocked) as caught:
            locks.free()

        assert f"pid {owner.pid}" in caught.value.message
        assert lock.exists()


def test_a_living_git_that_works_in_the_checkout_is_respected(host: Host, lock: Path) -> None:
    """lessons.md L12: `git commit` holds the lock, closed, while its editor runs."""
    editor = host.state.parent / "editor"
    editor.write_text(f"#!/bin/sh\ntouch {host.state.parent}/open\nsleep 60\n")
    editor.chmod(0o755)
    host.checkout.write("app.py", "mine\n")
    environment = {"PATH": os.environ["PATH"], "HOME": str(host.state.parent), "GIT_EDITOR": str(editor)}
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    argv = ("git", *identity, "commit", "-a")
    with started(*argv, ready=False, cwd=host.checkout.path, env=environment) as commit:
        wait_until((host.state.parent / "open").exists, "the editor")
        assert lock.exists()

        owners = find_owners(lock, Worktree.find(host.checkout.path), lock.stat().st_mtime)

        assert [owner.pid for owner in owners] == [commit.pid]
        with pytest.raises(CheckoutLocked):
            StaleLocks(Worktree.find(host.checkout.path), is_ours=True, patience_seconds=0.1).free()


def test_a_git_that_began_after_the_lock_was_written_is_not_its_owner(host: Host, lock: Path) -> None:
    leave(lock)
    worktree = Worktree.find(host.checkout.path)
    with started("git", "hash-object", "--stdin", ready=False, cwd=host.checkout.path):
        wait_until(lambda: bool(find_owners(lock, worktree, time.time())), "git")

        assert find_owners(lock, worktree, lock.stat().st_mtime) == []


def test_a_helper_that_only_reads_is_not_the_owner(host: Host, lock: Path) -> None:
    """An editor keeps `git cat-file --batch` for days."""
    lock.write_bytes(b"")
    argv = ("git", "cat-file", "--batch-check")
    with started(*argv, ready=False, cwd=host.checkout.path) as helper:
        assert helper.stdin
        helper.stdin.write("HEAD\n")
        helper.stdin.flush()
        assert read_line(helper.stdout)

        assert find_owners(lock, Worktree.find(host.checkout.path), time.time()) == []


def test_a_git_at_work_elsewhere_is_not_the_owner(host: Host, lock: Path, tmp_path: Path) -> None:
    other = Remote.make(tmp_path, "other.git")
    lock.write_bytes(b"")
    argv = ("git", "hash-object", "--stdin")
    with started(*argv, ready=False, cwd=other.path) as elsewhere:
        wait_until(lambda: process_table.find(elsewhere.pid) is not None, "git")
        assert find_owners(lock, Worktree.find(host.checkout.path), time.time()) == []
    with started(*argv, ready=False, cwd=host.checkout.path) as here:
        worktree = Worktree.find(host.checkout.path)
        wait_until(lambda: bool(find_owners(lock, worktree, time.time())), "git")
        assert [owner.pid for owner in find_owners(lock, worktree, time.time())] == [here.pid]


def test_a_lock_that_goes_away_is_waited_for(host: Host, lock: Path) -> None:
    snippet = f"{HOLDS_OPEN.replace('60', '0.3')}; import os; os.unlink(sys.argv[1])"
    with started(sys.executable, "-c", snippet, str(lock)):
        assert StaleLocks(Worktree.find(host.checkout.path)).free() == []
    assert not lock.exists()


def test_a_young_lock_without_an_owner_in_sight_gets_time(host: Host, lock: Path) -> None:
    """Its owner may be in another container."""
    lock.write_bytes(b"")
    began = time.monotonic()

    removed = StaleLocks(Worktree.find(host.checkout.path), settled_seconds=0.3).free()

    assert removed == [lock]
    assert time.monotonic() - began > 0.2


def test_what_the_own_killed_updater_left_is_removed_at_once(host: Host, lock: Path) -> None:
    lock.write_bytes(b"")

    assert StaleLocks(Worktree.find(host.checkout.path), is_ours=True, settled_seconds=60).free() == [lock]


def test_lsof_names_gits_inside_the_checkout(host: Host) -> None:
    worktree = Worktree.find(host.checkout.path)
    lines = [
        "p12",
        "cgit",
        "fcwd",
        f"n{worktree.top}/src",
        "p13",
        "cgit",
        "fcwd",
        "n/elsewhere",
        "p14",
        "cgit-x",
    ]
    lines += ["fcwd", f"n{worktree.own}"]

    assert list(read_lsof(lines, worktree)) == [Holder(12, "git"), Holder(14, "git-x")]
