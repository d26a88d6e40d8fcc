"""Moving a checkout: forward, from any kind of HEAD, in any kind of clone."""

from __future__ import annotations

from pathlib import Path

import pytest

from newleaf.core.release import Release
from newleaf.core.releases.git_errors import Unborn
from tests.support.hosts import Host, make_host
from tests.support.repositories import Link, Remote, Script
from tests.support.written_files import written

FIRST = {"app.py": "one\n", "config.toml": "a = 1\nb = 2\nc = 3\nd = 4\n", ".gitignore": ".env\n*.db\n"}


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    made = Remote.make(tmp_path)
    made.commit(FIRST)
    return made


@pytest.fixture
def host(tmp_path: Path, remote: Remote) -> Host:
    return make_host(tmp_path / "host", remote)


# --- forward -----------------------------------------------------------------------------


def test_a_new_commit_moves_the_tree_the_index_and_the_branch(host: Host) -> None:
    target = host.remote.commit({"app.py": "two\n", "new/file.py": "x\n", "config.toml": None})

    notes = host.update()

    assert notes == []
    assert host.checkout.id_of() == target
    assert host.checkout.git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert host.checkout.read("app.py") == "two\n"
    assert host.checkout.read("new/file.py") == "x\n"
    assert not (host.checkout.path / "config.toml").exists()
    assert host.checkout.changes() == []
    assert host.layout.live() == Release(target)


def test_links_and_executables_arrive_as_such(host: Host) -> None:
    host.remote.commit({"run.sh": Script("#!/bin/sh\n"), "current": Link("app.py")})

    host.update()

    assert (host.checkout.path / "run.sh").stat().st_mode & 0o111
    assert (host.checkout.path / "current").readlink() == Path("app.py")
    assert host.checkout.changes() == []


def test_a_second_placement_changes_nothing(host: Host) -> None:
    host.remote.commit({"app.py": "two\n"})
    host.update()
    before = written(host.checkout.path / "app.py")

    host.update()

    assert written(host.checkout.path / "app.py") == before
    assert host.checkout.changes() == []


def test_a_commit_without_changes_moves_the_branch_alone(host: Host) -> None:
    target = host.remote.commit({}, message="Nothing")

    host.update()

    assert host.checkout.id_of() == target


def test_a_folder_becomes_a_file_and_back(host: Host) -> None:
    host.remote.commit({"thing/a.py": "a\n", "thing/b.py": "b\n"})
    host.update()
    host.remote.commit({"thing/a.py": None, "thing/b.py": None, "thing": "a file\n"})
    host.update()
    assert host.checkout.read("thing") == "a file\n"

    host.remote.commit({"thing": None, "thing/c.py": "c\n"})
    host.update()

    assert host.checkout.read("thing/c.py") == "c\n"
    assert host.checkout.changes() == []


def test_a_touched_file_is_no_local_change(host: Host) -> None:
    host.remote.commit({"app.py": "two\n"})
    (host.checkout.path / "app.py").touch()

    assert host.update() == []
    assert host.checkout.read("app.py") == "two\n"


@pytest.mark.parametrize(
    "after", ["one\r\nnew\r\n", "one\nnew\n", None], ids=["changed", "renormalised", "gone"]
)
def test_line_ends_committed_as_gitattributes_would_not_have_them_are_no_local_change(
    tmp_path: Path, remote: Remote, after: str | None
) -> None:
    """lessons.md L7: git takes such a file for edited as soon as it has written it, and would not move it."""
    remote.commit({".gitattributes": "*.txt text\n", "dos.txt": "one\r\n", "kept.txt": "kept\r\n"})
    host = make_host(tmp_path / "host", remote)
    host.checkout.write("app.py", "mine\n")
    assert host.layout.dirty() == ["app.py"]
    target = host.remote.commit({"dos.txt": after})

    assert host.update() == []

    file = host.checkout.path / "dos.txt"
    assert (file.read_bytes().decode() if file.exists() else None) == after
    assert (host.checkout.path / "kept.txt").read_bytes() == b"kept\r\n"
    assert (host.checkout.id_of(), host.checkout.stashes()) == (target, [])
    assert host.checkout.read("app.py") == "mine\n"


def test_an_edit_of_a_file_whose_line_ends_git_would_change_is_kept(tmp_path: Path, remote: Remote) -> None:
    remote.commit({".gitattributes": "*.txt text\n", "dos.txt": "one\r\n"})
    host = make_host(tmp_path / "host", remote)
    host.checkout.write("dos.txt", "mine\n")
    host.remote.commit({"dos.txt": "two\r\n"})

    (note,) = host.update()

    assert "dos.txt do not fit" in note
    assert (host.checkout.path / "dos.txt").read_bytes() == b"two\r\n"
    assert len(host.checkout.stashes()) == 1


# --- where HEAD is -----------------------------------------------------------------------


def test_another_branch_is_left_where_it_is_and_head_detached(host: Host) -> None:
    start = host.checkout.id_of()
    host.checkout.git("checkout", "-q", "-b", "mine")
    target = host.remote.commit({"app.py": "two\n"})

    host.update()

    assert host.checkout.id_of() == target
    assert host.checkout.id_of("refs/heads/mine") == start
    assert host.checkout.id_of("refs/heads/main") == start
    assert host.checkout.git("rev-parse", "--symbolic-full-name", "HEAD") == "HEAD"


def test_a_detached_head_stays_detached(host: Host) -> None:
    host.checkout.git("checkout", "-q", "--detach")
    target = host.remote.commit({"app.py": "two\n"})

    host.update()

    assert host.checkout.id_of() == target
    assert host.checkout.git("rev-parse", "--symbolic-full-name", "HEAD") == "HEAD"


def test_the_move_is_in_the_reflog(host: Host) -> None:
    host.remote.commit({"app.py": "two\n"})

    host.update()

    assert "newleaf: move to" in host.checkout.git("reflog", "-1", "HEAD")


def test_a_linked_worktree_moves_alone(host: Host, tmp_path: Path) -> None:
    start = host.checkout.id_of()
    host.checkout.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    linked = Host(host.remote, type(host.checkout)(tmp_path / "linked"), tmp_path / "state", branch="main")
    target = host.remote.commit({"app.py": "two\n"})
    linked.checkout.write("app.py", "local\n")

    notes = linked.update()

    assert linked.checkout.id_of() == target
    assert "app.py" in notes[0]
    assert linked.checkout.stashes() == host.checkout.stashes() != []
    assert host.checkout.id_of() == start
    assert host.checkout.changes() == []


def test_a_shallow_clone_moves(tmp_path: Path, remote: Remote) -> None:
    for number in range(3):
        remote.commit({"app.py": f"{number}\n"})
    host = make_host(tmp_path / "host", remote, "--depth=1", url=f"file://{remote.path}")
    target = remote.commit({"app.py": "newest\n"})

    host.update()

    assert host.checkout.id_of() == target
    assert host.checkout.git("rev-list", "--count", "HEAD") == "2"
    host.checkout.git("fsck", "--connectivity-only")


def test_a_sparse_checkout_stays_sparse(tmp_path: Path, remote: Remote) -> None:
    remote.commit({"wanted/a": "1\n", "unwanted/b": "1\n"})
    host = make_host(tmp_path / "host", remote)
    host.checkout.git("sparse-checkout", "set", "--cone", "wanted")
    remote.commit({"wanted/a": "2\n", "unwanted/b": "2\n", "unwanted/c": "2\n"})

    host.update()

    assert host.checkout.read("wanted/a") == "2\n"
    assert not (host.checkout.path / "unwanted").exists()
    assert host.checkout.changes() == []


def test_a_partial_clone_asks_for_what_it_lacks(tmp_path: Path, remote: Remote) -> None:
    remote.git("config", "uploadpack.allowFilter", "true")
    old = remote.id_of("refs/heads/main")
    remote.commit({"app.py": "two\n"})
    host = make_host(tmp_path / "host", remote, "--filter=blob:none", url=f"file://{remote.path}")
    host.remote.commit({"app.py": "three\n"})
    host.update()
    assert host.checkout.read("app.py") == "three\n"

    host.update(commit=old, sideways=True)

    assert host.checkout.read("app.py") == "one\n"
    assert host.checkout.changes() == []


def test_a_split_index_is_understood(host: Host) -> None:
    host.checkout.git("update-index", "--split-index")
    host.remote.commit({"app.py": "two\n"})

    host.update()

    assert host.checkout.changes() == []
    assert host.checkout.read("app.py") == "two\n"


def test_a_sha256_repository_moves(tmp_path: Path) -> None:
    remote = Remote(tmp_path / "remote.git")
    remote.path.mkdir()
    remote.git("init", "-q", "--bare", "--template=", "--initial-branch=main", "--object-format=sha256")
    remote.commit(FIRST)
    host = make_host(tmp_path / "host", remote)
    target = remote.commit({"app.py": "two\n", "config.toml": None})
    host.checkout.write("config.toml", "local\n")
    host.checkout.write("app.py", "one\nlocal\n")

    notes = host.update()

    assert len(target) == 64
    assert host.checkout.id_of() == target
    assert "git stash apply" in notes[0]


def test_a_checkout_without_a_commit_is_refused(tmp_path: Path, remote: Remote) -> None:
    empty = Remote.make(tmp_path, "empty.git")
    host = make_host(tmp_path / "host", empty)
    host.remote = remote

    with pytest.raises(Unborn):
        host.layout.live()


def test_a_tree_that_is_there_already_needs_no_lock(host: Host) -> None:
    """lessons.md L12: going back to the start fails on nobody's lock when nothing was moved."""
    lock = host.checkout.path / ".git" / "index.lock"
    lock.write_bytes(b"")

    host.layout.place(host.layout.live(), sideways=True)

    assert host.layout.activate(host.layout.live()) == []
    assert lock.exists()
