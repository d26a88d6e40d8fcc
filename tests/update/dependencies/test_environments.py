"""What is owed, with real uv and no network: by what is installed, never by what changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from newleaf.core.dependencies.install_errors import InstallFailed, ManifestUnreadable
from newleaf.core.errors import NewerSchema
from newleaf.core.settings.sections import Update
from newleaf.system.commands import Runner
from newleaf.update.dependencies.environments import InPlaceEnvironment
from newleaf.update.dependencies.fingerprints import MARK
from newleaf.update.dependencies.surroundings import Surroundings
from tests.support.installs import Install, installed_with, lose_the_python, move_to
from tests.support.wheels import App, OfflineHost, write_backend


def test_without_an_environment_it_is_owed_and_then_installed(
    app: App, environment: Install, said: list[str]
) -> None:
    assert environment().owed() == "there is no .venv yet"
    environment().install(said.append)
    assert environment().owed() is None
    assert app.imported("leaflet") == "1.0.0"
    assert any("leaflet==1.0.0" in line for line in said)


def test_only_the_code_changed_then_nothing_is_owed(environment: Install, said: list[str]) -> None:
    installed_with(environment, said)
    assert environment(commit="b" * 40).owed() is None


def test_only_the_lock_changed_then_it_is_installed(app: App, environment: Install, said: list[str]) -> None:
    """lessons.md L17."""
    installed_with(environment, said)
    pyproject = (app.folder / "pyproject.toml").read_bytes()
    app.project("leaflet")
    app.uv("lock", "--upgrade")
    (app.folder / "pyproject.toml").write_bytes(pyproject)
    assert environment().owed() == "the lock file changed"
    environment().install(said.append)
    assert environment().owed() is None
    assert app.imported("leaflet") == "2.0.0"


def test_killed_between_pull_and_sync_then_the_next_run_still_owes(
    app: App, environment: Install, said: list[str]
) -> None:
    """lessons.md L13: the tree is at the new commit, and no cycle will ever see it change again."""
    installed_with(environment, said)
    move_to(app, "leaflet==2.0.0")
    for _ in range(2):
        assert environment().owed() == "the lock file changed"


def test_other_extras_or_groups_are_owed_and_installed(
    app: App, environment: Install, said: list[str]
) -> None:
    app.project(
        "leaflet==1.0.0",
        more='[project.optional-dependencies]\ntree = ["twig"]\n[dependency-groups]\nops = ["twig"]',
    )
    app.lock()
    installed_with(environment, said)
    assert "No module" in app.imported("twig")
    assert environment(extras=("tree",)).owed() == "other extras are asked for"
    installed_with(environment, said, extras=("tree",))
    assert app.imported("twig") == "1.0.0"
    installed_with(environment, said)
    assert environment(groups="all").owed() == "other dependency groups are asked for"
    installed_with(environment, said, groups="all")
    assert app.imported("twig") == "1.0.0"


def test_the_group_dev_is_installed_only_when_asked_for(
    app: App, environment: Install, said: list[str]
) -> None:
    app.project("leaflet==1.0.0", more='[dependency-groups]\ndev = ["twig"]')
    app.lock()
    installed_with(environment, said)
    assert "No module" in app.imported("twig")
    installed_with(environment, said, groups=("dev",))
    assert app.imported("twig") == "1.0.0"


def test_nothing_to_install_or_not_ours_to_install_then_nothing_is_owed(
    app: App, environment: Install, said: list[str]
) -> None:
    assert environment(install="none").owed() is None
    environment(install="none").install(said.append)
    shutil.rmtree(app.folder)
    app.write("main.py", "print('no dependencies')\n")
    assert environment().owed() is None
    environment().install(said.append)
    assert not app.environment.exists()


def test_no_package_is_asked_for_and_the_daemon_is_started_out_of_it_then_there_is_an_empty_one(
    app: App, said: list[str], tmp_path: Path
) -> None:
    app.write("pyproject.toml", '[project]\nname = "sessions"\nversion = "1.0.0"\n')
    (app.folder / "uv.lock").unlink()
    surroundings = Surroundings(Runner(), app.host.environ)
    environment = InPlaceEnvironment(
        app.folder, Update(), surroundings, tmp_path / "state", "a" * 40, must_have_one=True
    )
    assert environment.owed() == "there is no .venv yet"
    environment.install(said.append)
    assert environment.owed() is None
    lose_the_python(app)
    environment.install(said.append)
    assert environment.owed() is None
    assert (app.environment / "bin" / "python").exists()
    (app.environment / MARK).unlink()
    lose_the_python(app)
    assert environment.owed() is None, "one that somebody else has made is left alone"


def test_the_lock_of_a_workspace_governs_its_member(
    tmp_path: Path, app: App, environment: Install, said: list[str]
) -> None:
    (tmp_path / "app" / ".git").mkdir()
    member = App(app.folder / "apps" / "bot", app.host)
    app.project(more='[tool.uv.workspace]\nmembers = ["apps/*"]')
    project = '[project]\nname = "bot"\nversion = "1"\nrequires-python = ">=3.11"\n'
    member.write("pyproject.toml", f'{project}dependencies = ["leaflet==1.0.0"]\n')
    app.lock()
    surroundings = Surroundings(Runner(), app.host.environ)
    of_member = InPlaceEnvironment(member.folder, Update(), surroundings, tmp_path / "state", "a")
    of_member.install(said.append)
    assert member.imported("leaflet") == "1.0.0"
    assert of_member.owed() is None
    assert not app.environment.exists()


def test_an_installed_project_follows_its_manifest(app: App, environment: Install, said: list[str]) -> None:
    build = '[build-system]\nrequires = ["uv_build>=0.1"]\nbuild-backend = "uv_build"'
    app.write("src/sessions/__init__.py", "VERSION = 'from the tree'\n")
    app.project("leaflet==1.0.0", more=build)
    app.lock()
    installed_with(environment, said)
    assert app.imported("sessions") == "from the tree"
    assert environment(commit="b" * 40).owed() is None
    app.project("leaflet==1.0.0", more='[project.scripts]\nsessions = "sessions:main"\n' + build)
    assert environment().owed() == "what the project says of itself changed"
    installed_with(environment, said)
    assert (app.environment / "bin" / "sessions").exists()
    assert environment(install_project=False).owed() == "whether the project itself is installed changed"
    installed_with(environment, said, install_project=False)
    assert "No module" in app.imported("sessions")


def test_a_copied_package_of_the_tree_follows_the_commit(
    app: App, environment: Install, said: list[str]
) -> None:
    """uv takes the copy for good as long as lock and manifest stay."""
    table = write_backend((app.write("libs/branch/branch/__init__.py", "VERSION = 'one'\n")).parents[1])
    app.write("libs/branch/pyproject.toml", f'[project]\nname = "branch"\nversion = "1.0"\n{table}')
    app.project("branch", more='[tool.uv.sources]\nbranch = { path = "libs/branch" }')
    app.lock()
    installed_with(environment, said)
    app.write("libs/branch/branch/__init__.py", "VERSION = 'two'\n")
    assert environment(commit="a" * 40).owed() is None
    assert environment(commit="b" * 40).owed() == "the commit changed, and what is installed follows it"
    environment(commit="b" * 40).install(said.append)
    assert app.imported("branch") == "two"


def test_an_environment_that_is_in_sync_is_adopted(app: App, environment: Install) -> None:
    app.uv("sync", "--frozen")
    assert environment().owed() is None
    assert (app.environment / ".newleaf-installed.json").exists()
    move_to(app, "leaflet==2.0.0")
    assert environment().owed() == "the lock file changed"


def test_an_environment_that_is_out_of_sync_is_not_adopted(app: App, environment: Install) -> None:
    app.uv("sync", "--frozen")
    move_to(app, "leaflet==2.0.0")
    assert environment().owed() == ".venv is not what the lock file asks for"


def test_a_half_deleted_environment_is_not_adopted(app: App, environment: Install) -> None:
    """lessons.md L16: uv itself finds nothing wrong."""
    app.uv("sync", "--frozen")
    (app.site / "leaflet" / "__init__.py").unlink()
    app.uv("sync", "--frozen", "--check", "--offline")
    assert environment().owed() == "files of leaflet 1.0.0 are missing"


def test_a_package_that_was_cut_short_is_not_adopted(app: App, environment: Install) -> None:
    """lessons.md L16: a copy that a kill, or a power cut, ended in the middle of a file."""
    app.uv("sync", "--frozen", "--link-mode=copy")
    os.truncate(app.site / "leaflet" / "__init__.py", 3)
    assert environment().owed() == "files of leaflet 1.0.0 are cut short"


def test_a_mark_that_cannot_be_read_is_no_mark(app: App, environment: Install, said: list[str]) -> None:
    installed_with(environment, said)
    mark = app.environment / ".newleaf-installed.json"
    for damage in ("", "{", "[]", '{"schema": 1}', '{"schema": 1, "state": "installed", "parts": 7}'):
        mark.write_text(damage)
        assert environment().owed() is None  # adopted anew, because uv finds it in sync
    move_to(app, "leaflet==2.0.0")
    mark.write_text("{")
    assert environment().owed() == ".venv is not what the lock file asks for"


def test_a_mark_of_a_newer_newleaf_is_left_alone(app: App, environment: Install, said: list[str]) -> None:
    installed_with(environment, said)
    mark = app.environment / ".newleaf-installed.json"
    mark.write_text('{"schema": 2}')
    with pytest.raises(NewerSchema):
        environment().owed()
    with pytest.raises(NewerSchema):
        environment().install(said.append)
    assert mark.read_text() == '{"schema": 2}'


def test_what_uv_installed_stays_good_while_uv_is_out_of_sight(
    app: App, environment: Install, said: list[str], host: OfflineHost
) -> None:
    installed_with(environment, said)
    (host.programs / "uv").unlink()
    assert environment().owed() is None
    move_to(app, "leaflet==2.0.0")
    assert environment().owed() == "the lock file changed"


def test_a_manifest_that_is_no_toml_is_named(app: App, environment: Install) -> None:
    app.write("pyproject.toml", "[project\n")
    with pytest.raises(ManifestUnreadable, match=r"pyproject\.toml is not TOML"):
        environment().owed()


def count_of(app: App) -> int:
    ran = app.folder / "ran"
    return len(ran.read_text().splitlines()) if ran.exists() else 0


def test_an_own_command_runs_when_the_commit_changed_or_the_last_did_not_succeed(
    app: App, environment: Install, said: list[str]
) -> None:
    app.write("Makefile", "install:\n\t@echo ran >> ran; test ! -e broken\n")
    first, second = (environment(commit=letter * 40, install=("make", "install")) for letter in "ab")
    assert first.owed() == "it is not known whether make install was run for this commit"
    first.install(said.append)
    assert (first.owed(), count_of(app)) == (None, 1)
    assert second.owed() == "the commit changed since make install last succeeded"
    app.write("broken", "")
    with pytest.raises(InstallFailed):
        second.install(said.append)
    assert second.owed() == first.owed() == "the last installation did not end well"
    (app.folder / "broken").unlink()
    second.install(said.append)
    assert (second.owed(), count_of(app)) == (None, 3)


def test_an_own_command_that_makes_an_environment_is_marked_in_it(
    app: App, environment: Install, said: list[str], host: OfflineHost
) -> None:
    app.write("Makefile", "install:\n\tuv sync --frozen\n")
    own = installed_with(environment, said, install=("make", "install"))
    assert app.imported("leaflet") == "1.0.0"
    lose_the_python(app)
    assert own.owed() == "the Python of .venv is gone: /gone/bin/python3"
    own.install(said.append)
    assert (own.owed(), app.imported("leaflet")) == (None, "1.0.0")
    shutil.rmtree(app.environment)
    assert own.owed() is not None
