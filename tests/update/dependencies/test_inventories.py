"""Whether an environment has all its files, in cases made by hand; real installers: test_faults.py."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import pytest

from newleaf.update.dependencies.inventories import (
    first_half_installed,
    first_loss,
    installed_versions,
    kept_packages,
    misplaced_script,
    take_inventory,
)
from tests.support.wheels import write_wheel

SITE = "lib/python3.11/site-packages"


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An environment with two packages, one of them with a program."""
    venv = tmp_path / ".venv"
    unpack(venv, "leaflet", "1.0.0")
    unpack(venv, "Twig_Tree", "2.0", program="twig")
    return venv


def unpack(venv: Path, name: str, version: str, program: str = "") -> None:
    """Installs as installers do: unpacks, then notes what it added."""
    site, metadata = venv / SITE, f"{name}-{version}.dist-info"
    with zipfile.ZipFile(write_wheel(venv.parent, name, version)) as wheel:
        wheel.extractall(site)
    lines = [f"{metadata}/INSTALLER,,4"]
    (site / metadata / "INSTALLER").write_text("test")
    (venv / "bin").mkdir(exist_ok=True)
    if program:
        (venv / "bin" / program).write_text(f"#!{venv}/bin/python3.11\n")
        lines.append(f"../../../bin/{program},,")
    with (site / metadata / "RECORD").open("a") as record:
        record.write("".join(f"{line}\n" for line in lines))


def test_an_untouched_environment_has_lost_nothing(venv: Path) -> None:
    inventory = take_inventory(venv)
    assert set(inventory.packages) == {f"{SITE}/leaflet-1.0.0.dist-info", f"{SITE}/Twig_Tree-2.0.dist-info"}
    assert first_loss(venv, inventory) is None
    assert first_half_installed(venv) is None


def test_programs_count_and_new_files_do_not(venv: Path) -> None:
    inventory = take_inventory(venv)
    (venv / SITE / "leaflet" / "__pycache__").mkdir()
    (venv / SITE / "mine.pth").write_text("")
    assert first_loss(venv, inventory) is None
    (venv / "bin" / "twig").unlink()
    assert first_loss(venv, inventory) == "files of Twig_Tree 2.0 are missing"
    assert first_half_installed(venv) == "files of Twig_Tree 2.0 are missing"


def test_byte_code_is_nobodys_loss(venv: Path) -> None:
    record = venv / SITE / "leaflet-1.0.0.dist-info" / "RECORD"
    record.write_text(record.read_text() + "leaflet/__pycache__/__init__.cpython-311.pyc,,\n")
    assert first_half_installed(venv) is None
    assert first_loss(venv, take_inventory(venv)) is None


def test_a_file_that_never_was_is_not_missed_afterwards(venv: Path) -> None:
    """Some wheels name files that they do not have; installing them again would never end."""
    record = venv / SITE / "leaflet-1.0.0.dist-info" / "RECORD"
    record.write_text(record.read_text() + 'leaflet/"odd, name".py,sha256=x,9\n')
    assert first_half_installed(venv) == "files of leaflet 1.0.0 are missing"
    assert first_loss(venv, take_inventory(venv)) is None


def test_names_in_quotes_are_read(venv: Path) -> None:
    odd = venv / SITE / "leaflet" / 'a, "b".py'
    odd.write_text("")
    record = venv / SITE / "leaflet-1.0.0.dist-info" / "RECORD"
    record.write_text(record.read_text() + '"leaflet/a, ""b"".py",sha256=x,0\n\n')
    inventory = take_inventory(venv)
    assert first_loss(venv, inventory) is None
    odd.unlink()
    assert first_loss(venv, inventory) == "files of leaflet 1.0.0 are missing"


def test_a_folder_is_listed_again_only_when_something_came_or_went(venv: Path) -> None:
    """A loss behind an unchanged folder cannot be; an inventory that did not know the time still finds it."""
    inventory = take_inventory(venv)
    (venv / SITE / "leaflet" / "__init__.py").unlink()
    assert first_loss(venv, inventory) == "files of leaflet 1.0.0 are missing"
    same_time = {folder: os.stat(venv / folder).st_ctime_ns for folder in inventory.folders}
    inventory.folders.update(same_time)
    assert first_loss(venv, inventory) is None
    inventory.folders.clear()
    assert first_loss(venv, inventory) == "files of leaflet 1.0.0 are missing"


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda metadata: (metadata / "RECORD").unlink(), "leaflet 1.0.0 has no readable RECORD"),
        (
            lambda metadata: (metadata / "RECORD").write_bytes(b"\xff\xfe,,"),
            "leaflet 1.0.0 has no readable RECORD",
        ),
        (lambda metadata: (metadata / "RECORD").write_text(""), "leaflet 1.0.0 is half installed"),
        (lambda metadata: (metadata / "METADATA").write_text(""), "files of leaflet 1.0.0 are cut short"),
        (lambda metadata: (metadata / "METADATA").unlink(), "files of leaflet 1.0.0 are missing"),
    ],
)
def test_what_was_not_installed_to_the_end_is_seen(venv: Path, damage: object, found: str) -> None:
    """lessons.md L16."""
    assert callable(damage)
    damage(venv / SITE / "leaflet-1.0.0.dist-info")
    assert first_half_installed(venv) == found


def test_a_kill_before_the_record_was_finished_is_seen(venv: Path) -> None:
    """lessons.md L16: the wheel's own RECORD lies there, without the programs that were still to be made."""
    shutil.rmtree(venv / SITE / "leaflet")
    shutil.rmtree(venv / SITE / "leaflet-1.0.0.dist-info")
    with zipfile.ZipFile(venv.parent / "leaflet-1.0.0-py3-none-any.whl") as wheel:
        wheel.extractall(venv / SITE)
    assert first_half_installed(venv) == "leaflet 1.0.0 is half installed"


def test_packages_that_were_replaced_are_not_among_the_kept(venv: Path) -> None:
    inventory = take_inventory(venv)
    shutil.rmtree(venv / SITE / "leaflet-1.0.0.dist-info")
    assert list(kept_packages(venv, inventory).packages) == [f"{SITE}/Twig_Tree-2.0.dist-info"]


def test_versions_are_spelled_as_in_a_lock(venv: Path) -> None:
    assert installed_versions(venv) == {("leaflet", "1.0.0"), ("twig-tree", "2.0")}
    assert installed_versions(venv.parent / "none") == frozenset()


def test_a_program_of_another_environment_is_found(venv: Path) -> None:
    (venv / "bin" / "activate").write_text("# a text\n")
    (venv / "bin" / "shell").write_text("#!/bin/sh\n")
    (venv / "bin" / "empty").write_text("")
    assert misplaced_script(venv) is None
    (venv / "bin" / "zebra").write_text("#!/srv/app/.venv/bin/python -E\n")
    assert misplaced_script(venv) == "zebra starts /srv/app/.venv/bin/python"


def test_a_hundred_packages_are_looked_through_in_a_blink(venv: Path) -> None:
    """Reported, never failed by a time: numbers.md."""
    for number in range(100):
        unpack(venv, f"package{number}", "1.0")
    assert first_loss(venv, take_inventory(venv)) is None
