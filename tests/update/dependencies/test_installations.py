"""Installations that fail or are killed: nothing false is ever noted, and the old environment returns."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from newleaf.core.dependencies.install_errors import EnvironmentInTheWay, InstallFailed
from tests.support.installs import (
    Install,
    another_python,
    installed_with,
    kill_once_said,
    lose_a_module,
    lose_the_python,
    move_to,
)
from tests.support.wheels import App, OfflineHost, write_wheel


def test_another_python_is_asked_for_and_missing_then_the_old_environment_stays(
    app: App, environment: Install, said: list[str]
) -> None:
    """lessons.md L16: uv alone would have removed the old one."""
    installed_with(environment, said)
    app.write(".python-version", "3.99")
    with pytest.raises(InstallFailed):
        environment().install(said.append)
    assert app.imported("leaflet") == "1.0.0"
    assert environment().owed() == "another Python is asked for"
    (app.folder / ".python-version").unlink()
    assert environment().owed() is None


def test_making_anew_fails_then_the_old_environment_is_put_back(
    app: App, environment: Install, said: list[str]
) -> None:
    installed_with(environment, said)
    app.write(".venv/note.txt", "mine")
    lose_a_module(app)
    shutil.rmtree(app.folder / "wheels")
    shutil.rmtree(app.host.folder / "cache")
    with pytest.raises(InstallFailed):
        environment().install(said.append)
    assert (app.environment / "note.txt").read_text() == "mine"
    assert environment().owed() == "files of leaflet 1.0.0 are missing"


def test_the_first_installation_fails_then_no_half_environment_is_left(
    app: App, environment: Install, said: list[str]
) -> None:
    shutil.rmtree(app.folder / "wheels")
    with pytest.raises(InstallFailed):
        environment().install(said.append)
    assert not os.path.lexists(app.environment)


def kill_while_making_anew(app: App, environment: Install, said: list[str]) -> None:
    """Leaves a new environment that looks complete, and the old one, with a note, beside it."""
    installed_with(environment, said)
    app.write(".venv/note.txt", "mine")
    lose_a_module(app)
    uv = os.readlink(app.host.programs / "uv")
    app.host.script("uv", f'{uv} "$@"; echo linked; sleep 60')
    kill_once_said(app, environment(), "linked")
    assert (app.folder / ".venv.newleaf-old" / "note.txt").exists()
    app.host.script("uv", f'exec {uv} "$@"')


def test_killed_while_making_anew_then_the_next_run_finishes(
    app: App, environment: Install, said: list[str]
) -> None:
    """lessons.md L13, L16."""
    kill_while_making_anew(app, environment, said)
    environment().install(said.append)
    assert environment().owed() is None
    assert app.imported("leaflet") == "1.0.0"
    assert not (app.folder / ".venv.newleaf-old").exists()


def test_killed_while_making_anew_and_failing_then_the_old_environment_is_put_back(
    app: App, environment: Install, said: list[str]
) -> None:
    """lessons.md L16: what the kill left is nobody's, whatever it looks like."""
    kill_while_making_anew(app, environment, said)
    app.host.script("uv", "exit 1")
    with pytest.raises(InstallFailed):
        environment().install(said.append)
    assert (app.environment / "note.txt").read_text() == "mine"
    assert environment().owed() == "files of leaflet 1.0.0 are missing"


def test_another_python_is_there_but_not_the_packages_then_the_old_environment_stays(
    app: App, environment: Install, said: list[str]
) -> None:
    """lessons.md L16: uv alone removes the old environment first."""
    number, python = another_python()
    (app.host.programs / f"python{number}").symlink_to(python)
    installed_with(environment, said)
    app.write(".python-version", number)
    shutil.rmtree(app.folder / "wheels")
    shutil.rmtree(app.host.folder / "cache")
    with pytest.raises(InstallFailed):
        environment().install(said.append)
    assert app.imported("leaflet") == "1.0.0"


def test_a_linked_environment_is_replaced_and_its_target_left_alone(
    tmp_path: Path, app: App, environment: Install, said: list[str]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("mine")
    app.environment.symlink_to(elsewhere)
    environment().install(said.append)
    assert environment().owed() is None
    assert not app.environment.is_symlink()
    assert (elsewhere / "precious").read_text() == "mine"


def test_a_folder_that_is_no_environment_is_kept_and_named(
    app: App, environment: Install, said: list[str]
) -> None:
    app.write(".venv/precious", "mine")
    environment().install(said.append)
    assert environment().owed() is None
    kept = app.folder / ".venv.newleaf-old"
    assert (kept / "precious").read_text() == "mine"
    assert any(str(kept) in line for line in said)


def test_a_file_in_the_place_of_the_environment_is_refused(
    app: App, environment: Install, said: list[str]
) -> None:
    app.write(".venv", "mine")
    assert environment().owed() == ".venv is no folder"
    with pytest.raises(EnvironmentInTheWay, match=r"is a file"):
        environment().install(said.append)
    assert app.environment.read_text() == "mine"


def test_a_failed_installation_is_never_a_success(app: App, environment: Install, said: list[str]) -> None:
    """lessons.md L16: it raises, it stays owed, and the way back needs no installation at all."""
    installed_with(environment, said)
    old = (app.folder / "uv.lock").read_bytes()
    app.wheel("leaflet", "3.0.0")
    move_to(app, "leaflet==3.0.0")
    (app.folder / "wheels" / "leaflet-3.0.0-py3-none-any.whl").unlink()
    shutil.rmtree(app.host.folder / "cache")
    with pytest.raises(InstallFailed) as failure:
        environment().install(said.append)
    assert failure.value.exit_code == 1
    assert "leaflet" in failure.value.message
    assert failure.value.as_record()["lines"] == list(failure.value.lines) != []
    assert environment().owed() == "the lock file changed"
    assert app.imported("leaflet") == "1.0.0"
    (app.folder / "uv.lock").write_bytes(old)
    assert environment().owed() is None


def test_a_failure_that_changed_the_environment_leaves_everything_owed(
    app: App, environment: Install, said: list[str], host: OfflineHost
) -> None:
    """lessons.md L16."""
    installed_with(environment, said)
    old = (app.folder / "uv.lock").read_bytes()
    move_to(app, "leaflet==2.0.0")
    uv = os.readlink(host.programs / "uv")
    host.script("uv", f'{uv} "$@"; echo "error: something else failed"; exit 2')
    with pytest.raises(InstallFailed, match=r"error: something else failed \(exit 2\)"):
        environment().install(said.append)
    assert environment().owed() == "the last installation did not end well"
    (app.folder / "uv.lock").write_bytes(old)
    assert environment().owed() == "the last installation did not end well"


def test_an_installer_that_took_others_files_along_makes_the_environment_anew(
    app: App, environment: Install, said: list[str]
) -> None:
    """Two packages with one module: removing the one takes files of the other, and uv calls that success."""
    for name in ("branch", "knot"):
        write_wheel(app.folder / "wheels", name, "1.0", files={"shared/__init__.py": "VERSION = 'shared'\n"})
    app.project("branch", "knot")
    app.lock()
    installed_with(environment, said)
    move_to(app, "knot")
    environment().install(said.append)
    assert app.imported("shared") == "shared"
    assert environment().owed() is None


def test_killed_while_installing_then_it_is_owed_although_uv_finds_nothing_to_do(
    app: App, environment: Install, said: list[str], host: OfflineHost
) -> None:
    """lessons.md L13, L16."""
    installed_with(environment, said)
    move_to(app, "leaflet==2.0.0")
    uv = os.readlink(host.programs / "uv")
    host.script("uv", f'{uv} "$@"; echo linked; sleep 60')
    kill_once_said(app, environment(), "linked")
    app.uv("sync", "--frozen", "--check", "--no-dev", "--offline")
    assert environment().owed() == "the last installation did not end well"
    host.script("uv", f'exec {uv} "$@"')
    environment().install(said.append)
    assert environment().owed() is None
    assert app.imported("leaflet") == "2.0.0"


def test_the_disk_fills_up_on_the_way_then_the_old_environment_stays(
    app: App, environment: Install, said: list[str], host: OfflineHost
) -> None:
    """lessons.md L24: a size limit stands in for the disk, as it needs no privileges."""
    installed_with(environment, said)
    write_wheel(app.folder / "wheels", "leaflet", "3.0.0", files={"leaflet/__init__.py": "#" * 10**6})
    move_to(app, "leaflet==3.0.0")
    shutil.rmtree(host.folder / "cache")
    uv = os.readlink(host.programs / "uv")
    host.script("uv", f'ulimit -f 64; exec {uv} "$@"')
    with pytest.raises(InstallFailed):
        environment().install(said.append)
    assert app.imported("leaflet") == "1.0.0"
    assert environment().owed() == "the lock file changed"


def test_an_own_command_that_leaves_a_broken_environment_broken_has_failed(
    app: App, environment: Install, said: list[str]
) -> None:
    """lessons.md L16: never restarted into."""
    app.uv("sync", "--frozen")
    lose_the_python(app)
    with pytest.raises(InstallFailed, match=r"made no \.venv, but the Python of \.venv is gone"):
        environment(install=("true",)).install(said.append)
    assert os.readlink(app.environment / "bin" / "python") == "/gone/bin/python3"
