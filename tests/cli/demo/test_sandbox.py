"""A folder of its own, an environment from nothing, and nobody left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from newleaf.cli.demo.sandbox import Sandbox, newleaf_program, program_path, sandbox, wait_until
from newleaf.core.errors import CommandFailed, DemoStuck, ProgramMissing
from newleaf.system import process_table

STARTS_ANOTHER = (
    "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
    "open('begun', 'w').close(); time.sleep(60)"
)


@pytest.fixture
def made(tmp_path: Path) -> Sandbox:
    (tmp_path / "tmp").mkdir()
    return Sandbox(tmp_path, program_path(os.environ))


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_programs_see_nothing_of_the_user_but_programs(
    made: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NEWLEAF_STATE_DIR", "GIT_DIR", "XDG_CONFIG_HOME", "VIRTUAL_ENV", "SOME_TOKEN"):
        monkeypatch.setenv(name, "/the/users/own")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.org:8080")
    seen = dict(
        line.split("=", 1) for line in made.run("env", cwd=made.folder).text.splitlines() if "=" in line
    )
    assert "/the/users/own" not in seen.values()
    assert seen["HOME"] == str(made.folder)
    assert seen["TMPDIR"] == str(made.folder / "tmp")
    assert seen["HTTPS_PROXY"] == "http://proxy.example.org:8080"


def test_failing_program_is_an_error_unless_that_is_looked_at(made: Sandbox) -> None:
    assert made.run("false", cwd=made.folder, check=False).status == 1
    with pytest.raises(CommandFailed):
        made.run("false", cwd=made.folder)


def test_git_and_uv_are_found_and_newleaf_too(made: Sandbox) -> None:
    for argv in (["git", "--version"], ["uv", "--version"], [*newleaf_program(), "--help"]):
        assert made.run(*argv, cwd=made.folder).text


def test_without_git_or_uv_it_says_so_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    monkeypatch.setattr("newleaf.update.dependencies.surroundings.UV_PLACES", ())
    monkeypatch.setenv("PATH", str(programs))
    for program in ("git", "uv"):
        with pytest.raises(ProgramMissing, match=f"the program {program} "), sandbox(keep=False):
            raise AssertionError
        (programs / program).write_text("#!/bin/sh\n")
        (programs / program).chmod(0o755)
    assert program_path(os.environ).startswith(str(programs))
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_folder_is_private_and_goes_with_the_sandbox() -> None:
    with sandbox(keep=False) as made:
        assert made.folder.stat().st_mode & 0o777 == 0o700
        (made.folder / "read-only").mkdir()
    assert not made.folder.exists()


def test_folder_stays_when_it_is_to_be_kept() -> None:
    with sandbox(keep=True) as made:
        pass
    assert made.folder.is_dir()


def test_folder_goes_when_the_demo_is_asked_to_end_and_signals_are_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as left, sandbox(keep=False) as made:
        os.kill(os.getpid(), signal.SIGTERM)
    assert left.value.code == 128 + signal.SIGTERM
    assert not made.folder.exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_started_program_ends_with_all_that_it_has_started(made: Sandbox) -> None:
    with made.started([sys.executable, "-c", STARTS_ANOTHER], made.folder) as child:
        wait_until((made.folder / "begun").exists, "the program to begin")
        group = child.pid
        assert len(made.left_running()) == 2
    wait_until(lambda: not made.left_running(), "the group to end")
    assert process_table.find(group) is None


def test_process_that_outlives_its_end_is_told(made: Sandbox) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as child:
        made.note_group(child.pid)
        assert made.left_running() == [child.pid]
        child.kill()
    assert made.left_running() == []


def test_what_is_found_is_returned_and_what_never_comes_is_an_error() -> None:
    answers = iter(["", "", "here"])
    assert wait_until(lambda: next(answers), "it") == "here"
    with pytest.raises(DemoStuck, match=r"waited 0\.01 s in vain for rain"):
        wait_until(lambda: None, "rain", seconds=0.01)
