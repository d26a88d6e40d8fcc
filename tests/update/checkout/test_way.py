"""What is refused before a checkout moves: descent, files that git does not track, work in progress."""

from __future__ import annotations

from pathlib import Path

import pytest

from newleaf.core.errors import NewleafError
from newleaf.core.releases.git_errors import CheckoutBusy, Diverged, NotDescendant, UntrackedInTheWay
from tests.support.hosts import Host, make_host
from tests.support.repositories import Remote
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


# --- backwards and sideways --------------------------------------------------------------


def test_an_older_commit_is_refused_unless_it_is_ordered(host: Host) -> None:
    old = host.checkout.id_of()
    host.remote.commit({"app.py": "two\n"})
    host.update()

    with pytest.raises(NotDescendant):
        host.update(commit=old)
    host.update(commit=old, sideways=True)

    assert host.checkout.id_of() == old
    assert host.checkout.git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert host.checkout.read("app.py") == "one\n"


def test_rewritten_history_is_refused_and_the_tree_left_as_it_was(host: Host) -> None:
    """lessons.md L8: a force-pushed branch is not followed by itself, but a person may order it."""
    host.remote.commit({"app.py": "two\n"})
    host.update()
    start = host.checkout.id_of()
    forced = host.remote.commit({"app.py": "other\n"}, parent="")

    with pytest.raises(NotDescendant) as caught:
        host.update()
    assert host.checkout.id_of() == start
    assert host.checkout.read("app.py") == "two\n"
    assert forced in caught.value.advice

    host.update(sideways=True)
    assert host.checkout.id_of() == forced


@pytest.mark.parametrize("sideways", [False, True])
def test_commits_that_the_remote_lacks_are_never_left_behind(host: Host, sideways: bool) -> None:
    """lessons.md L8: diverged is refused, whatever was ordered; nothing is forced or pushed."""
    host.checkout.write("app.py", "mine\n")
    host.checkout.git("commit", "-qam", "My own change")
    mine = host.checkout.id_of()
    remote_head = host.remote.commit({"app.py": "two\n"})

    with pytest.raises(Diverged) as caught:
        host.update(sideways=sideways)

    assert "My own change" in caught.value.message
    assert host.checkout.id_of() == mine
    assert host.checkout.read("app.py") == "mine\n"
    assert host.remote.id_of("refs/heads/main") == remote_head


def test_a_replaced_object_hides_no_commit_that_the_remote_lacks(host: Host) -> None:
    """threats.md T14: with it, the local commit would look like a part of the target's history."""
    host.checkout.write("app.py", "mine\n")
    host.checkout.git("commit", "-qam", "My own change")
    mine = host.checkout.id_of()
    target = host.remote.commit({"app.py": "two\n"})
    host.checkout.git("fetch", "-q", "origin")
    child = host.checkout.git("commit-tree", f"{mine}^{{tree}}", "-p", mine, "-m", "After mine")
    host.checkout.git("replace", target, child)

    with pytest.raises(Diverged):
        host.update(commit=target, sideways=True)

    assert host.checkout.id_of() == mine


def test_a_release_of_another_line_is_reached_sideways(tmp_path: Path, remote: Remote) -> None:
    base = remote.id_of("refs/heads/main")
    remote.commit({"app.py": "1.1.1\n"}, branch="release/1.1", parent=base)
    host = make_host(tmp_path / "host", remote, "--branch=release/1.1", "--single-branch")
    target = remote.commit({"app.py": "1.2.0\n"})
    remote.tag("v1.2.0")

    host.update("refs/tags/v1.2.0", sideways=True)

    assert host.checkout.id_of() == target


def test_what_newleaf_placed_itself_is_known_after_a_force_push(host: Host) -> None:
    first = host.checkout.id_of()
    host.remote.commit({"app.py": "two\n"})
    host.update()
    host.update(commit=first, sideways=True)
    host.remote.commit({"app.py": "forced\n"}, parent="")

    host.update(sideways=True)

    assert host.checkout.read("app.py") == "forced\n"


# --- what git does not track -------------------------------------------------------------


def test_untracked_and_ignored_files_stay_byte_for_byte(host: Host) -> None:
    """lessons.md L23."""
    kept = {".env": b"KEY=\x00secret\r\n", "data.db": b"\xff\xfe", "notes/my.txt": b"x"}
    files = {host.checkout.write(name, body): body for name, body in kept.items()}
    before = [written(file) for file in files]
    host.remote.commit({"app.py": "two\n", "notes/other.txt": "y\n", "config.toml": None})

    host.update()

    assert {file: file.read_bytes() for file in files} == files
    assert [written(file) for file in files] == before


@pytest.mark.parametrize("name", [".env", "plain.txt", "folder/deep.txt"])
def test_an_untracked_file_in_the_way_is_never_overwritten(host: Host, name: str) -> None:
    """lessons.md L23: ignored or not; git itself would overwrite an ignored one."""
    file = host.checkout.write(name, "mine\n")
    start = host.checkout.id_of()
    host.remote.commit({name: "theirs\n", "app.py": "two\n"})

    with pytest.raises(UntrackedInTheWay) as caught:
        host.update()

    assert name in caught.value.message
    assert file.read_text() == "mine\n"
    assert host.checkout.read("app.py") == "one\n"
    assert host.checkout.id_of() == start


def test_an_ignored_file_inside_a_folder_that_becomes_a_file_is_never_removed(host: Host) -> None:
    """lessons.md L23."""
    host.remote.commit({"thing/a.py": "a\n"})
    host.update()
    file = host.checkout.write("thing/data.db", "precious\n")
    host.remote.commit({"thing/a.py": None, "thing": "a file\n"})

    with pytest.raises(UntrackedInTheWay):
        host.update()

    assert file.read_text() == "precious\n"


def test_an_untracked_link_above_a_new_file_is_never_followed(host: Host, tmp_path: Path) -> None:
    """lessons.md L23, threats.md T17."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (host.checkout.path / "data").symlink_to(outside)
    (host.checkout.path / ".git" / "info").mkdir()
    (host.checkout.path / ".git" / "info" / "exclude").write_text("data\n")
    host.remote.commit({"data/file.txt": "theirs\n"})

    with pytest.raises(UntrackedInTheWay):
        host.update()

    assert list(outside.iterdir()) == []
    assert (host.checkout.path / "data").is_symlink()


def test_an_empty_folder_in_the_way_is_no_obstacle(host: Host) -> None:
    (host.checkout.path / "thing").mkdir()
    host.remote.commit({"thing": "a file\n"})

    host.update()

    assert host.checkout.read("thing") == "a file\n"


# --- in the middle of something ----------------------------------------------------------


def test_a_merge_under_way_is_refused_with_its_end(host: Host) -> None:
    host.checkout.git("checkout", "-q", "-b", "side")
    host.checkout.write("app.py", "side\n")
    host.checkout.git("commit", "-qam", "side")
    host.checkout.git("checkout", "-q", "main")
    host.checkout.write("app.py", "main\n")
    host.checkout.git("commit", "-qam", "main")
    with pytest.raises(AssertionError):
        host.checkout.git("merge", "side")
    host.remote.commit({"config.toml": "two\n"})

    with pytest.raises(CheckoutBusy) as caught:
        host.update()

    assert "merge" in caught.value.message
    assert "git merge --abort" in caught.value.advice


def test_unresolved_paths_without_a_merge_are_refused(host: Host) -> None:
    host.checkout.write("app.py", "stashed\n")
    host.checkout.git("stash", "push", "-q")
    host.checkout.write("app.py", "other\n")
    host.checkout.git("commit", "-qam", "other")
    with pytest.raises(AssertionError):
        host.checkout.git("stash", "apply")
    host.checkout.git("push", "-q", "origin", "main")
    host.remote.commit({"config.toml": "two\n"})

    with pytest.raises(CheckoutBusy) as caught:
        host.update()

    assert "app.py" in caught.value.message
    assert isinstance(caught.value, NewleafError)
