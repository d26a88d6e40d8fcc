"""What a tree asks for, and who is to install it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from newleaf.core.dependencies.install_errors import InstallerMissing, ManifestUnreadable
from newleaf.core.settings.sections import Update
from newleaf.update.dependencies.needs import (
    Kind,
    Needs,
    find_lock,
    read_needs,
    require_pip_enough,
    unenforced_lock,
)

PROJECT = '[project]\nname = "sessions"\nversion = "1.0.0"\ndependencies = ["leaflet==1.0.0"]\n'
BUILD = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
UV_LOCK = '[[package]]\nname = "sessions"\nversion = "1.0.0"\nsource = {{ {kind} = "{path}" }}\n'


def write(folder: Path, **files: str) -> Path:
    """Files by their names, `__` for a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def needs_of(folder: Path, *, has_uv: bool = True, commit: str = "a" * 40, **update: Any) -> Needs:
    return read_needs(folder, Update(**update), commit, has_uv=has_uv)


def changed_part(before: Needs, after: Needs) -> set[str]:
    old, new = before.parts, after.parts
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


@pytest.mark.parametrize(
    ("files", "has_uv", "kind"),
    [
        ({"pyproject__toml": PROJECT, "uv__lock": "version = 1\n"}, True, Kind.UV),
        ({"pyproject__toml": PROJECT, "uv__lock": "version = 1\n"}, False, Kind.PIP),
        ({"pyproject__toml": PROJECT}, True, Kind.PIP),
        ({"requirements__txt": "leaflet\n"}, True, Kind.PIP),
        ({"setup__py": "from setuptools import setup; setup()\n"}, True, Kind.PIP),
        ({"pyproject__toml": "[tool.ruff]\n", "uv__lock": "version = 1\n"}, True, Kind.UV),
        ({"pyproject__toml": "[tool.ruff]\n"}, True, Kind.NOBODY),
        ({"pyproject__toml": '[project]\nname = "a"\n'}, True, Kind.NOBODY),
        ({"uv__lock": "version = 1\n"}, True, Kind.NOBODY),
        ({"main__py": ""}, True, Kind.NOBODY),
    ],
)
def test_who_installs_follows_from_the_tree_and_from_uv(
    tmp_path: Path, files: dict[str, str], has_uv: bool, kind: Kind
) -> None:
    assert needs_of(write(tmp_path, **files), has_uv=has_uv).kind is kind


def test_the_setting_decides_before_the_tree_is_read(tmp_path: Path) -> None:
    write(tmp_path, pyproject__toml="no toml at all [")
    assert needs_of(tmp_path, install="none").kind is Kind.NOBODY
    own = needs_of(tmp_path, install=("make", "install all"))
    assert (own.kind, own.installer) == (Kind.COMMAND, "make 'install all'")
    with pytest.raises(ManifestUnreadable):
        needs_of(tmp_path)


def test_with_a_lock_the_code_is_no_part_of_the_fingerprint(tmp_path: Path) -> None:
    write(tmp_path, pyproject__toml=PROJECT, uv__lock=UV_LOCK.format(kind="virtual", path="."))
    before = needs_of(tmp_path)
    write(tmp_path, main__py="print()", pyproject__toml=PROJECT + "[tool.ruff]\n")
    assert changed_part(before, needs_of(tmp_path, commit="b" * 40)) == set()


@pytest.mark.parametrize(
    ("files", "update", "part"),
    [
        ({"uv__lock": "version = 2\n"}, {}, "lock"),
        ({"__python-version": "3.12\n"}, {}, "python"),
        ({"pyproject__toml": PROJECT + 'requires-python = ">=3.12"\n'}, {}, "python"),
        ({}, {"extras": "all"}, "extras"),
        ({}, {"extras": ("tree",)}, "extras"),
        ({}, {"groups": ("ops",)}, "groups"),
        ({}, {"install_project": True}, "install_project"),
    ],
)
def test_whatever_the_installation_follows_from_is_a_part(
    tmp_path: Path, files: dict[str, str], update: dict[str, Any], part: str
) -> None:
    """lessons.md L13, L17."""
    write(tmp_path, pyproject__toml=PROJECT, uv__lock="version = 1\n")
    before = needs_of(tmp_path)
    write(tmp_path, **files)
    assert changed_part(before, needs_of(tmp_path, **update)) == {part}


def test_the_manifest_is_a_part_when_the_project_is_installed(tmp_path: Path) -> None:
    lock = UV_LOCK.format(kind="editable", path=".")
    write(tmp_path, pyproject__toml=PROJECT + BUILD, uv__lock=lock)
    before, without = needs_of(tmp_path), needs_of(tmp_path, install_project=False)
    write(tmp_path, pyproject__toml=PROJECT + '[project.scripts]\na = "a:b"\n' + BUILD)
    assert changed_part(before, needs_of(tmp_path)) == {"project"}
    assert changed_part(without, needs_of(tmp_path, install_project=False)) == set()


@pytest.mark.parametrize(
    ("files", "moving"),
    [
        ({"pyproject__toml": PROJECT + BUILD}, ()),
        (
            {"pyproject__toml": PROJECT.replace('version = "1.0.0"', 'dynamic = ["version"]') + BUILD},
            ("sessions",),
        ),
        ({"pyproject__toml": PROJECT + BUILD, "setup__py": ""}, ("sessions",)),
        ({"pyproject__toml": PROJECT + BUILD.replace("hatchling.build", "maturin")}, ("sessions",)),
    ],
)
def test_a_project_whose_metadata_moves_follows_the_commit(
    tmp_path: Path, files: dict[str, str], moving: tuple[str, ...]
) -> None:
    write(tmp_path, uv__lock=UV_LOCK.format(kind="editable", path="."), **files)
    before = needs_of(tmp_path)
    assert before.moving == moving
    assert changed_part(before, needs_of(tmp_path, commit="b" * 40)) == ({"commit"} if moving else set())


def test_an_own_command_follows_command_and_commit(tmp_path: Path) -> None:
    before = needs_of(tmp_path, install=("make",))
    assert changed_part(before, needs_of(tmp_path, install=("make",), commit="b" * 40)) == {"commit"}
    assert changed_part(before, needs_of(tmp_path, install=("make", "all"))) == {"command"}


def test_the_lock_of_a_workspace_is_found_from_its_member_only(tmp_path: Path) -> None:
    top = write(
        tmp_path / "repo", pyproject__toml="", uv__lock=UV_LOCK.format(kind="editable", path="apps/bot")
    )
    member = write(top / "apps" / "bot", pyproject__toml=PROJECT)
    other = write(top / "apps" / "other", pyproject__toml=PROJECT)
    assert find_lock(member) is None  # beyond a repository nothing is looked for
    (top / ".git").mkdir()
    assert find_lock(member) == top / "uv.lock"
    assert find_lock(other) is None
    write(other, uv__lock="")
    assert find_lock(other) == other / "uv.lock"
    write(tmp_path, uv__lock=UV_LOCK.format(kind="editable", path="repo/apps/deep"))
    assert find_lock(write(top / "apps" / "deep", pyproject__toml=PROJECT)) is None


def test_the_wish_for_a_python_is_the_apps_or_its_workspaces(tmp_path: Path) -> None:
    top = write(tmp_path, pyproject__toml="", uv__lock=UV_LOCK.format(kind="virtual", path="bot"))
    (top / ".git").mkdir()
    member = write(top / "bot", pyproject__toml=PROJECT)
    write(top, **{"__python-version": "# comment\n\n 3.12\n3.13\n"})
    assert needs_of(member).python_wish == "3.12"
    write(member, **{"__python-version": "3.11\n"})
    assert needs_of(member).python_wish == "3.11"


def test_requirements_count_with_all_that_they_include(tmp_path: Path) -> None:
    write(tmp_path, requirements__txt="-r more.txt\n--constraint=limits.txt\n-r https://example.org/x.txt\n")
    write(tmp_path, more__txt="-r requirements.txt\nleaflet\n", limits__txt="leaflet<2\n")
    before = needs_of(tmp_path)
    assert [path.name for path in before.requirements] == ["requirements.txt", "more.txt", "limits.txt"]
    write(tmp_path, limits__txt="leaflet<3\n")
    assert changed_part(before, needs_of(tmp_path)) == {"requirements"}


@pytest.mark.parametrize(
    "line",
    ["-e .", "-e ./lib", "./lib", "../lib[x]", "lib @ file:./lib", "--editable=.", "file:lib", ".", ".[x]"],
)
def test_requirements_from_the_tree_follow_the_commit(tmp_path: Path, line: str) -> None:
    before = needs_of(write(tmp_path, requirements__txt=f"leaflet==1.0\n{line}\n"))
    assert before.moving == (line,)
    assert changed_part(before, needs_of(tmp_path, commit="b" * 40)) == {"commit"}


def test_requirements_from_an_index_do_not_follow_the_commit(tmp_path: Path) -> None:
    lines = "leaflet==1.0\ntwig>=2 ; python_version > '3'\nbark @ https://example.org/bark.whl\n.hidden==1\n"
    assert needs_of(write(tmp_path, requirements__txt=lines)).moving == ()


def test_pip_installs_what_stands_in_the_manifest_when_the_project_is_not_installed(tmp_path: Path) -> None:
    more = '[project.optional-dependencies]\ntree = ["oak"]\n[dependency-groups]\nops = ["beet"]\n'
    write(tmp_path, pyproject__toml=PROJECT + more)
    needs = needs_of(tmp_path, extras=("tree",), groups=("ops",))
    assert needs.plain == ("leaflet==1.0.0", "oak", "beet")
    write(tmp_path, pyproject__toml=PROJECT + more + BUILD)
    assert needs_of(tmp_path, extras=("tree",), groups=("ops",)).plain == ("beet",)
    write(tmp_path, requirements__txt="leaflet\n")
    assert needs_of(tmp_path, groups=("ops",), install_project=False).plain == ("beet",)


@pytest.mark.parametrize(
    ("files", "program"),
    [
        ({"pyproject__toml": '[tool.poetry]\nname = "a"\npackage-mode = false\n'}, "poetry"),
        ({"Pipfile": "[packages]\n"}, "pipenv"),
        ({"pyproject__toml": PROJECT + "[tool.uv.sources]\nLeaflet = { workspace = true }\n"}, "uv"),
    ],
)
def test_what_is_beyond_pip_is_refused_with_the_program_that_is_missing(
    tmp_path: Path, files: dict[str, str], program: str
) -> None:
    needs = needs_of(write(tmp_path, **files), has_uv=False)
    assert needs.kind is Kind.PIP
    with pytest.raises(InstallerMissing) as refusal:
        require_pip_enough(needs)
    assert refusal.value.facts["program"] == program
    write(tmp_path, requirements__txt="leaflet\n")
    require_pip_enough(needs_of(tmp_path, has_uv=False))


def test_a_source_of_a_package_that_is_not_asked_for_is_no_reason_to_refuse(tmp_path: Path) -> None:
    more = '[dependency-groups]\ndev = ["oak"]\n[tool.uv.sources]\noak = { path = "oak" }\n'
    require_pip_enough(needs_of(write(tmp_path, pyproject__toml=PROJECT + more), has_uv=False))


def test_a_lock_that_pip_does_not_read_is_named(tmp_path: Path) -> None:
    write(tmp_path, pyproject__toml=PROJECT)
    assert unenforced_lock(needs_of(tmp_path)) is None
    write(tmp_path, poetry__lock="")
    assert unenforced_lock(needs_of(tmp_path)) == tmp_path / "poetry.lock"
    write(tmp_path, uv__lock="version = 1\n")
    assert unenforced_lock(needs_of(tmp_path, has_uv=False)) == tmp_path / "uv.lock"
    assert unenforced_lock(needs_of(tmp_path)) is None


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    write(tmp_path, pyproject__toml=PROJECT)
    (tmp_path / "requirements.txt").write_text("-r folder.txt\n")
    (tmp_path / "uv.lock").symlink_to(tmp_path / "uv.lock")
    assert needs_of(tmp_path).kind is Kind.PIP
    (tmp_path / ".python-version").mkdir()
    with pytest.raises(ManifestUnreadable, match=r"\.python-version cannot be read: Is a directory"):
        needs_of(tmp_path)
