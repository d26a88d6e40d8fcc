"""Copies of files: whole or not there, with their metadata, never through a link."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from newleaf.system import copies, files
from tests.support.kills import run_killed_at
from tests.support.other_disks import other_disk


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(bytes(range(256)) * 9000)
    path.chmod(0o640)
    os.utime(path, ns=(1_000_000_000, 2_000_000_001))
    return path


def test_a_copy_has_the_bytes_and_the_metadata(source: Path, tmp_path: Path) -> None:
    copies.copy_file(source, tmp_path / "copy")
    found = (tmp_path / "copy").stat()
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    assert (found.st_mode & 0o7777, found.st_mtime_ns) == (0o640, 2_000_000_001)
    assert found.st_ino != source.stat().st_ino


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="no extended attributes")
def test_extended_attributes_come_along(source: Path, tmp_path: Path) -> None:
    try:
        os.setxattr(source, "user.colour", b"green")
    except OSError:
        pytest.skip("no extended attributes on this filesystem")
    copies.copy_file(source, tmp_path / "copy")
    assert os.getxattr(tmp_path / "copy", "user.colour") == b"green"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_comes_along_where_that_is_allowed(source: Path, tmp_path: Path) -> None:
    os.chown(source, 4321, 1234)
    copies.copy_file(source, tmp_path / "copy")
    found = (tmp_path / "copy").stat()
    assert (found.st_uid, found.st_gid) == (4321, 1234)


def test_nothing_is_copied_from_or_to_a_link(source: Path, tmp_path: Path) -> None:
    """threats.md T20."""
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(OSError, match="symbolic"):
        copies.copy_file(tmp_path / "link", tmp_path / "copy")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "target").symlink_to(victim)
    with pytest.raises(FileExistsError):
        copies.copy_file(source, tmp_path / "target")
    assert victim.read_text() == "precious"


def test_replacing_leaves_the_old_file_to_those_who_have_it_open(source: Path, tmp_path: Path) -> None:
    live = tmp_path / "live"
    live.write_text("old")
    with live.open() as reader:
        copies.replace_by_copy(live, source)
        assert reader.read() == "old"
    assert live.read_bytes() == source.read_bytes()


def test_replacing_a_link_replaces_the_link_and_not_where_it_leads(source: Path, tmp_path: Path) -> None:
    """threats.md T20."""
    victim, live = tmp_path / "victim", tmp_path / "live"
    victim.write_text("precious")
    live.symlink_to(victim)
    copies.replace_by_copy(live, source)
    assert victim.read_text() == "precious"
    assert not live.is_symlink()
    copies.replace_by_link(live, "elsewhere")
    assert os.readlink(live) == "elsewhere"


def test_killed_while_replacing_the_old_or_the_new_is_there(source: Path, tmp_path: Path) -> None:
    live = tmp_path / "live"
    for event in range(1, 20):
        live.write_text("old")
        killed = run_killed_at(event, lambda: copies.replace_by_copy(live, source))
        assert live.read_bytes() in (b"old", source.read_bytes())
        copies.replace_by_copy(live, source)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["live", "source"]
        if not killed:
            break
    assert event > 3


def test_keeping_gives_the_same_file_a_second_name(source: Path, tmp_path: Path) -> None:
    copies.keep_file(source, tmp_path / "kept")
    assert (tmp_path / "kept").samefile(source)
    with pytest.raises(FileExistsError):
        copies.keep_file(source, tmp_path / "kept")


def test_keeping_on_another_disk_makes_a_copy(source: Path, tmp_path: Path) -> None:
    with other_disk(tmp_path) as far:
        copies.keep_file(source, far / "kept")
        assert (far / "kept").read_bytes() == source.read_bytes()


def make_tree(folder: Path) -> None:
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").write_text("text")
    (folder / "link").symlink_to("nowhere")


def look(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_text()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_a_folder_is_moved_whole(tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    copies.move(tmp_path / "tree", tmp_path / "moved")
    assert look(tmp_path / "moved") == {"inner/file": "text", "link": "nowhere"}
    assert not (tmp_path / "tree").exists()


def test_a_folder_is_moved_to_another_disk_and_again_after_any_kill(tmp_path: Path) -> None:
    with other_disk(tmp_path) as far:
        for event in range(1, 30):
            shutil.rmtree(tmp_path / "tree", ignore_errors=True)
            shutil.rmtree(far / "moved", ignore_errors=True)
            make_tree(tmp_path / "tree")
            killed = run_killed_at(event, lambda: copies.move(tmp_path / "tree", far / "moved"))
            found = {**look(far / "moved"), **look(tmp_path / "tree")}
            assert found == {"inner/file": "text", "link": "nowhere"}, "nothing is lost on the way"
            if not killed:
                break
        assert event > 5
        assert not (tmp_path / "tree").exists()


def test_same_content_is_told_from_other_content(source: Path, tmp_path: Path) -> None:
    same, other = tmp_path / "same", tmp_path / "other"
    same.write_bytes(source.read_bytes())
    other.write_bytes(source.read_bytes()[:-1] + b"x")
    assert copies.have_same_content(source, same)
    assert not copies.have_same_content(source, other)
    assert not copies.have_same_content(source, Path(__file__))


def test_whether_blocks_are_shared_is_found_out_by_trying(source: Path, tmp_path: Path) -> None:
    shared = copies.can_share_blocks(source, tmp_path)
    reflink = ["cp", "--reflink=always", str(source), str(tmp_path / "probe")]
    assert shared == (subprocess.run(reflink, capture_output=True, check=False).returncode == 0)
    assert not (tmp_path / copies.PROVISIONAL).exists()


def test_blocks_are_never_shared_across_disks(source: Path, tmp_path: Path) -> None:
    with other_disk(tmp_path) as far:
        assert not copies.can_share_blocks(source, far)
        assert list(far.iterdir()) == []


def test_a_copy_is_synced_before_it_takes_its_place(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(files, "observe", lambda event, _path: seen.append(event))
    monkeypatch.setattr(os, "fsync", lambda _descriptor: seen.append("synced"))
    copies.replace_by_copy(tmp_path / "live", source)
    assert seen == ["copy", "synced", "rename", "fsync", "synced"]


def test_a_folder_is_copied_whole_with_its_links_and_modes(tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    (tmp_path / "tree" / "inner").chmod(0o750)
    os.mkfifo(tmp_path / "tree" / "pipe")
    copies.copy_whole(tmp_path / "tree", tmp_path / "copy")
    assert look(tmp_path / "copy") == look(tmp_path / "tree") == {"inner/file": "text", "link": "nowhere"}
    assert (tmp_path / "copy" / "inner").stat().st_mode & 0o777 == 0o750
    assert not (tmp_path / "copy" / "pipe").exists()


def test_a_file_or_a_link_is_copied_whole_too(source: Path, tmp_path: Path) -> None:
    copies.copy_whole(source, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    (tmp_path / "link").symlink_to("nowhere")
    copies.copy_whole(tmp_path / "link", tmp_path / "link2")
    assert os.readlink(tmp_path / "link2") == "nowhere"


def test_files_are_copied_by_whoever_knows_how(tmp_path: Path) -> None:
    def write_own(_source: Path, target: Path) -> None:
        target.write_text("own")

    make_tree(tmp_path / "tree")
    copies.copy_whole(tmp_path / "tree", tmp_path / "copy", write_own)
    assert look(tmp_path / "copy") == {"inner/file": "own", "link": "nowhere"}


def test_killed_anywhere_half_of_a_copy_is_never_seen(tmp_path: Path) -> None:
    """design.md promise 5."""
    make_tree(tmp_path / "tree")
    number, killed = 0, True
    while killed:
        number += 1
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        killed = run_killed_at(number, lambda: copies.copy_whole(tmp_path / "tree", tmp_path / "copy"))
        if (tmp_path / "copy").exists():
            assert look(tmp_path / "copy") == look(tmp_path / "tree")
        else:
            copies.copy_whole(tmp_path / "tree", tmp_path / "copy")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "tree"]
    assert number > 4


def test_what_is_moved_aside_takes_the_first_free_name(tmp_path: Path) -> None:
    for text in ("one", "two", "three"):
        (tmp_path / "file").write_text(text)
        copies.move_aside(tmp_path / "file", tmp_path / "left" / "deep" / "file")
    found = {path.name: path.read_text() for path in (tmp_path / "left" / "deep").iterdir()}
    assert found == {"file": "one", "file.2": "two", "file.3": "three"}
    assert (tmp_path / "left" / "deep").stat().st_mode & 0o777 == 0o700


def test_what_is_removed_whole_is_a_file_a_link_or_a_folder(tmp_path: Path) -> None:
    """threats.md T20: what a link leads to stays."""
    make_tree(tmp_path / "tree")
    make_tree(tmp_path / "other")
    (tmp_path / "way").symlink_to("other")
    (tmp_path / "file").write_text("")
    for name in ("tree", "way", "file", "nothing"):
        copies.remove_whole(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    assert look(tmp_path / "other") == {"inner/file": "text", "link": "nowhere"}
