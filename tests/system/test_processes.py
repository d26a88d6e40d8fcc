"""Who holds a lock, and what processes have open. By /proc, and by lsof."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from newleaf.core.errors import ProgramMissing
from newleaf.system import process_table, processes
from newleaf.system.commands import Runner
from newleaf.system.processes import Holder
from tests.support.children import python, read_line

LOCKER = """
import fcntl, os, subprocess, sys
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(descriptor, fcntl.LOCK_SH)
child = subprocess.Popen(["sleep", "60"], pass_fds=(descriptor,))
print(child.pid, flush=True)
sys.stdin.read()
"""

by_lsof = pytest.param("ps", marks=pytest.mark.skipif(not shutil.which("lsof"), reason="there is no lsof"))
by_proc = pytest.param(
    "proc", marks=pytest.mark.skipif(not process_table.HAS_PROC, reason="there is no /proc")
)


@pytest.fixture(params=[by_proc, by_lsof])
def holder_source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_table, "HAS_PROC", request.param == "proc")


def test_holders_are_named_with_heirs_of_the_descriptor(holder_source: None, tmp_path: Path) -> None:
    """lessons.md L35: a child that keeps the descriptor holds the lock after its parent has died."""
    path = tmp_path / "busy.lock"
    with python(LOCKER, str(path), ready=False) as parent:
        child = int(read_line(parent.stdout))
        found = processes.holders(path)
        assert {holder.pid for holder in found} == {parent.pid, child}
        parent.kill()
        parent.wait()
        assert processes.holders(path) == (Holder(child, "sleep"),)


@pytest.mark.skipif(not process_table.HAS_PROC, reason="there is no /proc")
def test_process_that_only_has_the_file_open_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "busy.lock"
    reader = "import sys, time; f = open(sys.argv[1]); print('ready', flush=True); time.sleep(60)"
    path.touch()
    with python(reader, str(path)):
        assert processes.holders(path) == ()


def test_lock_file_that_is_missing_has_no_holders(holder_source: None, tmp_path: Path) -> None:
    assert processes.holders(tmp_path / "busy.lock") == ()


def test_holder_is_named_by_its_program_never_by_its_arguments(tmp_path: Path) -> None:
    """threats.md T29: arguments may hold a secret."""
    path = tmp_path / "busy.lock"
    with python(LOCKER, str(path), "--token=canary", ready=False) as parent:
        read_line(parent.stdout)
        text = ", ".join(map(str, processes.holders(path)))
    assert f"(pid {parent.pid})" in text
    assert "canary" not in text


def test_open_files_are_asked_of_lsof(tmp_path: Path) -> None:
    if not shutil.which("lsof"):
        pytest.skip("no lsof here")
    with (tmp_path / "open.txt").open("w"):
        assert str(tmp_path / "open.txt") in (processes.open_files() or "").splitlines()


def test_without_the_programs_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise ProgramMissing(program="lsof")

    monkeypatch.setattr(Runner, "run", missing)
    assert processes.open_files() is None
    assert processes.command_lines() is None


def test_programs_that_do_not_know_the_question_have_told_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another system's `ps` has no -E: silence is not "nobody"."""
    for name in ("ps", "lsof"):
        (tmp_path / name).write_text("#!/bin/sh\necho usage >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert processes.open_files() is None
    assert processes.command_lines() is None
