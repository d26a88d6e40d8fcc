"""What releases share: begun from the tree, linked, and never replaced (lessons.md L23)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from newleaf.core.releases.slot_errors import SharedInTheWay
from newleaf.update.slots.shared_paths import SharedPaths, shared_by
from tests.support.kills import run_killed_at
from tests.support.written_files import written


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A tree in the place of a release, two folders below the state directory."""
    made = tmp_path / "state" / "releases" / ("a" * 40)
    made.mkdir(parents=True)
    (tmp_path / "state" / "shared").mkdir()
    return made


@pytest.fixture
def shared(release: Path) -> Path:
    return release.parent.parent / "shared"


def write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def link(release: Path, *paths: str, inner: str = ".") -> None:
    SharedPaths(release.parent.parent / "shared", inner, paths).link(release)


def test_what_is_missing_starts_as_what_the_tree_has(release: Path, shared: Path) -> None:
    write(release / "data" / "seed" / "a.txt", "seed")
    (release / "data" / "seed" / "b").symlink_to("a.txt")
    write(release / "conf.toml", "conf").chmod(0o640)

    link(release, "data", "conf.toml")

    assert (shared / "data" / "seed" / "a.txt").read_text() == "seed"
    assert os.readlink(shared / "data" / "seed" / "b") == "a.txt"
    assert (shared / "conf.toml").stat().st_mode & 0o777 == 0o640
    assert os.readlink(release / "data") == "../../shared/data"
    assert (release / "data" / "seed" / "b").read_text() == "seed"
    assert (release / "conf.toml").read_text() == "conf"
    assert sorted(os.listdir(shared)) == ["conf.toml", "data"]


def test_what_the_tree_has_not_starts_as_an_empty_folder(release: Path, shared: Path) -> None:
    link(release, "data", "var/lib/app")
    assert (shared / "data").is_dir()
    assert (shared / "data").stat().st_mode & 0o777 == 0o700
    write(release / "var" / "lib" / "app" / "x", "kept")
    assert (shared / "var" / "lib" / "app" / "x").read_text() == "kept"
    assert not (release / "var").is_symlink()


@pytest.mark.parametrize("name", [".env", ".env.local", "app.db", "conf/settings.toml", "a.b.c"])
def test_a_files_name_starts_as_nothing_and_the_app_makes_it_through_the_link(
    release: Path, shared: Path, name: str
) -> None:
    """docs/adr/0013: an app cannot read a folder as its `.env`."""
    link(release, name)
    assert not os.path.lexists(shared / name)
    assert (release / name).is_symlink()
    assert not (release / name).exists()
    (release / name).write_text("A=1\n")
    assert (shared / name).read_text() == "A=1\n"


@pytest.mark.parametrize("name", [".cache", ".d", "data", "envs"])
def test_a_folders_name_starts_as_a_folder(release: Path, shared: Path, name: str) -> None:
    link(release, name)
    assert (shared / name).is_dir()


def test_what_is_shared_is_never_replaced(release: Path, shared: Path) -> None:
    """Whatever the tree has in its place."""
    write(shared / "data" / "mine", "mine")
    (shared / "empty").mkdir()
    (shared / "file").write_text("")
    (shared / "dangling").symlink_to("/nowhere/at/all")
    for name in ("data/mine", "empty/x", "file", "dangling"):
        write(release / name, "the tree's")

    link(release, "data", "empty", "file", "dangling")

    assert (release / "data" / "mine").read_text() == "mine"
    assert os.listdir(release / "empty") == []
    assert (release / "file").read_text() == ""
    assert os.readlink(shared / "dangling") == "/nowhere/at/all"


def test_linking_again_changes_nothing(release: Path) -> None:
    link(release, "data", "app.db")
    before = written(release / "data")
    link(release, "data", "app.db")
    assert written(release / "data") == before


def test_links_go_where_the_state_directory_goes(release: Path, tmp_path: Path) -> None:
    link(release, "data", "deep/er/data")
    write(release / "deep" / "er" / "data" / "x", "x")
    (tmp_path / "state").rename(tmp_path / "moved")
    moved = tmp_path / "moved" / "releases" / release.name
    assert (moved / "deep" / "er" / "data" / "x").read_text() == "x"


def test_a_link_that_leads_elsewhere_is_set_right(release: Path, shared: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    write(tmp_path / "other" / "x")
    (release / "data").symlink_to(tmp_path / "other")
    (shared / "data").mkdir()
    link(release, "data")
    assert os.readlink(release / "data") == "../../shared/data"
    assert (tmp_path / "other" / "x").exists()


def test_in_a_monorepo_paths_begin_in_the_apps_folder(release: Path, shared: Path) -> None:
    paths = SharedPaths(shared, "services/shop", ("data", "./var//run"))
    write(release / "services" / "shop" / "data" / "x", "tree")

    paths.link(release)

    assert paths.from_top == ("services/shop/data", "services/shop/var/run")
    assert (shared / "data" / "x").read_text() == "tree"
    assert os.readlink(release / "services/shop/data") == "../../../../shared/data"
    assert (release / "services/shop/var/run").is_dir()


def test_one_inside_another_is_shared_with_it(release: Path, shared: Path) -> None:
    paths = SharedPaths(shared, ".", ("data/inner", "data", "data/", "./data", "database"))
    assert paths.from_top == ("data", "database")
    paths.link(release)
    assert sorted(os.listdir(shared)) == ["data", "database"]


@pytest.mark.parametrize(
    "path",
    [
        ".",
        "",
        "..",
        "../x",
        "a/../../x",
        "a/..",
        "/etc",
        "//etc",
        ".git",
        ".git/hooks",
        "./.git",
        ".venv",
        ".venv/x",
        ".newleaf-release.json",
    ],
)
def test_what_is_not_the_apps_to_share_is_refused(release: Path, shared: Path, path: str) -> None:
    """threats.md T17: no path leads out of the release, and none replaces what newleaf puts there."""
    write(release / "kept")
    with pytest.raises(SharedInTheWay):
        link(release, path)
    with pytest.raises(SharedInTheWay):
        SharedPaths(shared, "app", (path,)).from_top  # noqa: B018 - asking is what refuses
    assert os.listdir(release) == ["kept"]
    assert os.listdir(shared) == []


def test_a_way_through_a_link_of_the_tree_is_refused(release: Path, shared: Path, tmp_path: Path) -> None:
    """threats.md T17."""
    write(tmp_path / "outside" / "data" / "theirs")
    (release / "way").symlink_to(tmp_path / "outside")
    with pytest.raises(SharedInTheWay, match="way is no folder"):
        link(release, "way/data")
    with pytest.raises(SharedInTheWay, match="way is no folder"):
        link(release, "data", inner="way")
    assert (tmp_path / "outside" / "data" / "theirs").exists()
    assert os.listdir(shared) == []


def test_a_way_through_a_file_of_the_tree_is_refused(release: Path) -> None:
    write(release / "file")
    with pytest.raises(SharedInTheWay, match="file is no folder"):
        link(release, "file/data")
    assert (release / "file").read_text() == "x"


def test_where_the_tree_has_a_link_what_it_leads_to_is_shared(release: Path, shared: Path) -> None:
    """From `shared/` the link itself would lead elsewhere: in a monorepo even out of it."""
    write(release / "conf" / "default.toml", "default")
    write(release / "repo.git" / "x", "the tree's")
    (release / "app").mkdir()
    (release / "app" / "settings.toml").symlink_to("../conf/default.toml")
    (release / "app" / "data").symlink_to("../repo.git")
    (release / "app" / "gone.toml").symlink_to("nothing")

    link(release, "settings.toml", "data", "gone.toml", inner="app")

    assert (shared / "settings.toml").read_text() == "default"
    assert not (shared / "settings.toml").is_symlink()
    assert (shared / "data" / "x").read_text() == "the tree's"
    assert not os.path.lexists(shared / "gone.toml")
    assert (release / "conf" / "default.toml").read_text() == "default"


def test_what_an_app_wrote_in_the_place_of_a_link_is_moved_aside(release: Path, shared: Path) -> None:
    """A path that is shared since a later release, or a link that a program replaced by its file."""
    write(shared / "data" / "x", "shared")
    write(shared / ".env", "old")
    write(release / "data" / "mine", "mine")
    write(release / ".env", "new")
    aside = shared.parent / "left" / "a"
    write(aside / ".env", "earlier")

    moved = SharedPaths(shared, ".", ("data", ".env", "more")).link(release, aside)

    assert moved == [".env", "data"]
    assert (aside / "data" / "mine").read_text() == "mine"
    assert (aside / ".env").read_text() == "earlier"
    assert (aside / ".env.2").read_text() == "new"
    assert (release / "data" / "x").read_text() == "shared"
    assert (release / ".env").read_text() == "old"
    assert SharedPaths(shared, ".", ("data", ".env", "more")).link(release, aside) == []


def test_killed_anywhere_and_linked_again_the_whole_of_it_is_shared(tmp_path: Path) -> None:
    """design.md promise 5: what begins as a copy is seen when it is whole."""
    number, killed = 0, True
    while killed:
        number += 1
        state = tmp_path / str(number)
        release, shared = state / "releases" / "a", state / "shared"
        for name in range(4):
            write(release / "data" / f"{name}.txt", f"{name}")
        shared.mkdir()
        killed = run_killed_at(number, lambda release=release: link(release, "data"))  # type: ignore[misc]
        if (shared / "data").exists():
            assert sorted(os.listdir(shared / "data")) == ["0.txt", "1.txt", "2.txt", "3.txt"]
        link(release, "data")
        assert sorted(os.listdir(release / "data")) == ["0.txt", "1.txt", "2.txt", "3.txt"]
        assert os.listdir(shared) == ["data"]
        shutil.rmtree(state)
    assert number > 5


def test_declared_data_is_shared_too() -> None:
    """Else a snapshot would keep the data of one release, and the next one would not see it."""
    assert shared_by(("data",), ("app.db", "data/x", "/var/lib/app", "~/x", "../x", "a/..", "")) == (
        "data",
        "app.db",
        "data/x",
    )
