"""What a host gives to an installation: programs, Pythons, and the children's environment."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from newleaf.core.dependencies.install_errors import PythonMissing
from newleaf.system.commands import Runner
from newleaf.update.dependencies.surroundings import Surroundings
from tests.support.wheels import PYTHON, OfflineHost


@pytest.fixture
def bare(tmp_path: Path) -> OfflineHost:
    return OfflineHost(tmp_path / "bare", has_uv=False)


def surroundings_of(host: OfflineHost, **variables: str) -> Surroundings:
    return Surroundings(Runner(), {**host.environ, "PATH": str(host.programs), **variables})


def minor_of_this() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def version_of_this() -> str:
    return ".".join(platform.python_version_tuple())


def test_children_get_the_users_variables_but_those_that_lead_astray(bare: OfflineHost) -> None:
    astray = {
        "VIRTUAL_ENV": "x",
        "PYTHONPATH": "x",
        "GIT_DIR": "x",
        "NEWLEAF_STATE_DIR": "x",
        "PIP_USER": "1",
    }
    child = surroundings_of(
        bare, **astray, UV_INDEX_URL="https://example.org", LISTEN_FDS="3"
    ).child_environment
    assert not set(astray) & set(child)
    assert "LISTEN_FDS" not in child
    assert child["UV_INDEX_URL"] == "https://example.org"
    assert child["GIT_TERMINAL_PROMPT"] == "0"


def test_a_host_without_a_path_still_has_one(bare: OfflineHost) -> None:
    assert Surroundings(Runner(), {}).child_environment["PATH"] == os.defpath


def test_uv_is_found_on_path_before_the_places_of_its_installers(bare: OfflineHost) -> None:
    """A timer's PATH is shorter than a shell's: without this, pip would take over there."""
    assert surroundings_of(bare).uv is None
    home = Path(bare.environ["HOME"]) / ".local" / "bin"
    home.mkdir(parents=True)
    (home / "uv").write_text("#!/bin/sh\n")
    (home / "uv").chmod(0o755)
    assert surroundings_of(bare).uv == home / "uv"
    own = bare.script("uv", "exit 0")
    assert surroundings_of(bare).uv == own


def test_a_python_says_what_it_is(bare: OfflineHost, tmp_path: Path) -> None:
    python = surroundings_of(bare).ask(bare.programs / "python3", tmp_path)
    assert python
    assert python.version == version_of_this()
    assert python.has_ensurepip
    assert python.site.is_dir()
    assert python.base.is_file()


def test_a_python_that_lies_in_a_folder_with_an_odd_name_says_what_it_is(
    bare: OfflineHost, tmp_path: Path
) -> None:
    folder = tmp_path / 'an "odd" ünï name'
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", folder], check=True)
    python = surroundings_of(bare).ask(folder / "bin" / "python", tmp_path)
    assert python
    assert python.site.is_relative_to(folder)
    assert not python.has_pip


@pytest.mark.parametrize(
    "text",
    [
        "exit 1",
        "echo no json",
        "echo {}",
        "echo []",
        "echo 3",
        "printf 'a\\0b\\0c\\0d\\0e\\0'; exit 1",
        "kill -9 $$",
    ],
)
def test_what_is_no_python_says_nothing(bare: OfflineHost, tmp_path: Path, text: str) -> None:
    assert surroundings_of(bare).ask(bare.script("odd", text), tmp_path) is None
    assert surroundings_of(bare).ask(tmp_path / "gone", tmp_path) is None


def test_the_hosts_python_is_taken_when_it_is_the_one_asked_for(bare: OfflineHost, tmp_path: Path) -> None:
    bare.script("python3.2", "exit 1")
    found = surroundings_of(bare).base_python(tmp_path, "", ">=3.11")
    assert os.path.realpath(found.base) == PYTHON


def test_a_named_python_is_looked_for_first(bare: OfflineHost, tmp_path: Path) -> None:
    (bare.programs / "python3").unlink()
    bare.script("python3", "exit 1")
    (bare.programs / f"python{minor_of_this()}").symlink_to(PYTHON)
    found = surroundings_of(bare).base_python(tmp_path, version_of_this(), "")
    assert found.path == bare.programs / f"python{minor_of_this()}"


def test_no_python_will_do_then_what_is_there_is_said(bare: OfflineHost, tmp_path: Path) -> None:
    with pytest.raises(PythonMissing) as missing:
        surroundings_of(bare).base_python(tmp_path, "3.99", ">=3.11")
    assert missing.value.message == (
        "no Python for the app's environment: 3.99 and >=3.11 is asked for, "
        f"and this host has {version_of_this()}"
    )
    assert ".python-version" in missing.value.advice
