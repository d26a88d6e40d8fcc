"""Where releases lie, and what a kill may leave there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from newleaf.core.release import CommitId
from newleaf.update.slots.slot_places import SlotPlaces
from tests.support.kills import run_killed_at

A, B = CommitId("a" * 40), CommitId("b" * 64)


@pytest.fixture
def places(tmp_path: Path) -> SlotPlaces:
    made = SlotPlaces(tmp_path / "state")
    made.state.mkdir()
    made.prepare()
    return made


def make(folder: Path, text: str = "x") -> Path:
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "file").write_text(text)
    return folder


def test_the_layout_is_the_one_that_is_promised(places: SlotPlaces) -> None:
    """contracts.md § State directory."""
    names = {
        "repo.git": places.repository,
        "releases": places.releases,
        "envs": places.environments,
        "shared": places.shared,
        "current": places.current,
        "previous": places.previous,
        f"releases/{A}": places.folder(A),
    }
    assert {name: places.state / name for name in names} == names
    assert [oct((places.state / name).stat().st_mode & 0o777) for name in ("releases", "envs", "shared")] == [
        "0o700"
    ] * 3


@pytest.mark.parametrize(
    ("target", "commit"),
    [
        (f"releases/{A}", A),
        (f"releases/{B}", B),
        (f"/elsewhere/{A}", A),
        (f"releases/.new-{A}", None),
        ("releases/aaaa", None),
        ("somewhere", None),
        (None, None),
    ],
)
def test_the_commit_of_a_link_is_what_it_says(
    places: SlotPlaces, target: str | None, commit: CommitId | None
) -> None:
    if target:
        places.current.symlink_to(target)
    assert places.commit_of(places.current) == commit


def test_current_leads_to_a_folder_by_its_own_name(places: SlotPlaces, tmp_path: Path) -> None:
    assert places.current_release() is None
    places.current.symlink_to(places.target_of(A))
    assert places.current_release() == places.folder(A)
    places.current.unlink()
    places.current.symlink_to(tmp_path)
    assert places.current_release() == tmp_path
    places.current.unlink()
    places.current.mkdir()
    assert places.current_release() == places.current
    assert places.commit_of(places.current) is None


def test_only_whole_commit_ids_are_releases(places: SlotPlaces) -> None:
    assert list(SlotPlaces(places.state / "nowhere").all_releases()) == []
    for name in (A, B, f".new-{A}", f".old-{A}", "notes", "A" * 40):
        (places.releases / name).mkdir()
    assert list(places.all_releases()) == [places.folder(A), places.folder(B)]


def test_what_a_kill_left_is_removed_and_nothing_else(places: SlotPlaces) -> None:
    """lessons.md L24."""
    for folder in (places.releases, places.environments):
        make(folder / f".new-{A}")
        make(folder / f".old-{B}")
        (folder / ".old-file").write_text("")
        (folder / ".new-link").symlink_to(places.state)
        make(folder / A)
    make(places.shared / ".old-data")

    places.prepare()

    assert os.listdir(places.releases) == os.listdir(places.environments) == [A]
    assert os.listdir(places.shared) == [".old-data"]


def test_what_cannot_be_removed_is_in_nobodys_way(
    places: SlotPlaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon in a container leaves files that are another user's."""
    make(places.releases / f".old-{A}")
    make(places.releases / f".old-{B}")

    def refuse(path: Path) -> None:
        raise PermissionError(path)

    with monkeypatch.context() as patch:
        patch.setattr("newleaf.system.copies.remove_whole", refuse)
        places.prepare()
    assert len(os.listdir(places.releases)) == 2
    places.prepare()
    assert os.listdir(places.releases) == []


def test_half_of_a_discarded_release_is_never_seen_under_its_name(places: SlotPlaces) -> None:
    """design.md promise 5."""
    number, killed = 0, True
    while killed:
        number += 1
        make(places.folder(A)) if not places.folder(A).exists() else None
        killed = run_killed_at(number, lambda: places.discard(places.folder(A)))
        assert not places.folder(A).exists() or (places.folder(A) / "below" / "file").exists()
        places.prepare()
        assert set(os.listdir(places.releases)) <= {A}
    assert number > 2
    assert not places.folder(A).exists()


def test_a_file_is_discarded_like_a_folder(places: SlotPlaces) -> None:
    (places.environments / "x.json").write_text("")
    places.discard(places.environments / "x.json")
    assert os.listdir(places.environments) == []


def test_a_release_is_replaced_whole_whenever_it_is_killed(places: SlotPlaces) -> None:
    """design.md promise 5: in between, `current` is known to mean the new one."""
    places.current.symlink_to(places.target_of(A))
    number, killed = 0, True
    while killed:
        number += 1
        make(places.unfinished(A), "new")
        if not places.folder(A).exists():
            make(places.folder(A), "old")
        killed = run_killed_at(number, lambda: places.replace(A))
        found = places.current_release()
        assert found is not None
        text = (found / "below" / "file").read_text()
        assert text == "old" if number < 2 else "new"

        places.prepare()

        assert places.current_release() == places.folder(A)
        assert (places.folder(A) / "below" / "file").read_text() == text
        assert os.listdir(places.releases) == [A]
        (places.folder(A) / "below" / "file").write_text("old")
    assert number > 4


def test_an_unfinished_release_is_never_taken_for_one_that_replaces(places: SlotPlaces) -> None:
    make(places.unfinished(A))
    places.current.symlink_to(places.target_of(A))
    assert places.current_release() == places.folder(A)
    places.prepare()
    assert os.listdir(places.releases) == []
