"""The slots layout: staged beside, made live by a link, and whole after any kill. Real git."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from newleaf.core.errors import CommandFailed, DiskFull, NewleafError
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.slot_errors import (
    CurrentLost,
    NothingDeployed,
    ReleaseLost,
    SharedInTheWay,
    TreeDiffers,
)
from newleaf.system import files
from newleaf.system.commands import Command, Finished, Runner
from newleaf.system.git.tree_writer import TreeWriter
from tests.support.repositories import Link
from tests.support.slot_layouts import FIRST, SECOND, SlotHost, make_slot_host, picture


@pytest.fixture
def host(tmp_path: Path) -> SlotHost:
    return make_slot_host(tmp_path)


# --- what is live -----------------------------------------------------------------------


def test_before_the_first_release_nothing_is_deployed(host: SlotHost) -> None:
    with pytest.raises(NothingDeployed) as error:
        host.layout.live()
    assert "init --slots" in error.value.advice


def test_the_live_release_is_what_current_leads_to(host: SlotHost) -> None:
    release = Release(host.fetched(FIRST).commit, "1.2.0", "v1.2.0")
    host.move_to(release)
    assert host.layout.live() == release
    assert (host.state / "current" / "app.py").read_text() == "one\n"


@pytest.mark.parametrize("damage", ["gone", "no record", "torn record", "no release"])
def test_current_without_a_release_needs_a_person(host: SlotHost, damage: str) -> None:
    release, _ = host.update(FIRST)
    record = host.folder(release) / ".newleaf-release.json"
    acts: dict[str, Callable[[], object]] = {
        "gone": lambda: shutil.rmtree(host.folder(release)),
        "no record": record.unlink,
        "torn record": lambda: record.write_text('{"comm'),
        "no release": lambda: files.replace_link(host.places.current, "."),
    }
    acts[damage]()
    with pytest.raises(CurrentLost) as error:
        host.layout.live()
    assert error.value.exit_code == 7
    assert str(host.places.releases) in error.value.advice


# --- staging ----------------------------------------------------------------------------


def test_a_staged_release_lies_beside_and_nothing_live_is_touched(host: SlotHost) -> None:
    first, _ = host.update(FIRST)
    before, link = picture(host.folder(first)), os.readlink(host.places.current)
    second = host.fetched(SECOND)

    host.layout.stage(second)

    assert host.layout.live() == first
    assert picture(host.folder(first)) == before
    assert os.readlink(host.places.current) == link
    assert host.is_whole(second)
    assert host.names() == {first.commit, second.commit}
    assert host.folder(second).stat().st_mode & 0o777 == 0o700


def test_each_release_says_what_it_is(host: SlotHost) -> None:
    """contracts.md § State directory."""
    release = Release(host.fetched(FIRST).commit, "1.2.0", "v1.2.0")
    host.layout.stage(release)
    assert json.loads((host.folder(release) / ".newleaf-release.json").read_text()) == {
        "schema": 1,
        "commit": release.commit,
        "version": "1.2.0",
        "tag": "v1.2.0",
        "channel": "alpha",
        "environment": None,
    }


def test_a_release_that_lies_there_whole_is_not_written_again(host: SlotHost) -> None:
    host.shared = ("data",)
    release, _ = host.update(FIRST)
    written = (host.folder(release) / "app.py").stat().st_ino
    (host.folder(release) / "__pycache__").mkdir()
    (host.folder(release) / ".newleaf-release.json.99999999.1.tmp").write_text("")

    host.layout.stage(release)

    assert (host.folder(release) / "app.py").stat().st_ino == written
    assert (host.folder(release) / "__pycache__").is_dir()


def lead_elsewhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("run.sh")


DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "content": ("app.py", lambda path: path.write_text("bad\n")),
    "gone": ("app.py", Path.unlink),
    "mode": ("run.sh", lambda path: path.chmod(0o644)),
    "link": ("link", lead_elsewhere),
    "record gone": (".newleaf-release.json", Path.unlink),
    "record torn": (".newleaf-release.json", lambda path: path.write_text("{")),
    "another's record": (
        ".newleaf-release.json",
        lambda path: path.write_text(json.dumps({"commit": "1" * 40, "version": None})),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_release_is_written_anew_when_it_is_staged_again(host: SlotHost, damage: str) -> None:
    """lessons.md L16: with what the app wrote into it kept."""
    first, _ = host.update(FIRST)
    host.update(SECOND)
    name, act = DAMAGES[damage]
    (host.folder(first) / "upload.bin").write_text("the app's")
    act(host.folder(first) / name)

    notes = host.move_to(first)

    assert host.is_whole(first)
    assert host.layout.live() == first
    assert (host.places.left / first.commit / "upload.bin").read_text() == "the app's"
    assert "upload.bin" in notes[0]
    assert host.names() == {first.commit, host.good[1]}


def test_an_edit_in_a_release_is_kept_when_it_is_written_anew(host: SlotHost) -> None:
    """design.md promise 2: local edits survive everything."""
    first, _ = host.update(FIRST)
    (host.folder(first) / "app.py").write_text("edited\n")

    (note,) = host.move_to(first)

    assert (host.folder(first) / "app.py").read_text() == "one\n"
    assert (host.places.left / first.commit / "app.py").read_text() == "edited\n"
    assert "app.py" in note


def test_what_was_written_before_its_path_was_shared_is_kept(host: SlotHost) -> None:
    """A release that is staged again after `app.shared` has grown."""
    first, _ = host.update(FIRST)
    (host.folder(first) / "data" / "upload.bin").write_text("mine")
    host.shared = ("data",)
    host.update(SECOND)

    (note,) = host.move_to(first)

    assert os.readlink(host.folder(first) / "data") == "../../shared/data"
    assert (host.places.left / first.commit / "data" / "upload.bin").read_text() == "mine"
    assert "data" in note
    assert host.is_whole(first)


def test_what_is_no_longer_shared_is_the_trees_again(host: SlotHost) -> None:
    host.shared = ("data",)
    first, _ = host.update(FIRST)
    (host.places.shared / "data" / "upload.bin").write_text("mine")
    host.shared = ()

    host.move_to(first)

    assert host.is_whole(first)
    assert not (host.folder(first) / "data").is_symlink()
    assert (host.places.shared / "data" / "upload.bin").read_text() == "mine"


def test_a_file_in_the_place_of_a_release_makes_room(host: SlotHost) -> None:
    release = host.fetched(FIRST)
    host.places.prepare()
    host.folder(release).write_text("x")
    host.layout.stage(release)
    assert host.is_whole(release)


def test_shared_paths_hold_what_the_first_release_brought_and_the_app_wrote(host: SlotHost) -> None:
    """lessons.md L23."""
    host.shared = ("data", ".env")
    host.update(FIRST)
    (host.state / "current" / ".env").write_text("KEY=1\n")
    (host.state / "current" / "data" / "db").write_bytes(b"\0\r\n")
    second, notes = host.update({**SECOND, "data/seed.txt": "other\n", ".env": "KEY=default\n"})

    assert (host.folder(second) / ".env").read_text() == "KEY=1\n"
    assert (host.folder(second) / "data" / "db").read_bytes() == b"\0\r\n"
    assert (host.folder(second) / "data" / "seed.txt").read_bytes() == b"seed\r\n"
    assert notes == []
    assert not host.places.left.exists()


def test_a_shared_path_in_the_way_is_refused_and_nothing_is_left(host: SlotHost) -> None:
    first, _ = host.update(FIRST)
    host.shared = ("link/x",)
    second = host.fetched({**SECOND, "link": Link("data")})
    with pytest.raises(SharedInTheWay):
        host.layout.stage(second)
    assert host.names() == {first.commit}


def test_a_full_disk_is_refused_before_anything_is_written(
    host: SlotHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lessons.md L24."""
    first, _ = host.update(FIRST)
    second = host.fetched({"large.bin": b"x" * 5_000_000})
    written: list[str] = []
    monkeypatch.setattr(files, "observe", lambda event, path: written.append(f"{event} {path.name}"))
    for free, is_enough in ((16 * 1024 * 1024 + 5_000_000, False), (16 * 1024 * 1024 + 5_100_000, True)):
        monkeypatch.setattr(files, "_free_bytes", lambda _folder, free=free: free)
        if is_enough:
            host.layout.stage(second)
            assert host.is_whole(second)
        else:
            with pytest.raises(DiskFull) as error:
                host.layout.stage(second)
            assert error.value.exit_code == 1
            assert host.names() == {first.commit}
            assert written == []


def test_a_disk_that_fills_up_meanwhile_leaves_nothing_and_the_live_release(host: SlotHost) -> None:
    class FullRunner(Runner):
        """A git that dies of it half way."""

        def run(self, command: Command) -> Finished:
            done = super().run(command)
            if command.what == "git read-tree":
                raise CommandFailed(what=command.what, status=128, output="No space left on device")
            return done

    first, _ = host.update(FIRST)
    second = host.fetched(SECOND)
    host.runner = FullRunner()
    with pytest.raises(CommandFailed):
        host.layout.stage(second)
    assert host.names() == {first.commit}
    assert host.layout.live() == first


def test_what_was_not_written_as_committed_is_not_given_its_name(
    host: SlotHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """threats.md § How: what was written must equal the tree."""
    write = TreeWriter.write

    def write_badly(self: TreeWriter, commit: CommitId, folder: Path) -> None:
        write(self, commit, folder)
        (folder / "app.py").write_text("bad\n")

    release = host.fetched(FIRST)
    monkeypatch.setattr(TreeWriter, "write", write_badly)
    with pytest.raises(TreeDiffers):
        host.layout.stage(release)
    assert host.names() == set()


def test_only_the_commit_that_was_verified_is_written(host: SlotHost) -> None:
    """threats.md T22: a ref that moves between verify and activate has no effect."""
    release = host.fetched(FIRST)
    host.fetched(SECOND)
    host.move_to(release)
    assert host.layout.live() == release
    assert (host.state / "current" / "app.py").read_text() == "one\n"


def test_a_tree_is_written_whatever_the_umask_is(host: SlotHost) -> None:
    release = host.fetched(FIRST)
    before = os.umask(0o077)
    try:
        host.layout.stage(release)
    finally:
        os.umask(before)
    assert host.is_whole(release)


# --- moving -----------------------------------------------------------------------------


def test_placing_moves_nothing_and_wants_the_release_whole(host: SlotHost) -> None:
    first, _ = host.update(FIRST)
    second = host.fetched(SECOND)
    with pytest.raises(ReleaseLost):
        host.layout.place(second, sideways=False)
    host.layout.stage(second)
    host.layout.place(second, sideways=False)
    assert host.layout.live() == first
    (host.folder(second) / ".newleaf-release.json").unlink()
    with pytest.raises(ReleaseLost):
        host.layout.place(second, sideways=False)


def test_current_is_swapped_and_previous_remembers(host: SlotHost) -> None:
    first, _ = host.update(FIRST)
    assert not os.path.lexists(host.places.previous)
    second, _ = host.update(SECOND)
    assert os.readlink(host.places.current) == f"releases/{second.commit}"
    assert os.readlink(host.places.previous) == f"releases/{first.commit}"
    host.layout.activate(first)
    assert os.readlink(host.places.current) == f"releases/{first.commit}"
    assert os.readlink(host.places.previous) == f"releases/{second.commit}"


def test_activating_again_leaves_previous_as_it_is(host: SlotHost) -> None:
    first, _ = host.update(FIRST)
    second, _ = host.update(SECOND)
    host.layout.activate(second)
    assert os.readlink(host.places.previous) == f"releases/{first.commit}"


def test_the_state_directory_may_be_moved(host: SlotHost, tmp_path: Path) -> None:
    host.shared = ("data",)
    host.update(FIRST)
    release, _ = host.update(SECOND)
    host.state.rename(tmp_path / "moved")
    host.state = tmp_path / "moved"
    assert host.layout.live() == release
    assert (host.state / "current" / "data" / "seed.txt").read_bytes() == b"seed\r\n"
    assert (host.state / "previous" / "app.py").read_text() == "one\n"


def test_notes_are_given_once(host: SlotHost) -> None:
    first, _ = host.update(FIRST)
    (host.folder(first) / "mine").write_text("x")
    (host.folder(first) / "app.py").unlink()
    layout = host.layout
    layout.stage(first)
    assert len(layout.activate(first)) == 1
    assert layout.activate(first) == []


def test_errors_of_the_disk_say_what_to_do(host: SlotHost) -> None:
    release = host.fetched(FIRST)
    host.places.releases.write_text("a file")
    with pytest.raises(NewleafError):
        host.layout.stage(release)
