"""Local changes when the checkout moves: left alone, put back, or kept in the stash."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from newleaf.core.release import Release
from newleaf.core.releases.git_errors import DirtyTree, HiddenChange
from newleaf.system.commands import Command, Finished, Runner
from tests.support.hosts import Host, make_host
from tests.support.repositories import Remote

FIRST = {"app.py": "one\n", "config.toml": "a = 1\nb = 2\nc = 3\nd = 4\n", ".gitignore": ".env\n*.db\n"}


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    made = Remote.make(tmp_path)
    made.commit(FIRST)
    return made


@pytest.fixture
def host(tmp_path: Path, remote: Remote) -> Host:
    return make_host(tmp_path / "host", remote)


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
    assert "local changes to config.toml do not fit" in notes[0]
    assert f"git stash apply {stash.split()[0]}" in notes[0]
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


def test_a_change_made_while_another_is_kept_is_not_overwritten_by_it(host: Host) -> None:
    """lessons.md L7: what is put back second finds its file changed, and stays in the stash."""
    start = host.layout.live()
    host.checkout.write("config.toml", "a = mine\nb = 2\nc = 3\nd = 4\n")
    host.remote.commit({"config.toml": "a = new\nb = 2\nc = 3\nd = 4\n"})
    host.layout.place(host.fetched(), sideways=False)
    host.checkout.write("config.toml", "a = new\nb = 2\nc = 3\nd = later\n")

    layout = host.layout
    layout.place(start, sideways=True)
    notes = layout.activate(start)

    assert host.checkout.read("config.toml") == "a = mine\nb = 2\nc = 3\nd = 4\n"
    assert len(host.checkout.stashes()) == 1
    assert host.checkout.git("show", "stash@{0}:config.toml").endswith("d = later")
    assert "do not fit" in notes[-1]


def test_a_kept_change_that_its_owner_has_dropped_is_not_put_back(host: Host) -> None:
    start = host.layout.live()
    host.checkout.write("config.toml", "mine\n")
    host.remote.commit({"config.toml": "theirs\n"})
    host.layout.place(host.fetched(), sideways=False)
    host.checkout.git("stash", "drop", "-q")

    host.layout.place(start, sideways=True)

    assert host.layout.activate(start) == []
    assert host.checkout.read("config.toml") == FIRST["config.toml"]
    assert host.checkout.changes() == []


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


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o755])
def test_a_files_mode_survives_being_set_aside(host: Host, mode: int) -> None:
    """lessons.md L23: a tracked file with secrets does not become readable, a public one not private."""
    file = host.checkout.write("config.toml", "a = 1\nb = 2\nc = 3\nd = secret\n")
    file.chmod(mode)
    host.remote.commit({"config.toml": "a = new\nb = 2\nc = 3\nd = 4\n"})

    host.update()

    assert file.read_text().endswith("secret\n")
    assert file.stat().st_mode & 0o777 == mode


class Interrupting(Runner):
    """Lets a person push a stash just before ours is taken out of the list."""

    person: Callable[[], object] | None = None

    def run(self, command: Command) -> Finished:
        if command.what == "git reflog" and self.person:
            person, self.person = self.person, None
            person()
        return super().run(command)


@pytest.mark.parametrize("older", [0, 1])
def test_a_stash_that_comes_in_between_is_not_dropped_for_ours(host: Host, older: int) -> None:
    """lessons.md L7: git drops by number, and the numbers have shifted."""
    for number in range(older):
        host.checkout.write("app.py", f"older {number}\n")
        host.checkout.git("stash", "push", "-q", "-m", "older")
    host.remote.commit({"other.py": "1\n"})
    host.update()
    host.checkout.write("config.toml", "a = 1\nb = 2\nc = 3\nd = local\n")
    host.checkout.write("app.py", "of a person\n")

    def push() -> None:
        host.checkout.git("stash", "push", "-q", "-m", "in between", "--", "app.py")

    host.runner = Interrupting(person=push if older else None)
    host.remote.commit({"config.toml": "a = new\nb = 2\nc = 3\nd = 4\n"})

    host.update()

    kept = {line.partition(" ")[2] for line in host.checkout.stashes()}
    assert kept == ({"On main: in between", "On main: older"} if older else set())
    assert host.checkout.read("config.toml").endswith("d = local\n")


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
    names = ['a "quoted" name', "with\nnewline", "ünï/cödé", "tab\tname", "*star?", ":(top)x"]
    if sys.platform == "linux":
        names += ["back\\slash", os.fsdecode(b"not\xfft utf-8")]
    host.remote.commit(dict.fromkeys(names, "1\n2\n3\n4\n"))
    host.update()
    for name in names:
        host.checkout.write(name, "1\n2\n3\nlocal\n")
    host.remote.commit(dict.fromkeys(names, "upstream\n2\n3\n4\n"))

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
