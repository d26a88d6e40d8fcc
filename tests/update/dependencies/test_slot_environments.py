"""Environments of release slots, with real uv, real pip and no network: shared, and whole when seen."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from newleaf.core.dependencies.install_errors import InstallFailed, ManifestUnreadable, PythonMissing
from newleaf.core.errors import DiskFull
from newleaf.system import files
from newleaf.system.loaded_tree import RELEASE_RECORD
from newleaf.update.dependencies.fingerprints import MARK
from newleaf.update.dependencies.needs import read_needs
from newleaf.update.dependencies.slot_environments import PRETENDED, key_of
from tests.support.installs import (
    forbid_the_python,
    lose_a_module,
    lose_a_package,
    lose_the_configuration,
    lose_the_metadata,
    lose_the_packages,
    lose_the_programs,
    lose_the_python,
    replace_a_package,
    replace_the_python,
)
from tests.support.kills import run_in_child, run_killed_at
from tests.support.slot_installs import Shelf, snapshot
from tests.support.wheels import PYTHON, App, write_backend

UV_BUILD = '[build-system]\nrequires = ["uv_build>=0.1"]\nbuild-backend = "uv_build"\n'
TOLD_BACKEND = """
import os, pathlib, sys
sys.path.insert(0, {support!r})
from wheels import write_wheel

def get_requires_for_build_editable(config_settings=None):
    return []

def build_editable(folder, config_settings=None, metadata_directory=None):
    version = os.environ[{variable!r}]
    return write_wheel(pathlib.Path(folder), {name!r}, version, (), {{"app.pth": os.getcwd()}}).name

build_wheel = build_editable
"""


@pytest.fixture
def shelf(tmp_path: Path, app: App) -> Shelf:
    state = tmp_path / "state"
    state.mkdir(exist_ok=True)
    return Shelf(state, app)


def versioned(app: App, version: str) -> None:
    """The app's own version, and nothing else, is another."""
    path = app.folder / "pyproject.toml"
    path.write_text(path.read_text().replace('version = "1.0.0"', f'version = "{version}"', 1))
    app.lock()


def installable(app: App, text: str = "1.0.0") -> None:
    """The app has a build system, a program, and a module that tells the commits apart."""
    scripts = '[project.scripts]\nsessions = "sessions:main"\n'
    app.project("leaflet==1.0.0", more=scripts + UV_BUILD)
    versioned(app, text)
    app.write("src/sessions/__init__.py", f"def main():\n    print('program of {text}')\n")


def told_backend(folder: Path, name: str = "sessions", variable: str = f"{PRETENDED}_SESSIONS") -> str:
    """A backend that takes the version from the variable, as setuptools-scm and hatch-vcs do."""
    support = str(Path(__file__).parents[2] / "support")
    (folder / "told.py").write_text(TOLD_BACKEND.format(support=support, name=name, variable=variable))
    return '[build-system]\nrequires = []\nbuild-backend = "told"\nbackend-path = ["."]\n'


def workspace_with(member: str) -> str:
    """The tables of a workspace whose members are below `libs`, and one of which the app needs."""
    return (
        '[tool.uv.workspace]\nmembers = ["libs/*"]\n'
        f"[tool.uv.sources]\n{member} = {{ workspace = true }}\n"
        '[tool.uv]\nno-index = true\nfind-links = ["wheels"]\n'
    )


# --- shared -----------------------------------------------------------------------------


def test_two_releases_with_one_lock_share_one_environment(shelf: Shelf, said: list[str]) -> None:
    shelf.release("a")
    first = shelf.installed("a", said)
    before, lines = snapshot(first), len(said)
    shelf.release("b")
    assert shelf.of("b").owed() is None
    second = shelf.installed("b", said)
    assert (second, second.stat().st_ino) == (first, first.stat().st_ino)
    assert (said[lines:], snapshot(first)) == ([], before)
    assert shelf.environments() == [first.name]
    assert [shelf.record(letter)["environment"] for letter in "ab"] == [first.name] * 2
    assert shelf.python("b", "import leaflet; print(leaflet.VERSION)") == "1.0.0"


def test_only_the_apps_own_version_changed_then_nothing_is_installed(shelf: Shelf, said: list[str]) -> None:
    shelf.release("a")
    first = shelf.installed("a", said)
    versioned(shelf.app, "1.1.0")
    assert b'version = "1.1.0"' in (shelf.app.folder / "uv.lock").read_bytes()
    shelf.release("b")
    assert shelf.of("b").owed() is None
    assert shelf.installed("b", said) == first


def test_a_link_of_a_release_leads_where_the_state_directory_goes(shelf: Shelf, said: list[str]) -> None:
    top = shelf.release("a")
    shelf.installed("a", said)
    assert os.readlink(top / ".venv") == f"../../envs/{shelf.environments()[0]}"


@pytest.mark.parametrize("leads", [None, "/nowhere"])
def test_its_link_is_gone_or_leads_elsewhere_then_it_is_attached_again(
    shelf: Shelf, said: list[str], leads: str | None
) -> None:
    link = shelf.release("a") / ".venv"
    first = shelf.installed("a", said)
    link.unlink()
    if leads:
        link.symlink_to(leads)
    lines = len(said)
    assert shelf.of("a").owed() == ".venv does not lead to its environment"
    assert shelf.installed("a", said) == first
    assert (said[lines:], shelf.environments()) == ([], [first.name])


def test_attaching_again_writes_nothing(shelf: Shelf, said: list[str]) -> None:
    top = shelf.release("a")
    shelf.installed("a", said)
    before = snapshot(top)
    shelf.of("a").attach()
    assert snapshot(top) == before


Change = Callable[[App], dict[str, Any]]


def another_lock(app: App) -> dict[str, Any]:
    app.project("leaflet==2.0.0", more=EXTRAS)
    app.lock()
    return {}


def another_python_wish(app: App) -> dict[str, Any]:
    app.write(".python-version", f"3.{sys.version_info.minor}\n")
    return {}


def an_extra(_: App) -> dict[str, Any]:
    return {"extras": ("tree",)}


def a_group(_: App) -> dict[str, Any]:
    return {"groups": ("ops",)}


EXTRAS = '[project.optional-dependencies]\ntree = ["twig"]\n[dependency-groups]\nops = ["twig"]'


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (another_lock, "the lock file changed"),
        (another_python_wish, "another Python is asked for"),
        (an_extra, "other extras are asked for"),
        (a_group, "other dependency groups are asked for"),
    ],
)
def test_what_is_asked_for_is_another_then_another_is_made_beside(
    change: Change, told: str, shelf: Shelf, said: list[str]
) -> None:
    shelf.app.project("leaflet==1.0.0", more=EXTRAS)
    shelf.app.lock()
    shelf.release("a")
    first = shelf.installed("a", said)
    (shelf.state / "current").symlink_to(f"releases/{'a' * 40}")
    before, wish = snapshot(first), change(shelf.app)
    shelf.release("b")
    assert shelf.of("b", **wish).owed() == told
    second = shelf.installed("b", said, **wish)
    assert second != first
    assert shelf.environments() == sorted((first.name, second.name))
    assert snapshot(first) == before
    if wish:
        assert shelf.python("b", "import twig; print(twig.VERSION)") == "1.0.0"
        assert "No module" in shelf.python("a", "import twig")


def test_another_platform_is_another_key(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def key() -> str:
        return key_of(read_needs(shelf.app.folder, shelf.of("a").update, "a" * 40, has_uv=True))

    first = key()
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert key() != first


def test_files_are_hard_links_into_uvs_cache(shelf: Shelf, said: list[str]) -> None:
    shelf.app.host.variables["UV_LINK_MODE"] = "hardlink"
    shelf.release("a")
    first = shelf.installed("a", said)
    (module,) = first.glob("lib/python*/site-packages/leaflet/__init__.py")
    cached = {path.stat().st_ino for path in (shelf.app.host.folder / "cache").rglob("leaflet/__init__.py")}
    assert module.stat().st_ino in cached


def test_without_a_lock_pip_makes_it_and_requirements_are_the_key(shelf: Shelf, said: list[str]) -> None:
    app = shelf.app
    (app.folder / "uv.lock").unlink()
    (app.folder / "pyproject.toml").unlink()
    (app.host.programs / "uv").unlink()
    app.host.variables["PIP_FIND_LINKS"] = str(app.folder / "wheels")
    app.write("requirements.txt", "leaflet==1.0.0\n")
    for letter in "ab":
        shelf.release(letter)
    first = shelf.installed("a", said)
    assert shelf.installed("b", said) == first
    app.write("requirements.txt", "leaflet==2.0.0\n")
    shelf.release("c")
    assert shelf.installed("c", said) != first
    assert [shelf.python(x, "import leaflet; print(leaflet.VERSION)") for x in "abc"] == ["1.0.0"] * 2 + [
        "2.0.0"
    ]
    assert len(shelf.environments()) == 2


def test_nothing_to_install_or_not_newleafs_to_install_then_there_is_no_link(
    shelf: Shelf, said: list[str]
) -> None:
    top = shelf.release("a")
    assert shelf.of("a", install="none").owed() is None
    shelf.of("a", install="none").attach()
    assert not os.path.lexists(top / ".venv")
    assert shelf.environments() == []


def test_no_package_is_asked_for_and_the_daemon_is_started_out_of_it_then_there_is_an_empty_one(
    app: App, shelf: Shelf, said: list[str]
) -> None:
    app.write("pyproject.toml", '[project]\nname = "sessions"\nversion = "1.0.0"\n')
    (app.folder / "uv.lock").unlink()
    for letter in "ab":
        shelf.release(letter)
    first = shelf.installed("a", said, must_have_one=True)
    assert shelf.installed("b", said, must_have_one=True) == first
    assert shelf.record("a")["environment"] == first.name
    assert shelf.python("a", "import sys; print(sys.prefix != sys.base_prefix)") == "True"


# --- per release ------------------------------------------------------------------------


def test_an_installed_project_has_an_environment_for_each_release(shelf: Shelf, said: list[str]) -> None:
    ask = "import importlib.metadata as m; print(m.version('sessions'))"
    for letter, version in (("a", "1.0.0"), ("b", "1.1.0")):
        installable(shelf.app, version)
        shelf.release(letter)
        shelf.installed(letter, said)
    assert len(shelf.environments()) == 2
    assert [shelf.python(letter, ask) for letter in "ab"] == ["1.0.0", "1.1.0"]
    for letter, version in (("a", "1.0.0"), ("b", "1.1.0")):
        script = shelf.state / "releases" / (letter * 40) / ".venv/bin/sessions"
        assert shelf.program(script) == f"program of {version}"


def test_an_installed_project_is_built_anew_for_a_commit_that_changed_code_alone(
    shelf: Shelf, said: list[str]
) -> None:
    installable(shelf.app)
    shelf.release("a")
    shelf.app.write("src/sessions/__init__.py", "def main():\n    print('other code')\n")
    shelf.release("b")
    for letter in "ab":
        shelf.installed(letter, said)
    script = Path(".venv/bin/sessions")
    assert shelf.program(shelf.state / "releases" / ("a" * 40) / script) == "program of 1.0.0"
    assert shelf.program(shelf.state / "releases" / ("b" * 40) / script) == "other code"


def test_a_project_that_need_not_be_installed_shares_again(shelf: Shelf, said: list[str]) -> None:
    for letter, version in (("a", "1.0.0"), ("b", "1.1.0")):
        installable(shelf.app, version)
        shelf.release(letter)
    first = shelf.installed("a", said, install_project=False)
    assert shelf.installed("b", said, install_project=False) == first
    assert "PackageNotFoundError" in shelf.python(
        "a", "import importlib.metadata as m; print(m.version('sessions'))"
    )


def test_a_project_that_pip_installs_has_its_own_too(shelf: Shelf, said: list[str]) -> None:
    app = shelf.app
    app.project("leaflet==1.0.0", more=write_backend(app.folder))
    (app.folder / "uv.lock").unlink()
    (app.host.programs / "uv").unlink()
    app.host.variables["PIP_FIND_LINKS"] = str(app.folder / "wheels")
    for letter in "ab":
        app.write("sessions/__init__.py", f"VERSION = 'code of {letter}'\n")
        shelf.release(letter)
        shelf.installed(letter, said)
    assert [shelf.python(x, "import sessions; print(sessions.VERSION)") for x in "ab"] == [
        "code of a",
        "code of b",
    ]


def test_members_of_a_workspace_come_from_their_own_release(shelf: Shelf, said: list[str]) -> None:
    app = shelf.app
    app.project("branch", more=workspace_with("branch"))
    app.write("libs/branch/pyproject.toml", '[project]\nname = "branch"\nversion = "1.0"\n' + UV_BUILD)
    for letter in "ab":
        app.write("libs/branch/src/branch/__init__.py", f"VERSION = 'branch of {letter}'\n")
        app.lock()
        shelf.release(letter)
        shelf.installed(letter, said)
    assert [shelf.python(x, "import branch; print(branch.VERSION)") for x in "ab"] == [
        "branch of a",
        "branch of b",
    ]
    assert len(shelf.environments()) == 2


def test_an_app_in_a_folder_has_its_link_there(shelf: Shelf, said: list[str]) -> None:
    app = shelf.app
    member = App(app.folder / "apps" / "bot", app.host)
    app.project(more='[tool.uv.workspace]\nmembers = ["apps/*"]')
    project = '[project]\nname = "bot"\nversion = "1"\nrequires-python = ">=3.11"\n'
    member.write("pyproject.toml", f'{project}dependencies = ["leaflet==1.0.0"]\n')
    app.lock()
    shelf.release("a")
    shelf.installed("a", said, inner="apps/bot")
    assert shelf.python("a", "import leaflet; print(leaflet.VERSION)", inner="apps/bot") == "1.0.0"
    assert shelf.record("a")["environment"] == shelf.environments()[0]


def test_a_folder_of_the_app_that_is_a_link_of_its_tree_has_the_right_one(
    shelf: Shelf, said: list[str]
) -> None:
    app = shelf.app
    shutil.move(app.folder, app.folder.with_name("inner"))
    shutil.move(app.folder.with_name("inner"), app.folder / "apps" / "v2")
    (app.folder / "live").symlink_to("apps/v2")
    shelf.release("a")
    shelf.installed("a", said, inner="live")
    assert shelf.python("a", "import leaflet; print(leaflet.VERSION)", inner="live") == "1.0.0"


def test_an_own_command_makes_its_environment_in_the_release(shelf: Shelf, said: list[str]) -> None:
    app = shelf.app
    app.write("Makefile", "install:\n\t@echo made >> made.txt; uv sync --frozen --quiet\n")
    command: dict[str, Any] = {"install": ("make", "install")}
    tops = [shelf.release(letter) for letter in "ab"]
    for letter, top in zip("ab", tops, strict=True):
        assert shelf.of(letter, **command).owed()
        shelf.installed(letter, said, **command)
        assert (top / ".venv").is_dir()
        assert not (top / ".venv").is_symlink()
        assert shelf.python(letter, "import leaflet; print(leaflet.VERSION)") == "1.0.0"
        assert (top / "made.txt").read_text() == "made\n"
    assert shelf.environments() == []
    assert shelf.record("a")["environment"] is None


def test_an_own_command_that_failed_is_run_again(shelf: Shelf, said: list[str]) -> None:
    shelf.release("a")
    with pytest.raises(InstallFailed):
        shelf.of("a", install=("false",)).install(said.append)
    assert shelf.of("a", install=("false",)).owed()


def test_a_version_that_comes_from_git_is_told(shelf: Shelf, said: list[str]) -> None:
    app = shelf.app
    table = told_backend(app.folder)
    app.project(more=table)
    dynamic = (
        (app.folder / "pyproject.toml").read_text().replace('version = "1.0.0"', 'dynamic = ["version"]')
    )
    app.write("pyproject.toml", dynamic)
    app.host.variables[f"{PRETENDED}_SESSIONS"] = "0"
    app.lock()
    del app.host.variables[f"{PRETENDED}_SESSIONS"]
    for letter, version in (("a", "1.0.0"), ("b", "1.1.0")):
        shelf.release(letter)
        shelf.installed(letter, said, version=version)
    ask = "import importlib.metadata as m; print(m.version('sessions'))"
    assert [shelf.python(letter, ask) for letter in "ab"] == ["1.0.0", "1.1.0"]


def test_an_own_command_is_told_the_version_too(shelf: Shelf, said: list[str]) -> None:
    shelf.app.write("pyproject.toml", '[project]\nname = "my.Sessions"\ndynamic = ["version"]\n')
    top = shelf.release("a")
    command = ("sh", "-c", f"echo ${PRETENDED}_MY_SESSIONS > told")
    shelf.installed("a", said, install=command, version="1.2.3")
    assert (top / "told").read_text() == "1.2.3\n"


def test_a_member_is_told_the_version_as_well(shelf: Shelf, said: list[str]) -> None:
    app = shelf.app
    app.project("my-branch", more=workspace_with("my-branch"))
    library = app.folder / "libs" / "branch"
    library.mkdir(parents=True)
    table = told_backend(library, "my_branch", f"{PRETENDED}_MY_BRANCH")
    (library / "pyproject.toml").write_text('[project]\nname = "my.branch"\ndynamic = ["version"]\n' + table)
    app.host.variables[f"{PRETENDED}_MY_BRANCH"] = "0"
    app.lock()
    del app.host.variables[f"{PRETENDED}_MY_BRANCH"]
    shelf.release("a")
    shelf.installed("a", said, version="1.4.0")
    ask = "import importlib.metadata as m; print(m.version('my-branch'))"
    assert shelf.python("a", ask) == "1.4.0"


# --- killed, failed, full ---------------------------------------------------------------


def test_killed_at_any_write_it_is_made_whole_next_time(shelf: Shelf, said: list[str]) -> None:
    """lessons.md L16."""
    top = shelf.release("a")
    record = (top / RELEASE_RECORD).read_bytes()

    def make_ready() -> None:
        slot = shelf.of("a")
        if slot.owed():
            slot.install(lambda _: None)
        slot.attach()

    event = 0
    while run_killed_at(event := event + 1, make_ready):
        names = shelf.environments()
        whole = [name for name in names if (shelf.envs / name / MARK).exists()]
        assert bool(whole) == (shelf.of("a").owed() is None)
        shelf.installed("a", said)
        assert len(shelf.environments()) == 1
        assert shelf.python("a", "import leaflet; print(leaflet.VERSION)") == "1.0.0"
        assert not list((shelf.state / "releases").rglob("..venv.*"))
        shutil.rmtree(shelf.envs)
        (top / ".venv").unlink()
        (top / RELEASE_RECORD).write_bytes(record)
    assert event > 5


@pytest.mark.parametrize("word", ["Creating virtual environment", "Prepared", "leaflet"])
def test_killed_in_the_middle_of_uv_then_it_is_removed_and_built_anew(
    word: str, shelf: Shelf, said: list[str]
) -> None:
    top = shelf.release("a")
    kill_once_said(shelf, "a", word)
    assert shelf.of("a").owed()
    assert not os.path.lexists(top / ".venv")
    first = shelf.installed("a", said)
    assert shelf.environments() == [first.name]
    assert shelf.python("a", "import leaflet; print(leaflet.VERSION)") == "1.0.0"


def test_killed_in_the_middle_of_pip_then_it_is_removed_and_built_anew(shelf: Shelf, said: list[str]) -> None:
    app = shelf.app
    (app.folder / "uv.lock").unlink()
    (app.host.programs / "uv").unlink()
    app.host.variables["PIP_FIND_LINKS"] = str(app.folder / "wheels")
    shelf.release("a")
    kill_once_said(shelf, "a", "Installing collected")
    assert shelf.of("a").owed() == "the last installation did not end well"
    first = shelf.installed("a", said)
    assert shelf.environments() == [first.name]


def test_a_half_built_one_that_a_mark_calls_unfinished_counts_for_nothing(
    shelf: Shelf, said: list[str]
) -> None:
    shelf.release("a")
    first = shelf.installed("a", said)
    mark = json.loads((first / MARK).read_text())
    (first / MARK).write_text(json.dumps({**mark, "state": "installing"}))
    assert shelf.of("a").owed() == "the last installation did not end well"


def test_a_failed_build_leaves_nothing(shelf: Shelf, said: list[str]) -> None:
    shelf.release("a")
    first = shelf.installed("a", said)
    shelf.app.project("leaflet==2.0.0")
    shelf.app.lock()
    top = shelf.release("b")
    shutil.rmtree(top / "wheels")
    shutil.rmtree(shelf.app.host.folder / "cache")
    with pytest.raises(InstallFailed):
        shelf.of("b").install(said.append)
    assert shelf.environments() == [first.name]
    assert not os.path.lexists(top / ".venv")
    assert shelf.of("a").owed() is None


def test_a_full_disk_is_said_before_anything_is_built(
    shelf: Shelf, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """lessons.md L24."""
    shelf.release("a")
    monkeypatch.setattr(files, "_free_bytes", lambda _: 1000)
    with pytest.raises(DiskFull):
        shelf.of("a").install(said.append)
    assert shelf.environments() == []


def test_a_manifest_that_is_no_toml_is_named(shelf: Shelf) -> None:
    top = shelf.release("a")
    (top / "pyproject.toml").write_text("[project\n")
    with pytest.raises(ManifestUnreadable, match=r"pyproject\.toml is not TOML"):
        shelf.of("a").owed()


# --- damaged ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        lose_a_module,
        lose_a_package,
        lose_the_metadata,
        lose_the_python,
        lose_the_programs,
        lose_the_configuration,
        lose_the_packages,
        replace_the_python,
        forbid_the_python,
        replace_a_package,
    ],
)
def test_a_damaged_one_stays_for_who_uses_it_and_another_is_built_beside(
    damage: Callable[[App], None], shelf: Shelf, said: list[str]
) -> None:
    """lessons.md L16."""
    tops = [shelf.release(letter) for letter in "ab"]
    first = shelf.installed("a", said)
    damage(App(tops[0], shelf.app.host))
    before = snapshot(first)
    assert shelf.of("b").owed()
    second = shelf.installed("b", said)
    assert second.name == f"{first.name}.2"
    assert snapshot(first) == before
    assert os.path.realpath(tops[0] / ".venv") == str(first)
    assert shelf.python("b", "import leaflet; print(leaflet.VERSION)") == "1.0.0"
    assert shelf.installed("a", said) == second
    assert [shelf.record(letter)["environment"] for letter in "ab"] == [second.name] * 2
    lose_a_module(App(tops[0], shelf.app.host))
    assert shelf.installed("a", said).name == f"{first.name}.3"


def test_one_that_was_moved_is_built_anew_where_it_is_now(shelf: Shelf, said: list[str]) -> None:
    """Programs in it name their place."""
    shelf.release("a")
    shelf.installed("a", said)
    moved = Shelf(shelf.state.rename(shelf.state.with_name("moved")), shelf.app)
    assert "cannot be moved" in (moved.of("a").owed() or "")
    assert moved.installed("a", said).parent == moved.envs


def test_a_link_that_was_lost_or_bent_is_put_right(shelf: Shelf, said: list[str]) -> None:
    top = shelf.release("a")
    first = shelf.installed("a", said)
    for bent in ("/nowhere", None):
        (top / ".venv").unlink()
        if bent:
            (top / ".venv").symlink_to(bent)
        assert shelf.installed("a", said) == first


def test_an_environment_of_the_releases_own_makes_way_for_a_shared_one(shelf: Shelf, said: list[str]) -> None:
    """The host took `update.install` back for a commit that lies there already."""
    top = shelf.release("a")
    command = ("uv", "sync", "--frozen", "--quiet")
    shelf.installed("a", said, install=command)
    first = shelf.installed("a", said)
    assert first.parent == shelf.envs
    assert (top / ".venv").is_symlink()
    before = snapshot(first)
    shelf.installed("a", said, install=command)
    assert (top / ".venv" / "bin" / "python").exists()
    assert not (top / ".venv").is_symlink()
    assert not (top / ".venv.newleaf-old").exists()
    assert snapshot(first) == before


# --- Python -----------------------------------------------------------------------------


def test_a_python_that_nobody_has_is_named_with_what_is_here_and_the_cure(
    shelf: Shelf, said: list[str]
) -> None:
    app = shelf.app
    for path in ("pyproject.toml", "uv.lock"):
        app.write(path, (app.folder / path).read_text().replace(">=3.11", ">=3.99"))
    shelf.release("a")
    with pytest.raises(PythonMissing) as missing:
        shelf.of("a").install(said.append)
    here = ".".join(map(str, sys.version_info[:3]))
    assert missing.value.code == "python_missing"
    assert missing.value.message.startswith("no Python for the app's environment: >=3.99 is asked for")
    assert here in missing.value.message
    assert "uv python install '>=3.99'" in missing.value.advice
    assert any("No interpreter found" in line for line in missing.value.lines)
    assert shelf.environments() == []


def test_a_wish_at_odds_with_the_project_is_named(shelf: Shelf, said: list[str]) -> None:
    app = shelf.app
    for path in ("pyproject.toml", "uv.lock"):
        app.write(path, (app.folder / path).read_text().replace(">=3.11", ">=3.99"))
    app.write(".python-version", f"3.{sys.version_info.minor}")
    shelf.release("a")
    with pytest.raises(PythonMissing, match=r"and >=3\.99 is asked for") as missing:
        shelf.of("a").install(said.append)
    assert "correct .python-version" in missing.value.advice


def test_with_pip_it_is_the_same_error(shelf: Shelf, said: list[str]) -> None:
    app = shelf.app
    (app.host.programs / "uv").unlink()
    app.write(".python-version", "3.99")
    shelf.release("a")
    with pytest.raises(PythonMissing, match=r"3\.99 and >=3\.11 is asked for"):
        shelf.of("a").install(said.append)
    assert shelf.environments() == []


def test_uv_may_fetch_a_python(shelf: Shelf, said: list[str]) -> None:
    """What newleaf gives to uv forbids no download: that is the host's to decide."""
    top = shelf.release("a")
    shelf.app.host.variables.update(UV_PYTHON_DOWNLOADS="automatic", UV_OFFLINE="0", UV_HTTP_RETRIES="0")
    shelf.app.host.variables.update(UV_PYTHON_INSTALL_MIRROR="http://127.0.0.1:9/mirror")
    (top / ".python-version").write_text("3.14\n")
    with pytest.raises(PythonMissing) as missing:
        shelf.of("a").install(said.append)
    assert any("http://127.0.0.1:9/mirror" in line for line in missing.value.lines)


# --- which Python ------------------------------------------------------------------------


def two_releases(shelf: Shelf, said: list[str]) -> Callable[[], bool]:
    """The first is live, and the app has another lock now. Tells whether uv has looked for a Python since."""
    asked = shelf.state / "asked"
    shelf.app.host.script("python3", f'echo >> {asked}; exec {PYTHON} "$@"')
    shelf.release("a")
    shelf.installed("a", said)
    (shelf.state / "current").symlink_to(f"releases/{'a' * 40}")
    another_lock(shelf.app)
    asked.unlink()
    return asked.exists


def test_another_lock_then_the_live_releases_python_is_taken_and_none_is_looked_for(
    shelf: Shelf, said: list[str]
) -> None:
    has_asked = two_releases(shelf, said)
    shelf.release("b")
    first, second = shelf.installed("a", said), shelf.installed("b", said)
    assert not has_asked()
    assert first != second
    assert os.readlink(second / "bin" / "python") == os.readlink(first / "bin" / "python")


@pytest.mark.parametrize(
    "change", ["another Python is asked for", "it is not the file it was", "it is a copy"]
)
def test_the_live_releases_python_may_not_do_then_one_is_looked_for(
    shelf: Shelf, said: list[str], change: str
) -> None:
    has_asked = two_releases(shelf, said)
    live = Path(os.path.realpath(shelf.state / "current" / ".venv"))
    if change == "another Python is asked for":
        shelf.app.write(".python-version", f"3.{sys.version_info.minor}")
    elif change == "it is not the file it was":
        mark = json.loads((live / MARK).read_text())
        mark["interpreter"]["changed_ns"] += 1
        (live / MARK).write_text(json.dumps(mark))
    else:
        (live / "bin" / "python").unlink()
        shutil.copy(PYTHON, live / "bin" / "python")
    shelf.release("b")
    shelf.installed("b", said)
    assert has_asked()


def test_the_host_names_a_python_then_that_is_taken(shelf: Shelf, said: list[str]) -> None:
    two_releases(shelf, said)
    own = shelf.app.host.programs / "python-of-mine"
    own.symlink_to(PYTHON)
    shelf.app.host.variables["UV_PYTHON"] = str(own)
    shelf.release("b")
    assert os.readlink(shelf.installed("b", said) / "bin" / "python") == str(own)


# --- helpers ----------------------------------------------------------------------------


def kill_once_said(shelf: Shelf, letter: str, word: str) -> None:
    """Installs in a process of its own, and kills it and its children once a line says `word`."""
    group = shelf.state.with_name("group")

    def note(pid: int) -> None:
        group.write_text(str(pid))

    def killed() -> None:
        slot = shelf.of(letter)
        slot.surroundings.runner.on_start = note

        def on_line(line: str) -> None:
            if word in line:
                os.killpg(int(group.read_text()), signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)

        slot.install(on_line)

    assert run_in_child(killed) == -signal.SIGKILL
