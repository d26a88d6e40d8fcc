"""Moving a checkout: forward, sideways, with local changes, past what git does not track."""

from __future__ import annotations

from pathlib import Path

import pytest

from newleaf.core.errors import NewleafError
from newleaf.core.git_errors import (
    CheckoutBusy,
    DirtyTree,
    Diverged,
    HiddenChange,
    NotDescendant,
    UntrackedInTheWay,
    Unborn,
)
from newleaf.core.release import Release
from tests.support.hosts import Host, make_host
from tests.support.repositories import Link, Remote, Script

FIRST = {"app.py": "one\n", "config.toml": "a = 1\nb = 2\nc = 3\nd = 4\n", ".gitignore": ".env\n*.db\n"}


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    made = Remote.make(tmp_path)
    made.commit(FIRST)
    return made


@pytest.fixture
def host(tmp_path: Path, remote: Remote) -> Host:
    return make_host(tmp_path / "host", remote)


# --- forward ----------------------------------------------------------------------------


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
    before = (host.checkout.path / "app.py").stat()

    host.update()

    assert (host.checkout.path / "app.py").stat() == before
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


# --- where HEAD is ----------------------------------------------------------------------


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


# --- backwards and sideways -------------------------------------------------------------


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


# --- local changes ----------------------------------------------------------------------


def test_a_local_change_elsewhere_is_not_touched_at_all(host: Host) -> None:
    """lessons.md L7, L23: the file keeps its inode, its time and its mode."""
    file = host.checkout.write("config.toml", "a = 1\nlocal\n")
    file.chmod(0o600)
    before = file.stat()
    host.remote.commit({"app.py": "two\n"})

    host.update()

    assert file.stat() == before
    assert host.checkout.stashes() == []
    assert host.checkout.changes() == ["M config.toml"]


def test_a_local_change_that_fits_is_merged_on_top(host: Host) -> None:
    """lessons.md L7."""
    host.checkout.write("config.toml", "a = 1\nb = 2\nc = 3\nd = local\n")
    host.remote.commit({"config.toml": "a = new\nb = 2\nc = 3\nd = 4\n"})

    notes = host.update()

    assert host.checkout.read("config.toml") == "a = new\nb = 2\nc = 3\nd = local\n"
    assert host.checkout.changes() == ["M config.toml"]
    assert host.checkout.stashes() == []
    assert notes == ["local changes to config.toml were put back"]


def test_a_local_change_that_conflicts_is_kept_in_the_stash(host: Host) -> None:
    """lessons.md L7: no conflict markers; both sides are safe, and the output names the stash."""
    host.checkout.write("config.toml", "mine\n")
    host.remote.commit({"config.toml": "theirs\n"})

    notes = host.update()

    (stash,) = host.checkout.stashes()
    assert host.checkout.read("config.toml") == "theirs\n"
    assert host.checkout.changes() == []
    assert notes == [
        f"local changes to config.toml do not fit {host.checkout.id_of()[:9]}; they are in `git stash list`: "
        f"git stash apply {stash.split()[0]}"
    ]
    assert "newleaf: local changes before" in stash
    assert host.checkout.git("show", "stash@{0}:config.toml") == "mine"


def test_a_stash_of_the_user_is_not_taken_for_ours(host: Host) -> None:
    """lessons.md L7: restored by its own identity, never as the newest."""
    host.checkout.write("app.py", "the user's own stash\n")
    host.checkout.git("stash", "push", "-q", "-m", "mine")
    (mine,) = host.checkout.stashes()
    host.checkout.write("config.toml", "a = 1\nb = 2\nc = 3\nd = local\n")
    host.remote.commit({"config.toml": "a = new\nb = 2\nc = 3\nd = 4\n"})

    host.update()

    assert host.checkout.stashes() == [mine]
    assert host.checkout.read("config.toml").endswith("d = local\n")
    assert host.checkout.read("app.py") == "one\n"


def test_a_stash_pushed_meanwhile_does_not_change_which_one_is_restored(host: Host) -> None:
    """lessons.md L7: another stash on top, while ours waits."""
    host.checkout.write("config.toml", "a = 1\nb = 2\nc = 3\nd = local\n")
    host.remote.commit({"config.toml": "conflict\n", "app.py": "two\n"})
    release = host.fetched()
    start = host.checkout.id_of()
    host.layout.place(release, sideways=False)
    host.checkout.write("app.py", "of the user\n")
    host.checkout.git("stash", "push", "-q", "-m", "newer")

    host.layout.place(Release(start), sideways=True)

    assert host.checkout.read("config.toml") == "a = 1\nb = 2\nc = 3\nd = local\n"
    assert [stash.partition(" ")[2] for stash in host.checkout.stashes()] == ["On main: newer"]


def test_going_back_puts_a_change_back_that_did_not_fit(host: Host) -> None:
    host.checkout.write("config.toml", "mine\n")
    start = host.checkout.id_of()
    host.remote.commit({"config.toml": "theirs\n"})
    release = host.fetched()
    host.layout.place(release, sideways=False)
    assert host.checkout.read("config.toml") == "theirs\n"

    layout = host.layout
    layout.place(Release(start), sideways=True)
    notes = layout.activate(Release(start))

    assert notes == ["local changes to config.toml were put back"]
    assert host.checkout.read("config.toml") == "mine\n"
    assert host.checkout.stashes() == []


def test_staged_new_removed_and_edited_files_come_back_as_they_were(host: Host) -> None:
    host.remote.commit({"gone.py": "g\n", "both.py": "1\n2\n3\n4\n5\n"})
    host.update()
    checkout = host.checkout
    checkout.write("both.py", "1\n2\n3\n4\nstaged\n")
    checkout.git("add", "both.py")
    checkout.write("both.py", "1\n2\n3\nedited\nstaged\n")
    checkout.write("fresh.py", "new\n")
    checkout.git("add", "fresh.py")
    checkout.git("rm", "-q", "--cached", "gone.py")
    before = checkout.changes()
    host.remote.commit({"both.py": "upstream\n2\n3\n4\n5\n"})

    host.update()

    assert checkout.read("both.py") == "upstream\n2\n3\nedited\nstaged\n"
    assert checkout.changes() == before
    assert checkout.git("show", ":both.py") == "upstream\n2\n3\n4\nstaged"
    assert checkout.stashes() == []


def test_a_staged_new_file_that_the_target_brings_too_is_kept(host: Host) -> None:
    host.checkout.write("fresh.py", "mine\n")
    host.checkout.git("add", "fresh.py")
    host.remote.commit({"fresh.py": "theirs\n"})

    notes = host.update()

    assert host.checkout.read("fresh.py") == "theirs\n"
    assert host.checkout.git("show", "stash@{0}:fresh.py") == "mine"
    assert "fresh.py do not fit" in notes[0]


def test_a_private_mode_survives_being_set_aside(host: Host) -> None:
    """lessons.md L23: a tracked file with secrets does not become readable."""
    file = host.checkout.write("config.toml", "a = 1\nb = 2\nc = 3\nd = secret\n")
    file.chmod(0o600)
    host.remote.commit({"config.toml": "a = new\nb = 2\nc = 3\nd = 4\n"})

    host.update()

    assert file.read_text().endswith("secret\n")
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_binary_change_conflicts_as_a_whole(host: Host) -> None:
    host.remote.commit({"data.bin": b"\0\1\2"})
    host.update()
    host.checkout.write("data.bin", b"\0\1\2\3")
    host.remote.commit({"data.bin": b"\0\1\2\4"})

    notes = host.update()

    assert (host.checkout.path / "data.bin").read_bytes() == b"\0\1\2\4"
    assert "data.bin do not fit" in notes[0]


def test_a_change_below_a_path_that_becomes_a_file_is_kept(host: Host) -> None:
    host.remote.commit({"thing/a.py": "a\n"})
    host.update()
    host.checkout.write("thing/a.py", "mine\n")
    host.remote.commit({"thing/a.py": None, "thing": "a file\n"})

    notes = host.update()

    assert host.checkout.read("thing") == "a file\n"
    assert "thing/a.py do not fit" in notes[0]
    assert host.checkout.git("show", "stash@{0}:thing/a.py") == "mine"


def test_names_of_any_kind_survive(host: Host) -> None:
    names = ['a "quoted" name', "with\nnewline", "ünï/cödé", "tab\tname", "back\\slash", "*star?"]
    host.remote.commit({name: "1\n2\n3\n4\n" for name in names})
    host.update()
    for name in names:
        host.checkout.write(name, "1\n2\n3\nlocal\n")
    host.remote.commit({name: "upstream\n2\n3\n4\n" for name in names})

    notes = host.update()

    assert {host.checkout.read(name) for name in names} == {"upstream\n2\n3\nlocal\n"}
    assert host.checkout.stashes() == []
    assert len(notes) == 1


def test_policy_refuse_leaves_everything_as_it_was(host: Host) -> None:
    """lessons.md L7: the policy is a setting."""
    start = host.checkout.id_of()
    host.checkout.write("config.toml", "mine\n")
    host.remote.commit({"app.py": "two\n"})
    host.refuses_dirty = True

    with pytest.raises(DirtyTree) as caught:
        host.update()

    assert "config.toml" in caught.value.message
    assert host.checkout.id_of() == start
    assert host.checkout.read("config.toml") == "mine\n"


def test_dirty_names_staged_and_edited_files(host: Host) -> None:
    host.checkout.write("config.toml", "mine\n")
    host.checkout.write("fresh.py", "mine\n")
    host.checkout.write("untracked.py", "mine\n")
    host.checkout.git("add", "fresh.py")

    assert host.layout.dirty() == ["config.toml", "fresh.py"]


def test_a_change_hidden_from_git_is_refused_not_overwritten(host: Host) -> None:
    """lessons.md L7: `--skip-worktree` hides a local edit from `git status`, and must not lose it."""
    host.checkout.git("update-index", "--skip-worktree", "config.toml")
    host.checkout.write("config.toml", "hidden\n")
    start = host.checkout.id_of()
    host.remote.commit({"config.toml": "theirs\n", "app.py": "two\n"})

    with pytest.raises(HiddenChange) as caught:
        host.update()

    assert "config.toml" in caught.value.message
    assert host.checkout.read("config.toml") == "hidden\n"
    assert host.checkout.read("app.py") == "one\n"
    assert host.checkout.id_of() == start


# --- what git does not track ------------------------------------------------------------


def test_untracked_and_ignored_files_stay_byte_for_byte(host: Host) -> None:
    """lessons.md L23."""
    kept = {".env": b"KEY=\x00secret\r\n", "data.db": b"\xff\xfe", "notes/my.txt": b"x"}
    files = {host.checkout.write(name, body): body for name, body in kept.items()}
    before = {file: file.stat() for file in files}
    host.remote.commit({"app.py": "two\n", "notes/other.txt": "y\n", "config.toml": None})

    host.update()

    assert {file: file.read_bytes() for file in files} == files
    assert {file: file.stat() for file in files} == before


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


# --- in the middle of something ---------------------------------------------------------


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
