"""Real uv, real environments, no network: what is owed, and that installing makes it so."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from newleaf.core.errors import DiskFull, NewerSchema, NewleafError, ProgramMissing
from newleaf.core.install_errors import (
    EnvironmentInTheWay,
    InstallerMissing,
    InstallFailed,
    InstallTimedOut,
    ManifestUnreadable,
)
from newleaf.core.sections import Update
from newleaf.system.commands import Runner
from newleaf.update.environments import InPlaceEnvironment
from newleaf.update.surroundings import Surroundings
from tests.support.wheels import App, OfflineHost, write_backend, write_wheel

SECRET = "canary-3f9a1c"
Install = Callable[..., InPlaceEnvironment]


@pytest.fixture
def host(tmp_path: Path) -> OfflineHost:
    return OfflineHost(tmp_path / "host")


@pytest.fixture
def app(tmp_path: Path, host: OfflineHost) -> App:
    """An app with one locked dependency, leaflet 1.0.0; 2.0.0 and twig are there to be had."""
    app = App(tmp_path / "app", host)
    app.wheel("leaflet", "1.0.0")
    app.wheel("leaflet", "2.0.0")
    app.wheel("twig", "1.0.0")
    app.project("leaflet==1.0.0")
    app.lock()
    return app


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def environment(app: App, tmp_path: Path) -> Install:
    """The environment of the app as a process of its own sees it: nothing is carried over but files."""

    def make(commit: str = "a" * 40, **update: Any) -> InPlaceEnvironment:
        surroundings = Surroundings(Runner(secrets=(SECRET,)), app.host.environ)
        return InPlaceEnvironment(app.folder, Update(**update), surroundings, tmp_path / "state", commit)

    (tmp_path / "state").mkdir()
    return make


def move_to(app: App, dependency: str) -> None:
    """The tree moves to a commit whose lock file is another."""
    app.project(dependency)
    app.lock()


def installed_with(environment: Install, said: list[str], **update: Any) -> InPlaceEnvironment:
    environment(**update).install(said.append)
    assert environment(**update).owed() is None
    return environment(**update)


# --- what is owed -----------------------------------------------------------------------


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


# --- the project itself and packages of the tree ----------------------------------------


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


# --- environments that somebody else made -----------------------------------------------


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


# --- broken environments ----------------------------------------------------------------


def lose_a_module(app: App) -> None:
    (app.site / "leaflet" / "__init__.py").unlink()


def lose_a_package(app: App) -> None:
    shutil.rmtree(app.site / "leaflet")


def lose_the_metadata(app: App) -> None:
    shutil.rmtree(app.site / "leaflet-1.0.0.dist-info")


def lose_the_python(app: App) -> None:
    """What is left after the Python it was made with is uninstalled."""
    (app.environment / "bin" / "python").unlink()
    (app.environment / "bin" / "python").symlink_to("/gone/bin/python3")


def lose_the_programs(app: App) -> None:
    shutil.rmtree(app.environment / "bin")


def lose_the_configuration(app: App) -> None:
    (app.environment / "pyvenv.cfg").unlink()


def lose_the_packages(app: App) -> None:
    """What is left when the host's Python was replaced by one of another minor version."""
    site = app.site
    site.parent.rename(site.parents[1] / "python3.2")


def replace_the_python(app: App) -> None:
    """A program that is no Python at all."""
    python = app.environment / "bin" / "python"
    python.unlink()
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)


def forbid_the_python(app: App) -> None:
    python = app.environment / "bin" / "python"
    python.unlink()
    python.write_text("#!/bin/sh\n")
    python.chmod(0o644)


def replace_a_package(app: App) -> None:
    """Somebody installed another package of the same name and version by hand."""
    record = app.site / "leaflet-1.0.0.dist-info" / "RECORD"
    lose_a_module(app)
    (app.site / "leaflet" / "__init__.py").write_text("VERSION = 'mine'\n")
    record.write_text(record.read_text())


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lose_a_module, "files of leaflet 1.0.0 are missing"),
        (lose_a_package, "files of leaflet 1.0.0 are missing"),
        (lose_the_metadata, "leaflet 1.0.0 is gone"),
        (lose_the_python, "the Python of .venv is gone: /gone/bin/python3"),
        (lose_the_programs, ".venv has no Python"),
        (lose_the_configuration, ".venv has no readable pyvenv.cfg"),
        (lose_the_packages, "leaflet 1.0.0 is gone"),
        (replace_the_python, "the Python of .venv does not run"),
        (forbid_the_python, "the Python of .venv cannot be executed"),
        (replace_a_package, "leaflet 1.0.0 was replaced by somebody else"),
    ],
)
def test_a_broken_environment_is_owed_and_made_anew(
    app: App, environment: Install, said: list[str], damage: Callable[[App], None], reason: str
) -> None:
    """lessons.md L16: uv and pip take most of these for good."""
    installed_with(environment, said)
    damage(app)
    assert environment().owed() == reason
    environment().install(said.append)
    assert f"{reason}: installing anew; the old environment is kept until the new one is complete" in said
    assert environment().owed() is None
    assert app.imported("leaflet") == "1.0.0"
    assert not (app.folder / ".venv.newleaf-old").exists()


def test_an_environment_that_was_moved_is_made_anew(
    tmp_path: Path, app: App, environment: Install, said: list[str]
) -> None:
    """lessons.md L16: its programs start the Python of the old place."""
    installed_with(environment, said)
    moved = app.folder.rename(tmp_path / "moved")
    elsewhere = InPlaceEnvironment(
        moved, Update(), Surroundings(Runner(), app.host.environ), tmp_path / "state", "a"
    )
    assert elsewhere.owed() == f".venv was made in {app.folder / '.venv'}, and cannot be moved"
    elsewhere.install(said.append)
    assert elsewhere.owed() is None


def test_another_python_is_asked_for_and_there_then_the_environment_is_made_anew(
    app: App, environment: Install, said: list[str], host: OfflineHost
) -> None:
    """lessons.md L16."""
    other = another_python()
    (host.programs / f"python{other[0]}").symlink_to(other[1])
    installed_with(environment, said)
    app.write(".python-version", other[0])
    assert environment().owed() == "another Python is asked for"
    environment().install(said.append)
    assert environment().owed() is None
    assert (app.environment / "lib" / f"python{other[0]}").is_dir()


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


def test_killed_while_making_anew_then_the_next_run_finishes(
    app: App, environment: Install, said: list[str], host: OfflineHost
) -> None:
    """lessons.md L13, L16."""
    installed_with(environment, said)
    lose_a_module(app)
    uv = os.readlink(host.programs / "uv")
    host.script("uv", f'{uv} "$@"; echo linked; sleep 60')
    kill_once_said(app, environment(), "linked")
    assert (app.folder / ".venv.newleaf-old").is_dir()
    host.script("uv", f'exec {uv} "$@"')
    lose_a_module(app)
    environment().install(said.append)
    assert environment().owed() is None
    assert app.imported("leaflet") == "1.0.0"
    assert not (app.folder / ".venv.newleaf-old").exists()


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


# --- failures ---------------------------------------------------------------------------


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


def test_too_little_room_then_nothing_is_touched(app: App, environment: Install, said: list[str]) -> None:
    """lessons.md L24: the sizes stand in the lock file."""
    installed_with(environment, said)
    move_to(app, "leaflet==2.0.0")
    lock = app.folder / "uv.lock"
    lock.write_text(lock.read_text().replace('.whl" }', f'.whl", size = {10**15} }}'))
    began = app.environment.stat().st_mtime_ns
    with pytest.raises(DiskFull, match=r"not enough room on the disk of .*needed"):
        environment().install(said.append)
    assert app.environment.stat().st_mtime_ns == began
    assert app.imported("leaflet") == "1.0.0"


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


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is always full")
def test_an_installer_that_finds_the_disk_full_is_told_as_that(environment: Install, said: list[str]) -> None:
    """lessons.md L24."""
    with pytest.raises(DiskFull):
        environment(install=("cp", "pyproject.toml", "/dev/full")).install(said.append)


def test_the_time_limit_covers_the_whole_process_group(
    app: App, environment: Install, said: list[str]
) -> None:
    """lessons.md L22: the grandchild ends with it."""
    app.write("install.sh", "(sleep 60; echo survived > survived) & echo $! > pid; echo begun; sleep 60\n")
    with pytest.raises(InstallTimedOut, match=r"did not end within 0\.5 s") as failure:
        environment(install=("sh", "install.sh"), install_timeout=0.5).install(said.append)
    assert failure.value.lines == ("begun",)
    grandchild = int((app.folder / "pid").read_text())
    deadline = time.monotonic() + 10
    while is_running(grandchild) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(grandchild)


def test_a_secret_is_in_no_line_and_no_error(environment: Install, said: list[str]) -> None:
    """threats.md T29."""
    command = (
        "sh",
        "-c",
        f"echo token {SECRET}; echo error: {SECRET} https://u:{SECRET}@example.org >&2; exit 1",
    )
    with pytest.raises(InstallFailed) as failure:
        environment(install=command).install(said.append)
    record = failure.value.as_record()
    assert SECRET not in "\n".join(said)
    assert SECRET not in json.dumps(record["lines"])


def test_two_hundred_lines_are_kept(environment: Install, said: list[str]) -> None:
    with pytest.raises(InstallFailed) as failure:
        environment(install=("sh", "-c", "seq 1 500; exit 3")).install(said.append)
    assert failure.value.lines == tuple(str(n) for n in range(301, 501))
    assert len(said) == 500


def test_a_manifest_that_is_no_toml_is_named(app: App, environment: Install) -> None:
    app.write("pyproject.toml", "[project\n")
    with pytest.raises(ManifestUnreadable, match=r"pyproject\.toml is not TOML"):
        environment().owed()


# --- the app's own command --------------------------------------------------------------


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


def test_an_own_command_that_leaves_a_broken_environment_broken_has_failed(
    app: App, environment: Install, said: list[str]
) -> None:
    """lessons.md L16: never restarted into."""
    app.uv("sync", "--frozen")
    lose_the_python(app)
    with pytest.raises(InstallFailed, match=r"made no \.venv, but the Python of \.venv is gone"):
        environment(install=("true",)).install(said.append)
    assert os.readlink(app.environment / "bin" / "python") == "/gone/bin/python3"


def test_an_own_command_that_is_missing_is_named(environment: Install, said: list[str]) -> None:
    with pytest.raises(ProgramMissing, match=r"no-such-program"):
        environment(install=("no-such-program",)).install(said.append)


def test_children_see_the_users_environment_without_what_leads_astray(
    app: App, environment: Install, said: list[str], host: OfflineHost
) -> None:
    astray = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "CONDA_PREFIX", "NEWLEAF_STATE_DIR", "GIT_DIR")
    host.variables |= dict.fromkeys(astray, "/astray") | {"HTTPS_PROXY": "http://proxy.example.org"}
    with pytest.raises(NewleafError):
        environment(install=("sh", "-c", "env; exit 1")).install(said.append)
    seen = dict(line.split("=", 1) for line in said if "=" in line)
    assert not set(astray) & set(seen)
    assert seen["HTTPS_PROXY"] == "http://proxy.example.org"
    assert seen["HOME"] == host.environ["HOME"]


# --- without uv -------------------------------------------------------------------------


@pytest.fixture
def without_uv(app: App, host: OfflineHost) -> App:
    """pip finds the wheels by the user's own settings, as it would find an index."""
    (host.programs / "uv").unlink()
    host.variables["PIP_FIND_LINKS"] = str(app.folder / "wheels")
    return app


def test_without_uv_pip_installs_and_says_that_the_lock_is_not_enforced(
    without_uv: App, environment: Install, said: list[str]
) -> None:
    environment().install(said.append)
    assert without_uv.imported("leaflet") == "1.0.0"
    assert "uv.lock is not enforced (uv is not installed): pip picks versions by pyproject.toml" in said
    assert environment().owed() is None
    assert (without_uv.environment / ".gitignore").read_text() == "*\n"
    without_uv.project("leaflet==2.0.0")
    assert environment().owed() == "what the project says of itself changed"
    environment().install(said.append)
    assert (environment().owed(), without_uv.imported("leaflet")) == (None, "2.0.0")


def test_requirements_are_pips_and_those_they_include(
    without_uv: App, environment: Install, said: list[str]
) -> None:
    """An environment that uv made has no pip."""
    app = without_uv
    app.uv("venv", "--quiet")
    (app.folder / "pyproject.toml").unlink()
    (app.folder / "uv.lock").unlink()
    app.write("requirements.txt", "-r base.txt\n")
    app.write("base.txt", "leaflet==1.0.0\n")
    assert environment().owed() == "it is not known what is installed in .venv"
    environment().install(said.append)
    assert (environment().owed(), app.imported("leaflet")) == (None, "1.0.0")
    app.write("base.txt", "leaflet==2.0.0\n")
    assert environment().owed() == "the requirements changed"
    lose_a_module(app)
    assert environment().owed() == "files of leaflet 1.0.0 are missing"


def test_the_project_is_installed_by_pip_with_its_extras(
    without_uv: App, environment: Install, said: list[str]
) -> None:
    app = without_uv
    app.uv("venv", "--quiet")
    app.write("sessions/__init__.py", "VERSION = 'from the tree'\n")
    table = write_backend(app.folder)
    app.project("leaflet==1.0.0", more=f'[project.optional-dependencies]\ntree = ["twig"]\n{table}')
    environment(extras=("tree",)).install(said.append)
    assert app.imported("sessions") == "from the tree"
    with pytest.raises(ManifestUnreadable, match="no optional dependencies called 'fruit'"):
        environment(extras=("fruit",)).install(said.append)


def test_what_must_not_come_from_an_index_is_refused_without_uv(
    without_uv: App, environment: Install, said: list[str]
) -> None:
    """A stranger's package of the same name would be installed."""
    without_uv.project("leaflet", more='[tool.uv.sources]\nleaflet = { path = "libs/leaflet" }')
    with pytest.raises(InstallerMissing, match=r"leaflet must not come from an index .* uv is not installed"):
        environment().install(said.append)
    assert not without_uv.environment.exists()


# --- helpers ----------------------------------------------------------------------------


def kill_once_said(app: App, environment: InPlaceEnvironment, word: str) -> None:
    """Installs in a process of its own, and kills it and its children once a line says `word`."""
    code = (
        "import sys; from pathlib import Path\n"
        "from newleaf.core.sections import Update\n"
        "from newleaf.system.commands import Runner\n"
        "from newleaf.update.environments import InPlaceEnvironment\n"
        "from newleaf.update.surroundings import Surroundings\n"
        "import os\n"
        "runner = Runner(on_start=lambda group: print('group', group, flush=True))\n"
        f"host = Surroundings(runner, {app.host.environ!r})\n"
        f"one = InPlaceEnvironment(Path({str(app.folder)!r}), Update(), host, Path({str(environment.state)!r}), 'a')\n"
        "one.install(lambda line: print(line, flush=True))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    group = 0
    for line in process.stdout:
        if line.startswith("group "):
            group = int(line.split()[1])
        if word in line:
            break
    process.kill()
    os.killpg(group, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or " Z " not in stat.read_text()


def another_python() -> tuple[str, str]:
    """A Python of another minor version than this one: its number and its path."""
    for minor in {11, 12, 13, 14} - {sys.version_info.minor}:
        beside = Path(sys.base_prefix).parent.glob(f"*/bin/python3.{minor}")
        for python in [*beside, Path(shutil.which(f"python3.{minor}") or "/gone")]:
            if (
                python.exists()
                and subprocess.run([python, "-V"], capture_output=True, check=False).returncode == 0
            ):
                return f"3.{minor}", str(python)
    pytest.skip("this machine has one Python only")
