"""Packages packed again from where they are installed, and what uv makes of them without any registry."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, PathDistribution, distribution, version
from pathlib import Path

import pytest

import newleaf
from newleaf.cli.demo.sandbox import Sandbox, program_path
from newleaf.cli.demo.wheels import fill_index, installed_files, needed, write_library, write_wheel
from tests.support.wheels import PYTHON

OWN_FOLDER = Path(newleaf.__file__).parent


def installed(folder: Path, record: str | None, **files: str) -> Distribution:
    """A package as an installer would have left it in `folder`."""
    metadata = folder / "thing-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
    (metadata / "INSTALLER").write_text("someone")
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    if record is not None:
        (metadata / "RECORD").write_text(record)
    return PathDistribution(metadata)


def test_newleaf_and_what_it_needs_are_installed_from_the_index_alone(tmp_path: Path) -> None:
    index = tmp_path / "index"
    number, missing = fill_index(index, OWN_FOLDER)
    assert (number, missing) == (version("newleaf"), ())
    sandbox = Sandbox(tmp_path, program_path({"PATH": "/usr/bin:/bin"}))
    sandbox.run("uv", "venv", "--quiet", f"--python={PYTHON}", "env", cwd=tmp_path)
    pip = (
        "uv",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        f"--find-links={index}",
        "--python=env/bin/python",
    )
    sandbox.run(*pip, f"newleaf=={number}", cwd=tmp_path)
    code = "import newleaf; print(newleaf.__file__); newleaf.Settings; newleaf.ready"
    finished = subprocess.run(
        [tmp_path / "env/bin/python", "-I", "-c", code], capture_output=True, text=True, check=True
    )
    assert finished.stdout.startswith(str(tmp_path / "env"))
    assert subprocess.run([tmp_path / "env/bin/newleaf", "--help"], capture_output=True, check=True).stdout


def test_what_newleaf_needs_is_found_without_its_extras() -> None:
    names = needed("newleaf")
    assert names[0] == "newleaf"
    assert {"click", "msgspec", "packaging", "platformdirs"} <= set(names)
    assert not {"fastapi", "redis"} & set(names)


def test_what_more_is_needed_is_found_with_the_extras_that_are_named() -> None:
    assert "hiredis" not in needed("redis")
    assert {"newleaf", "redis", "hiredis"} <= set(needed("newleaf", "redis[hiredis]>=5"))
    assert {"newleaf", "redis", "hiredis"} <= set(needed("newleaf[redis]"))


def test_compiled_package_keeps_the_tags_that_it_was_installed_by(tmp_path: Path) -> None:
    found = distribution("msgspec")
    wheel = write_wheel(tmp_path, "msgspec", found.version, installed_files(found))
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert wheel.name.startswith(f"msgspec-{found.version}-{python}-")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert f"msgspec-{found.version}.dist-info/RECORD" in names
    assert not [name for name in names if name.endswith(("INSTALLER", ".pyc")) or name.startswith("..")]


def test_package_that_nobody_listed_is_left_to_the_registry(tmp_path: Path) -> None:
    assert installed_files(installed(tmp_path, None, thing__py="x = 1")) == {}


def test_editable_package_is_left_to_the_registry(tmp_path: Path) -> None:
    record = "thing.pth,,\nthing-1.0.dist-info/METADATA,,\nthing-1.0.dist-info/RECORD,,\n"
    assert installed_files(installed(tmp_path, record, thing__pth="/elsewhere")) == {}


def test_what_the_installer_made_is_left_out(tmp_path: Path) -> None:
    record = (
        "thing.py,,\nthing-1.0.dist-info/METADATA,,\nthing-1.0.dist-info/INSTALLER,,\n../../bin/thing,,\n"
    )
    files = installed_files(installed(tmp_path, record, thing__py="x = 1"))
    assert sorted(files) == ["thing-1.0.dist-info/METADATA", "thing.py"]


def test_library_of_one_module_can_be_imported_from_its_wheel(tmp_path: Path) -> None:
    wheel = write_library(tmp_path, "wordtally", "2.0.0", "def words(text):\n    return len(text.split())\n")
    assert wheel.name == "wordtally-2.0.0-py3-none-any.whl"
    code = f"import sys; sys.path.insert(0, {str(wheel)!r}); import wordtally; print(wordtally.words('a b'))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout == "2\n"


@pytest.mark.parametrize("name", ["INSTALLER", "direct_url.json", "RECORD"])
def test_newleaf_is_packed_with_its_metadata_alone(name: str, tmp_path: Path) -> None:
    fill_index(tmp_path, OWN_FOLDER)
    (wheel,) = tmp_path.glob("newleaf-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        found = [entry for entry in archive.namelist() if entry.endswith(f".dist-info/{name}")]
        assert not [entry for entry in archive.namelist() if entry.endswith(".pyc")]
    assert len(found) == (1 if name == "RECORD" else 0)
