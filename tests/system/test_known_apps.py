from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from newleaf.core.errors import StateDirectoryUnwritable
from newleaf.system.known_apps import KnownApp, known_apps, note_app, notes_folder, sharing_checkout


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "config" / "apps"


def app(tmp_path: Path, name: str, state: str = "", checkout: str = "clone") -> KnownApp:
    folder = tmp_path / (state or f".{name}")
    folder.mkdir(exist_ok=True)
    return KnownApp(name, folder, tmp_path / checkout)


def test_noted_apps_are_found_by_name(tmp_path: Path, notes: Path) -> None:
    shop, bot = app(tmp_path, "shop"), app(tmp_path, "bot")
    note_app(shop, notes)
    assert note_app(bot, notes).name == "bot.json"
    assert known_apps(notes) == [bot, shop]
    assert stat.S_IMODE(notes.stat().st_mode) == 0o700


def test_without_notes_no_app_is_known(notes: Path) -> None:
    assert known_apps(notes) == []


def test_noting_again_changes_nothing(tmp_path: Path, notes: Path) -> None:
    path = note_app(app(tmp_path, "shop"), notes)
    before = path.stat().st_ino
    assert note_app(app(tmp_path, "shop"), notes) == path
    assert path.stat().st_ino == before


def test_an_app_that_moved_its_checkout_is_noted_anew(tmp_path: Path, notes: Path) -> None:
    note_app(app(tmp_path, "shop"), notes)
    moved = app(tmp_path, "shop", checkout="elsewhere")
    note_app(moved, notes)
    assert known_apps(notes) == [moved]


def test_two_state_directories_of_one_name_are_both_known(tmp_path: Path, notes: Path) -> None:
    first, second = app(tmp_path, "shop", "a"), app(tmp_path, "shop", "b")
    for _ in range(2):
        note_app(first, notes)
        note_app(second, notes)
    assert known_apps(notes) == [first, second]
    assert len(list(notes.iterdir())) == 2


def test_an_app_whose_state_is_gone_is_passed_over_and_gives_its_note_up(tmp_path: Path, notes: Path) -> None:
    note_app(app(tmp_path, "shop", "a"), notes)
    (tmp_path / "a").rmdir()
    assert known_apps(notes) == []
    second = app(tmp_path, "shop", "b")
    assert note_app(second, notes).name == "shop.json"
    assert known_apps(notes) == [second]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"app": 3}',
        b'{"schema": 99, "app": "x"}',
        b'{"app": "x", "state_dir": 1}',
        b"\xff",
    ],
)
def test_a_note_that_cannot_be_read_is_passed_over(content: bytes, tmp_path: Path, notes: Path) -> None:
    bot = app(tmp_path, "bot")
    note_app(bot, notes)
    (notes / "shop.json").write_bytes(content)
    assert known_apps(notes) == [bot]


def test_a_note_that_is_a_link_is_not_followed(tmp_path: Path, notes: Path) -> None:
    """threats.md T20."""
    bot = app(tmp_path, "bot")
    note_app(bot, notes).rename(tmp_path / "elsewhere")
    (notes / "bot.json").symlink_to(tmp_path / "elsewhere")
    assert known_apps(notes) == []


def test_a_note_keeps_what_it_must_and_no_more(tmp_path: Path, notes: Path) -> None:
    record = json.loads(note_app(app(tmp_path, "shop"), notes).read_text())
    assert record == {
        "schema": 1,
        "app": "shop",
        "state_dir": str(tmp_path / ".shop"),
        "checkout": str(tmp_path / "clone"),
    }


def test_apps_in_one_checkout_are_known_apart_from_oneself(tmp_path: Path) -> None:
    shop, bot, other = app(tmp_path, "shop"), app(tmp_path, "bot"), app(tmp_path, "other", checkout="x")
    assert sharing_checkout([shop, bot, other], tmp_path / "clone", shop.state_dir) == [bot]


def test_a_folder_that_cannot_be_made_is_an_error_of_newleafs(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("a file")
    with pytest.raises(StateDirectoryUnwritable):
        note_app(app(tmp_path, "shop"), tmp_path / "config" / "apps")


def test_the_notes_lie_in_the_users_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert notes_folder().is_relative_to(tmp_path)
