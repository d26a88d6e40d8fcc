"""What pyproject.toml says, and which Python is meant."""

from __future__ import annotations

import pytest

from newleaf.core.dependencies.install_errors import ManifestUnreadable
from newleaf.core.dependencies.manifest import (
    Manifest,
    chosen_extras,
    group_requirements,
    is_python_wanted,
    parse_manifest,
    plain_requirements,
    requirement_name,
    wished_version,
)


def parsed(text: str) -> Manifest:
    return parse_manifest("pyproject.toml", text.encode())


PROJECT = (
    '[project]\nname = "My_App"\nrequires-python = ">=3.11"\ndependencies = ["leaflet>=1", "twig[x]==2"]\n'
)


def test_a_plain_project_says_its_name_its_python_and_its_dependencies() -> None:
    manifest = parsed(PROJECT)
    assert (manifest.name, manifest.requires_python) == ("my-app", ">=3.11")
    assert manifest.dependencies == ("leaflet>=1", "twig[x]==2")
    assert not manifest.is_buildable
    assert not manifest.is_dynamic


def test_an_empty_or_foreign_manifest_says_nothing() -> None:
    assert parsed("") == parsed("[tool.ruff]\nline-length = 100\n") == Manifest()
    assert parsed("project = 3\nbuild-system = []\ntool = 'x'\n") == Manifest()


@pytest.mark.parametrize("content", [b"[project", b"\xff\xfe", b"a = 1\na = 2\n"])
def test_what_is_no_toml_is_named(content: bytes) -> None:
    with pytest.raises(ManifestUnreadable, match=r"apps/pyproject\.toml is not TOML"):
        parse_manifest("apps/pyproject.toml", content)


@pytest.mark.parametrize(
    ("more", "is_buildable"),
    [
        ('[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n', True),
        ('[build-system]\nrequires = ["hatchling"]\n[tool.uv]\npackage = false\n', False),
        ("[tool.uv]\npackage = true\n", True),
        ('[build-system]\nrequires = ["poetry-core"]\n[tool.poetry]\npackage-mode = false\n', False),
    ],
)
def test_whether_the_project_can_be_installed(more: str, is_buildable: bool) -> None:
    assert parsed(PROJECT + more).is_buildable is is_buildable


@pytest.mark.parametrize(
    ("text", "is_dynamic"),
    [
        (PROJECT + '[build-system]\nbuild-backend = "hatchling.build"\n', False),
        (PROJECT + "[build-system]\nrequires = []\n", False),
        (PROJECT + '[build-system]\nbuild-backend = "maturin"\n', True),
        (PROJECT + 'dynamic = ["version"]\n', True),
        (PROJECT + '[tool.hatch.build.hooks.custom]\npath = "build.py"\n', True),
        (PROJECT + '[tool.uv]\ncache-keys = [{ file = "version.txt" }]\n', True),
        (PROJECT + '[tool.poetry.build]\nscript = "build.py"\n', True),
    ],
)
def test_whether_an_installation_can_change_while_the_manifest_does_not(text: str, is_dynamic: bool) -> None:
    assert parsed(text).is_dynamic is is_dynamic


def test_dependencies_that_only_a_build_or_another_program_knows() -> None:
    assert parsed('[project]\nname = "a"\ndynamic = ["dependencies"]\n').dependencies is None
    poetry = '[tool.poetry]\nname = "a"\n[tool.poetry.dependencies]\nleaflet = "^1"\n'
    assert parsed(poetry).poetry_only
    assert not parsed(poetry + '[build-system]\nbuild-backend = "poetry.core.masonry.api"\n').poetry_only


EXTRAS = PROJECT + '[project.optional-dependencies]\nTree_Top = ["oak"]\nroot = ["beet"]\n'


def test_extras_are_chosen_by_name_or_all_together() -> None:
    manifest = parsed(EXTRAS)
    assert chosen_extras(manifest, "all") == ("tree-top", "root")
    assert plain_requirements(manifest, ["tree.top"]) == ["leaflet>=1", "twig[x]==2", "oak"]
    assert plain_requirements(manifest, ()) == ["leaflet>=1", "twig[x]==2"]


def test_an_extra_that_is_not_there_is_named() -> None:
    with pytest.raises(ManifestUnreadable, match="has no optional dependencies called 'fruit'"):
        chosen_extras(parsed(EXTRAS), ["fruit"])


def test_extras_that_only_the_build_knows_are_taken_on_trust_but_never_as_options() -> None:
    manifest = parsed('[project]\nname = "a"\ndynamic = ["optional-dependencies"]\n')
    assert chosen_extras(manifest, ["fruit"]) == ("fruit",)
    for name in ("x] --index-url=http://example.org", "-r", "", "a b"):
        with pytest.raises(ManifestUnreadable):
            chosen_extras(manifest, [name])


def test_groups_include_others() -> None:
    manifest = parsed(
        '[dependency-groups]\nops = ["oak", {include-group = "Base"}]\nbase = ["beet"]\nodd = [1, {x = 2}]\n'
    )
    assert group_requirements(manifest, ["ops"]) == ["oak", "beet"]
    assert group_requirements(manifest, "all") == ["oak", "beet", "beet"]


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        ('a = [{include-group = "b"}]\nb = [{include-group = "a"}]', "includes a, which includes it"),
        ('a = [{include-group = "b"}]', "includes b, which is missing"),
        ("b = []", "has no dependency group called 'a'"),
    ],
)
def test_a_group_that_cannot_be_had_is_named(groups: str, reason: str) -> None:
    with pytest.raises(ManifestUnreadable, match=reason):
        group_requirements(parsed(f"[dependency-groups]\n{groups}\n"), ["a"])


@pytest.mark.parametrize("line", ["--index-url http://example.org/simple", "-e .", "", "a b c", "x\n-e ."])
def test_an_option_is_no_requirement(line: str) -> None:
    """Promise 6: nothing of a fetched tree is ever an argument."""
    with pytest.raises(ManifestUnreadable, match="has a bad requirement"):
        requirement_name(line)
    manifest = Manifest(dependencies=(line,))
    with pytest.raises(ManifestUnreadable):
        plain_requirements(manifest, ())


@pytest.mark.parametrize(
    ("wish", "number"),
    [
        ("3.12", "3.12"),
        ("3", "3"),
        (" 3.12.4 ", "3.12.4"),
        ("cpython@3.12", "3.12"),
        ("cpython-3.12.4-linux-x86_64-gnu", "3.12.4"),
        ("python3.13", "3.13"),
        ("3.14-dev", "3.14"),
        ("pypy3.10", None),
        (">=3.12", None),
        ("/usr/bin/python3", None),
        ("my-virtualenv", None),
        ("", None),
    ],
)
def test_the_number_in_a_wish(wish: str, number: str | None) -> None:
    assert wished_version(wish) == number


@pytest.mark.parametrize(
    ("version", "wish", "requires", "is_wanted"),
    [
        ("3.11.7", "", "", True),
        ("3.11.7", "3.11", ">=3.11", True),
        ("3.11.7", "3.1", "", False),
        ("3.11.7", "3.11.8", "", False),
        ("3.11.7", "", ">=3.12", False),
        ("3.11.7", ">=3.12", "", False),
        ("3.14.0", "3.14", ">=3.11,<3.14", False),
        ("3.11.7", "pypy3.10", "", True),
        ("3.11.7", "", "newest", True),
    ],
)
def test_which_python_is_wanted(version: str, wish: str, requires: str, is_wanted: bool) -> None:
    assert is_python_wanted(version, wish, requires) is is_wanted
