"""Trees written into a folder of their own, and what of them still lies there. Real git."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from newleaf.core.errors import CommandFailed
from newleaf.core.release import CommitId
from newleaf.system.commands import Runner
from newleaf.system.git.directory import Git, Repository
from newleaf.system.git.environment import Access
from newleaf.system.git.tree_writer import INDEX, TreeWriter, is_at_or_below
from tests.support.repositories import Content, Link, Remote, Script

MAIN = "refs/heads/main"
NAMES = (
    "new\nline",
    'quo"te',
    '"',
    "back\\slash",
    " space ",
    "-x",
    ":(glob)*",
    "tab\t",
    "ret\r",
    "caf\udce9",
)
STRANGE: dict[str, Content] = {f"{name}/{name}": f"{name!r}\n" for name in NAMES}
PLAIN: dict[str, Content] = {
    "app.py": "one\n",
    "run.sh": Script("#!/bin/sh\n"),
    "deep/er/file.bin": bytes(range(256)),
    "link": Link("deep/er"),
    "deep/up": Link("../app.py"),
    "dangling": Link("nothing"),
    "empty": "",
}


class Place:
    """A remote, the updater's own git, and a folder to write to."""

    def __init__(self, folder: Path, remote: Remote) -> None:
        self.folder, self.remote = folder / "tree", remote
        self.folder.mkdir()
        outer = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        extensions = (("objectformat", "sha256"),) if is_sha256(remote) else ()
        repository = Repository(folder / "repo.git", extensions=extensions)
        self.git = Git(repository, Access(remote.url), Runner(), outer)
        self.writer = TreeWriter(self.git)

    def write(self, contents: dict[str, Content]) -> CommitId:
        commit = self.remote.commit(contents)
        self.git.fetch({MAIN: commit})
        self.writer.write(commit, self.folder)
        return commit

    def look(self) -> dict[str, object]:
        """What lies there: links by where they lead, files by content and whether they can be run."""
        return {
            os.path.relpath(path, self.folder): os.readlink(path)
            if os.path.islink(path)
            else (Path(path).read_bytes(), os.access(path, os.X_OK))
            for top, folders, names in os.walk(self.folder)
            for path in (os.path.join(top, name) for name in (*folders, *names))
            if os.path.islink(path) or not os.path.isdir(path)
        }


def is_sha256(remote: Remote) -> bool:
    return remote.git("rev-parse", "--show-object-format") == "sha256"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, Remote.make(tmp_path))


def test_files_links_and_executables_are_written_as_committed(place: Place) -> None:
    commit = place.write(PLAIN)
    assert place.look() == {
        "app.py": (b"one\n", False),
        "run.sh": (b"#!/bin/sh\n", True),
        "deep/er/file.bin": (bytes(range(256)), False),
        "link": "deep/er",
        "deep/up": "../app.py",
        "dangling": "nothing",
        "empty": (b"", False),
    }
    assert place.writer.holds(commit, place.folder)
    assert place.writer.intact(commit, place.folder) == set(PLAIN)


def test_strange_names_are_written_and_found_again(place: Place) -> None:
    """Newline, quotes, what git could take for an option, a last carriage return, bytes that are no text."""
    commit = place.write(STRANGE)
    assert set(place.look()) == set(STRANGE)
    assert place.writer.holds(commit, place.folder)
    for name in STRANGE:
        (place.folder / name).write_text("changed\n")
        assert place.writer.intact(commit, place.folder) == set(STRANGE) - {name}
        place.writer.write(commit, place.folder)


def test_attributes_drop_and_rewrite_nothing_that_a_checkout_would_not(place: Place) -> None:
    """threats.md § How: `git archive` would leave out what is `export-ignore`, and expand `export-subst`."""
    attributes = "*.bat text eol=crlf\n*.id ident\nsecret export-ignore\n*.sub export-subst\n*.f filter=x\n"
    commit = place.write(
        {
            ".gitattributes": attributes,
            "a.bat": "one\ntwo\n",
            "a.id": "$Id$\n",
            "secret": "s\n",
            "a.sub": "$Format:%H$\n",
            "a.f": "f\n",
        }
    )
    found = place.look()
    assert found["a.bat"] == (b"one\r\ntwo\r\n", False)
    assert found["secret"] == (b"s\n", False)
    assert found["a.sub"] == (b"$Format:%H$\n", False)
    assert found["a.id"][0].startswith(b"$Id: ")  # type: ignore[index]
    assert place.writer.holds(commit, place.folder)


def test_what_was_committed_against_its_attributes_is_held_all_the_same(place: Place) -> None:
    """Line ends and `$Id$` that git would commit in another way: adding the file again gives another id."""
    contents: dict[str, Content] = {
        ".gitattributes": "*.bat text eol=crlf\n*.txt text\n*.id ident\n",
        "old.bat": "one\r\ntwo\r\n",
        "old\n.txt": "one\r\n",
        "old.id": "$Id: elsewhere 1.2 $\n",
        "app.py": "one\n",
    }
    commit = place.write(contents)
    assert place.writer.holds(commit, place.folder)

    (place.folder / "old.bat").write_bytes(b"one\r\ntwo!\r\n")
    (place.folder / "old.id").write_bytes(b"$Id: mine $\n")

    assert place.writer.intact(commit, place.folder) == set(contents) - {"old.bat", "old.id"}
    assert sorted(os.listdir(place.git.repository.folder / "..")) == ["remote.git", "repo.git", "tree"]
    assert "comparing" not in os.listdir(place.git.repository.folder)


def test_a_sha256_repository_is_written_and_held(tmp_path: Path) -> None:
    remote = Remote(tmp_path / "remote.git")
    remote.path.mkdir()
    remote.git("init", "-q", "--bare", "--template=", "--initial-branch=main", "--object-format=sha256")
    place = Place(tmp_path, remote)
    commit = place.write({**PLAIN, **STRANGE})
    assert len(commit) == 64
    assert place.writer.holds(commit, place.folder)
    (place.folder / "link").unlink()
    (place.folder / "link").symlink_to("deep")
    assert place.writer.intact(commit, place.folder) == {*PLAIN, *STRANGE} - {"link"}


def test_a_tree_without_files_is_written_and_held(place: Place) -> None:
    commit = place.write({})
    assert place.writer.holds(commit, place.folder)
    assert list(place.folder.iterdir()) == []


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def lead_elsewhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("deep")


def become_a_link(path: Path) -> None:
    path.rename(path.with_name("beside"))
    path.symlink_to("beside")


def become_a_file(path: Path) -> None:
    path.unlink()
    path.write_text("deep/er")


def become_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "content": ("app.py", lambda path: path.write_text("two\n")),
    "emptied": ("app.py", lambda path: path.write_text("")),
    "gone": ("app.py", Path.unlink),
    "made executable": ("app.py", lambda path: path.chmod(0o755)),
    "no longer executable": ("run.sh", lambda path: path.chmod(0o644)),
    "a folder in its place": ("app.py", replace_by_folder),
    "a link in its place": ("app.py", become_a_link),
    "a pipe in its place": ("empty", become_a_pipe),
    "a link that leads elsewhere": ("link", lead_elsewhere),
    "a link that became a file": ("link", become_a_file),
    "a file in the place of its folder": ("deep/up", lambda path: shutil.rmtree(path.parent)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_noticed_and_the_other_files_are_intact(place: Place, damage: str) -> None:
    """lessons.md L16, for the tree: also with the same size and times, which an index would believe."""
    commit = place.write(PLAIN)
    name, act = DAMAGES[damage]
    file = place.folder / name
    before = file.lstat()
    act(file)
    if file.is_file() and not file.is_symlink():
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert not place.writer.holds(commit, place.folder)
    assert place.writer.holds(commit, place.folder, (name.split("/")[0],))
    assert name not in place.writer.intact(commit, place.folder)
    assert place.writer.intact(commit, place.folder) >= {"dangling"}


def test_a_folder_that_became_a_link_to_the_same_files_is_noticed(place: Place) -> None:
    """A path that is no longer shared would otherwise stay a link."""
    commit = place.write(PLAIN)
    (place.folder / "deep").rename(place.folder.parent / "elsewhere")
    (place.folder / "deep").symlink_to("../elsewhere")
    assert place.writer.intact(commit, place.folder) == set(PLAIN) - {"deep/er/file.bin", "deep/up"}
    assert place.writer.holds(commit, place.folder, ("deep",))


def test_what_else_lies_there_does_not_matter(place: Place) -> None:
    commit = place.write(PLAIN)
    (place.folder / "extra").write_text("x")
    assert place.writer.holds(commit, place.folder)


def test_a_folder_below_a_link_counts_as_the_folder(place: Place) -> None:
    """A state directory may lie behind a link."""
    commit = place.write(PLAIN)
    (place.folder.parent / "way").symlink_to("tree")
    assert place.writer.holds(commit, place.folder.parent / "way")


def test_hooks_filters_and_settings_around_do_not_run(place: Place, tmp_path: Path) -> None:
    """threats.md T18."""
    canary = tmp_path / "canary"
    (tmp_path / ".gitconfig").write_text(
        f'[filter "x"]\n\tsmudge = touch {canary}\n\tclean = touch {canary}\n'
    )
    hooks = place.git.repository.folder / "hooks"
    hooks.mkdir(parents=True)
    for name in ("post-checkout", "post-index-change"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {canary}\n")
        (hooks / name).chmod(0o755)
    commit = place.write({".gitattributes": "* filter=x\n", "a": "a\n"})
    assert place.writer.holds(commit, place.folder)
    assert not canary.exists()


def test_an_index_and_its_lock_that_a_killed_git_left_are_in_nobodys_way(place: Place) -> None:
    """design.md promise 5: a power cut leaves the lock file behind."""
    commit = place.write(PLAIN)
    for name in (INDEX, f"{INDEX}.lock"):
        (place.git.repository.folder / name).write_bytes(b"torn")
    (place.git.repository.folder / "comparing").mkdir()
    shutil.rmtree(place.folder)
    place.folder.mkdir()
    place.writer.write(commit, place.folder)
    assert place.writer.holds(commit, place.folder)


def test_a_commit_that_is_not_here_is_an_error(place: Place) -> None:
    place.write(PLAIN)
    with pytest.raises(CommandFailed):
        place.writer.write(CommitId("1" * 40), place.folder)
    with pytest.raises(CommandFailed):
        place.writer.holds(CommitId("1" * 40), place.folder)


def test_below_a_place_is_told_from_beside_it() -> None:
    assert is_at_or_below("a/b", ("a",))
    assert is_at_or_below("a", ("x", "a"))
    assert not is_at_or_below("ab", ("a",))
    assert not is_at_or_below("a", ("a/b",))
