"""A move between slots that is killed anywhere, and made again: whole releases, and nothing lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from newleaf.core.release import Release
from newleaf.core.releases.slot_errors import NothingDeployed
from newleaf.system import files
from newleaf.system.commands import Command, Finished, Runner
from tests.support.kills import run_killed_at
from tests.support.slot_layouts import FIRST, SECOND, SlotHost, make_slot_host, picture


@pytest.fixture
def host(tmp_path: Path) -> SlotHost:
    return make_slot_host(tmp_path)


class ObservedRunner(Runner):
    """Tells `files.observe` before each command that writes, as every write does."""

    def run(self, command: Command) -> Finished:
        if command.what in ("git read-tree", "git checkout-index"):
            files.observe(command.what, command.cwd)
        return super().run(command)


def copy_of(host: SlotHost, folder: Path) -> SlotHost:
    """The same host at another place, with a runner that can be killed at each command."""
    shutil.copytree(host.state, folder / "state", symlinks=True)
    return SlotHost(
        host.remote, folder / "state", host.shared, good=list(host.good), keep=1, runner=ObservedRunner()
    )


def move(host: SlotHost, release: Release) -> None:
    layout = host.layout
    layout.stage(release)
    layout.place(release, sideways=False)
    layout.activate(release)
    layout.tidy()


def check_any_kill(original: SlotHost, release: Release, tmp_path: Path, *, is_damaged: bool = False) -> int:
    """Kills the move before every event, makes it again in a fresh layout, compares; how many there were."""
    straight = copy_of(original, tmp_path / "straight")
    move(straight, release)
    expected, lives = picture_of(straight), {original.layout.live(), release}
    number, killed = 0, True
    while killed:
        number += 1
        host = copy_of(original, tmp_path / str(number))
        killed = run_killed_at(number, lambda host=host: move(host, release))  # type: ignore[misc]
        found = host.layout.live()
        assert found in lives, f"killed at {number}"
        if not is_damaged:
            assert host.is_whole(found), f"killed at {number}"
            assert (host.state / "current" / "app.py").exists()
        files.prepare_state_directory(host.state)  # as every process does that changes something
        move(host, release)
        assert picture_of(host) == expected, f"killed at {number}"
        assert host.layout.live() == release
        assert host.is_whole(release)
        shutil.rmtree(tmp_path / str(number))
    return number


def picture_of(host: SlotHost) -> dict[str, object]:
    """All but git's own, which may hold what was fetched in other files."""
    return {name: what for name, what in picture(host.state).items() if not name.startswith("repo.git")}


def test_killed_anywhere_then_moved_again_the_release_is_live(host: SlotHost, tmp_path: Path) -> None:
    """design.md promise 5: with pruning, shared data and a file of the app's to be kept on the way."""
    host.shared = ("data",)
    old, _ = host.update(FIRST)
    host.update({"app.py": "between\n"})
    host.update({"app.py": "before\n"})
    (host.folder(old) / "upload.bin").write_text("mine")
    host.good = host.good[:1]
    release = host.fetched(SECOND)

    assert check_any_kill(host, release, tmp_path) > 15


def test_killed_anywhere_in_the_first_release_then_made_again(host: SlotHost, tmp_path: Path) -> None:
    """design.md promise 5."""
    host.shared = ("data",)
    release = host.fetched(FIRST)
    number, killed = 0, True
    while killed:
        number += 1
        again = copy_of(host, tmp_path / str(number))
        killed = run_killed_at(number, lambda again=again: move(again, release))  # type: ignore[misc]
        try:
            assert again.layout.live() == release
            assert again.is_whole(release)
        except NothingDeployed:
            assert not os.path.lexists(again.places.current)
        files.prepare_state_directory(again.state)
        move(again, release)
        assert again.is_whole(release)
        assert again.names() == {release.commit}
        shutil.rmtree(tmp_path / str(number))
    assert number > 10


def test_killed_anywhere_while_a_damaged_live_release_is_written_anew(host: SlotHost, tmp_path: Path) -> None:
    """design.md promise 5: what is live is known at any moment, and whole in the end."""
    release, _ = host.update(FIRST)
    (host.folder(release) / "run.sh").chmod(0o644)
    (host.folder(release) / "upload.bin").write_text("mine")

    assert check_any_kill(host, release, tmp_path, is_damaged=True) > 8


def test_killed_anywhere_on_the_way_back(host: SlotHost, tmp_path: Path) -> None:
    """design.md promise 4."""
    first, _ = host.update(FIRST)
    host.update(SECOND)

    assert check_any_kill(host, first, tmp_path) > 4
