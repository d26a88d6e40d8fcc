"""The former environment beside the new one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from newleaf.core.dependencies.install_errors import EnvironmentInTheWay, InstallFailed
from newleaf.update.dependencies.asides import Aside, hide_from_git


@pytest.fixture
def aside(tmp_path: Path) -> Aside:
    environment = tmp_path / ".venv"
    (environment / "bin").mkdir(parents=True)
    (environment / "pyvenv.cfg").write_text("old")
    return Aside(environment)


def begin_another(aside: Aside) -> None:
    aside.environment.mkdir()
    (aside.environment / "pyvenv.cfg").write_text("new")


def test_taken_and_put_back_it_is_as_it_was(aside: Aside) -> None:
    aside.take()
    assert not aside.environment.exists()
    begin_another(aside)
    aside.put_back()
    assert (aside.environment / "pyvenv.cfg").read_text() == "old"
    assert not aside.is_taken()


def test_dropped_only_the_new_one_is_left(aside: Aside) -> None:
    aside.take()
    begin_another(aside)
    assert aside.drop() is None
    assert (aside.environment / "pyvenv.cfg").read_text() == "new"
    assert not aside.is_taken()
    assert aside.drop() is None


def test_taken_twice_the_unfinished_one_goes_and_the_first_stays(aside: Aside) -> None:
    """After a kill in the middle."""
    aside.take()
    begin_another(aside)
    aside.take()
    assert not aside.environment.exists()
    assert (aside.path / "pyvenv.cfg").read_text() == "old"


def test_with_nothing_there_nothing_is_kept(tmp_path: Path) -> None:
    aside = Aside(tmp_path / ".venv")
    aside.take()
    assert not aside.is_taken()
    begin_another(aside)
    aside.put_back()
    assert not aside.environment.exists()


def test_it_is_hidden_from_git_while_it_waits(aside: Aside) -> None:
    aside.take()
    assert (aside.path / ".gitignore").read_text() == "*\n"


def test_an_own_gitignore_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine")
    hide_from_git(tmp_path)
    assert (tmp_path / ".gitignore").read_text() == "mine"


def test_what_is_no_environment_is_kept_and_named(tmp_path: Path) -> None:
    aside = Aside(tmp_path / ".venv")
    aside.environment.mkdir()
    (aside.environment / "letters.txt").write_text("mine")
    aside.take()
    note = aside.drop()
    assert note
    assert str(aside.path) in note
    assert (aside.path / "letters.txt").read_text() == "mine"


def test_an_empty_folder_is_not_worth_keeping(tmp_path: Path) -> None:
    aside = Aside(tmp_path / ".venv")
    aside.environment.mkdir()
    aside.take()
    assert aside.drop() is None
    assert not aside.is_taken()


@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_a_link_is_moved_as_a_link(tmp_path: Path, target: str) -> None:
    """threats.md T20: what it leads to is somebody else's."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_text("mine")
    aside = Aside(tmp_path / ".venv")
    aside.environment.symlink_to(tmp_path / target)
    aside.take()
    aside.put_back()
    assert os.readlink(aside.environment) == str(tmp_path / target)
    aside.take()
    aside.drop()
    assert not os.path.lexists(aside.path)
    assert (tmp_path / "elsewhere" / "precious").read_text() == "mine"


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".venv").write_text("mine")
    with pytest.raises(EnvironmentInTheWay):
        Aside(tmp_path / ".venv").take()


def test_a_refusal_of_the_system_is_told_in_our_words(tmp_path: Path) -> None:
    with pytest.raises(InstallFailed, match=r"moving .* aside failed: No such file or directory"):
        Aside(tmp_path / "none" / ".venv").take()
