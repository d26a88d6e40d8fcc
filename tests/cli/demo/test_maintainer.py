"""The demo's app: every release is whole, and each differs from the one before as the story says."""

from __future__ import annotations

import ast
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from newleaf.cli.demo.acts import LIBRARY, hire
from newleaf.cli.demo.maintainer import VERSIONED, Maintainer, release_files
from newleaf.cli.demo.sandbox import Sandbox, program_path

RELEASES = {"1.0.0": "1.0.0", "1.1.0": "2.0.0", "1.2.0": "2.0.0", "1.2.1": "2.0.1"}
"""Each release, and the library that it needs."""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Maintainer, dict[str, str]]:
    """All releases, and their commits."""
    folder = tmp_path_factory.mktemp("maintainer")
    (folder / "tmp").mkdir()
    maintainer = hire(Sandbox(folder, program_path(os.environ)))
    maintainer.set_up()
    commits = {
        version: maintainer.publish(version, library, f"Release {version}")
        for version, library in RELEASES.items()
    }
    return maintainer, commits


def show(maintainer: Maintainer, version: str, path: str) -> str:
    return maintainer.sandbox.run("git", "show", f"v{version}:{path}", cwd=maintainer.remote).text


def locked(maintainer: Maintainer, version: str) -> dict[str, str]:
    lock: dict[str, Any] = tomllib.loads(show(maintainer, version, "uv.lock"))
    return {package["name"]: package["version"] for package in lock["package"]}


@pytest.mark.parametrize("version", RELEASES)
def test_python_of_every_release_can_be_read(version: str) -> None:
    for name, text in release_files(version).items():
        if name.endswith(".py"):
            ast.parse(text, name)


def test_first_release_has_what_an_app_needs() -> None:
    names = release_files("1.0.0")
    assert {".gitignore", "newleaf.toml", "pyproject.toml", "notes/__main__.py"} <= set(names)
    assert set(VERSIONED) <= set(names)


def test_remote_has_what_was_pushed_a_commit_and_a_tag_each(
    published: tuple[Maintainer, dict[str, str]],
) -> None:
    maintainer, commits = published
    refs = {line.split()[1]: line.split()[0] for line in maintainer.refs(maintainer.remote)}
    assert maintainer.refs(maintainer.clone) == maintainer.refs(maintainer.remote)
    assert refs["refs/heads/main"] == commits["1.2.1"]
    assert {name: refs[f"refs/tags/v{name}"] for name in commits} == commits


@pytest.mark.parametrize("version", RELEASES)
def test_release_says_its_version_and_locks_its_library(
    version: str, published: tuple[Maintainer, dict[str, str]]
) -> None:
    maintainer, _ = published
    assert tomllib.loads(show(maintainer, version, "pyproject.toml"))["project"]["version"] == version
    assert f'VERSION = "{version}"' in show(maintainer, version, "notes/__init__.py")
    packages = locked(maintainer, version)
    assert packages["wordtally"] == RELEASES[version]
    assert packages["newleaf"] == maintainer.facts["newleaf"]
    assert RELEASES[version] in LIBRARY


def test_lock_names_no_registry(published: tuple[Maintainer, dict[str, str]]) -> None:
    maintainer, _ = published
    assert "http" not in show(maintainer, "1.2.1", "uv.lock")


def test_new_code_cannot_do_with_the_old_library_nor_the_old_with_the_new() -> None:
    def has(library: str, name: str) -> bool:
        return f"def {name}(" in LIBRARY[library]

    for version, library in RELEASES.items():
        code = release_files("1.2.0" if version == "1.2.1" else version)["notes/store.py"]
        for name in ("letters", "words"):
            assert not (f"wordtally.{name}(" in code and not has(library, name))
    assert not has("2.0.0", "letters")
    assert not has("1.0.0", "words")


def test_last_release_brings_the_failed_migration_mended_under_its_name(
    published: tuple[Maintainer, dict[str, str]],
) -> None:
    maintainer, _ = published
    path = "migrations/v1.2.0/001_tags_apart.py"
    assert "commit()" in show(maintainer, "1.2.0", path)
    assert "commit()" not in show(maintainer, "1.2.1", path)
    assert Path(path).name in show(maintainer, "1.2.1", "migrations/v1.2.0")
