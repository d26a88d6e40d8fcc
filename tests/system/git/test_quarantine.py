"""Where fetched objects wait."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from newleaf.core.errors import CommandTimedOut
from newleaf.system.git.quarantine import Quarantine


@pytest.fixture
def quarantine(tmp_path: Path) -> Quarantine:
    (tmp_path / "objects").mkdir()
    return Quarantine(tmp_path / "incoming", tmp_path / "objects")


def put(quarantine: Quarantine, *names: str) -> None:
    (quarantine.folder / "pack").mkdir(exist_ok=True)
    for name in names:
        (quarantine.folder / "pack" / name).write_text(name)


def test_packs_are_taken_over_and_the_rest_is_gone(quarantine: Quarantine) -> None:
    """threats.md T5."""
    with quarantine.opened(1):
        put(quarantine, "pack-1.pack", "pack-1.idx", "pack-1.rev", "tmp_pack_x")
        quarantine.adopt()

    kept = {file.name: file.read_text() for file in (quarantine.objects / "pack").iterdir()}
    assert kept == {name: name for name in ("pack-1.pack", "pack-1.idx", "pack-1.rev")}
    assert not quarantine.folder.exists()


def test_a_link_in_the_lock_s_place_makes_no_file_elsewhere(quarantine: Quarantine, tmp_path: Path) -> None:
    """threats.md T20."""
    (tmp_path / "incoming.lock").symlink_to(tmp_path / "made-by-newleaf")

    with pytest.raises(OSError, match="symbolic"), quarantine.opened(1):
        pytest.fail("the fetch began")

    assert not (tmp_path / "made-by-newleaf").exists()


def test_an_index_comes_last(quarantine: Quarantine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that sees an index expects its pack."""
    order = []
    replace = Path.replace

    def watched(file: Path, to: Path) -> Path:
        order.append(file.suffix)
        return replace(file, to)

    monkeypatch.setattr(Path, "replace", watched)
    with quarantine.opened(1):
        put(quarantine, "pack-1.idx", "pack-1.pack", "pack-2.pack", "pack-2.idx", "pack-1.rev")
        quarantine.adopt()

    assert order[-2:] == [".idx", ".idx"]


def test_packs_cross_a_filesystem_whole(quarantine: Quarantine, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def elsewhere(file: Path, to: Path) -> Path:
        if file.parent != to.parent:
            raise OSError(errno.EXDEV, "another filesystem")
        return replace(file, to)

    monkeypatch.setattr(Path, "replace", elsewhere)
    with quarantine.opened(1):
        put(quarantine, "pack-1.pack", "pack-1.idx")
        quarantine.adopt()

    assert sorted(file.name for file in (quarantine.objects / "pack").iterdir()) == [
        "pack-1.idx",
        "pack-1.pack",
    ]


def test_nothing_is_taken_over_when_something_fails(quarantine: Quarantine) -> None:
    def fetch_something_unsound() -> None:
        with quarantine.opened(1):
            put(quarantine, "pack-1.pack")
            raise ValueError("unsound")

    with pytest.raises(ValueError, match="unsound"):
        fetch_something_unsound()

    assert list(quarantine.objects.iterdir()) == []
    assert not quarantine.folder.exists()


def test_it_begins_empty_and_reads_the_store(quarantine: Quarantine) -> None:
    quarantine.folder.mkdir()
    put(quarantine, "tmp_pack_left")

    with quarantine.opened(1):
        assert quarantine.largest() == 0
        assert (quarantine.folder / "info" / "alternates").read_text() == f"{quarantine.objects}\n"


def test_the_largest_file_is_known(quarantine: Quarantine) -> None:
    with quarantine.opened(1):
        put(quarantine, "a", "tmp_pack_longest")
        assert quarantine.largest() == len("tmp_pack_longest")


def test_a_second_one_waits_and_gives_up_in_time(quarantine: Quarantine) -> None:
    """lessons.md L9, L10."""
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with quarantine.opened(1):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(10)
    try:
        began = time.monotonic()
        with pytest.raises(CommandTimedOut), quarantine.opened(0.1):
            pass
        assert time.monotonic() - began < 5
        assert quarantine.folder.exists()
    finally:
        leave.set()
        thread.join()
    with quarantine.opened(1):
        assert os.listdir(quarantine.folder) == ["info"]
