"""Which folders living processes use: real processes, looked at through /proc and through tools."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from newleaf.system import occupants, process_table, processes
from newleaf.system.occupants import names_folder, used
from tests.support.kills import wait_until

SLEEP = "import sys; print('ready', flush=True); sys.stdin.read()"


@pytest.fixture(params=["proc", "tools"])
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the facts come from: /proc, or programs as on macOS (with Linux' own words for `ps`)."""
    if request.param == "tools":
        if not shutil.which("lsof") or not processes.open_files():
            pytest.skip("no lsof here")
        monkeypatch.setattr(process_table, "HAS_PROC", False)
        monkeypatch.setattr(processes, "command_lines", linux_command_lines)
    elif not process_table.HAS_PROC:
        pytest.skip("no /proc here")
    return str(request.param)


def linux_command_lines() -> str:
    return subprocess.run(
        ["ps", "axeww", "-o", "command="], capture_output=True, check=True, text=True
    ).stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "releases" / ("a" * 40)
    made.mkdir(parents=True)
    (made / "open.txt").write_text("x")
    return made


@contextmanager
def process(
    *arguments: str, cwd: Path = Path("/"), program: str = sys.executable, **env: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until the block ends."""
    child = subprocess.Popen(
        [program, "-c", SLEEP, *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        yield child
    finally:
        child.communicate()


def test_a_folder_of_nobody_is_not_used(source: str, folder: Path) -> None:
    assert used([folder]) == set()
    assert used([]) == set()


@pytest.mark.usefixtures("source")
def test_a_process_that_stands_in_it_or_below_uses_it_until_it_ends(folder: Path) -> None:
    (folder / "below").mkdir()
    beside = folder.with_name("b" * 40)
    beside.mkdir()
    for place in (folder, folder / "below"):
        with process(cwd=place):
            assert used([folder, beside]) == {folder}
        assert used([folder]) == set()


@pytest.mark.usefixtures("source")
def test_a_process_with_a_file_of_it_open_uses_it(folder: Path) -> None:
    with (folder / "open.txt").open("rb") as file:
        child = subprocess.Popen(
            ["cat", "-", str(folder.parent / "x")], stdin=subprocess.PIPE, pass_fds=[file.fileno()]
        )
        try:
            assert used([folder]) == {folder}
        finally:
            child.kill()
            child.communicate()


@pytest.mark.usefixtures("source")
def test_a_process_that_names_it_uses_it(folder: Path) -> None:
    with process(str(folder / "app.py")):
        assert used([folder]) == {folder}
    with process(PYTHONPATH=f"/lib:{folder}:/x"):
        assert used([folder]) == {folder}
    assert used([folder]) == set()


@pytest.mark.usefixtures("source")
def test_a_process_that_was_started_from_it_uses_it(folder: Path) -> None:
    sleeper = folder / "sleeper"
    shutil.copy(shutil.which("sleep") or "", sleeper)
    child = subprocess.Popen(["sleep", "60"], executable=sleeper, cwd="/", env={})
    try:
        wait_until(lambda: used([folder]) == {folder}, "the program to be seen")
    finally:
        child.kill()
        child.wait()


@pytest.mark.usefixtures("source")
def test_a_folder_that_is_named_by_another_way_is_used(folder: Path, tmp_path: Path) -> None:
    """A home behind a link: what a process was told is not what the kernel would call it."""
    (tmp_path / "way").symlink_to(".")
    named = tmp_path / "way" / "releases" / folder.name
    with process(str(named)):
        assert used([named]) == {named}
    with process(cwd=folder):
        assert used([named]) == {named}
    with process(str(folder)):
        assert used([named]) == {named}


def test_this_process_counts_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be the daemon itself, that updates itself from inside."""
    monkeypatch.chdir(folder)
    assert used([folder]) == {folder}


def test_where_nobody_can_be_looked_at_everything_is_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release that is kept costs little."""
    monkeypatch.setattr(process_table, "HAS_PROC", False)
    answers: list[tuple[Callable[[], str | None], Callable[[], str | None]]] = [
        (lambda: None, lambda: "ps"),
        (lambda: "n/", lambda: None),
    ]
    for open_files, command_lines in answers:
        monkeypatch.setattr(processes, "open_files", open_files)
        monkeypatch.setattr(processes, "command_lines", command_lines)
        assert used([folder]) == {folder}


def test_what_tools_say_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_table, "HAS_PROC", False)
    monkeypatch.setattr(processes, "command_lines", lambda: "python -m app\n")
    monkeypatch.setattr(processes, "open_files", lambda: f"p12\nfcwd\nn{folder}\n")
    assert used([folder]) == {folder}
    monkeypatch.setattr(processes, "open_files", lambda: f"p12\nfcwd\nn{folder}b\n")
    assert used([folder]) == set()


def test_a_process_that_may_not_be_looked_at_is_passed_over(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may end at any moment, or be another user's."""
    proc = tmp_path / "proc"
    (proc / "17").mkdir(parents=True)
    (proc / "18").mkdir()
    (proc / "18" / "cwd").symlink_to(folder)
    (proc / "self").mkdir()
    monkeypatch.setattr(process_table, "PROC", proc)
    monkeypatch.setattr(process_table, "HAS_PROC", True)
    assert occupants.used([folder]) == {folder}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("/r/a", True),
        ("/x/r/a/b.py", True),
        ("A=/x/r/a:/y", True),
        ("/x/r/a\0/y", True),
        ("['/x/r/a', 1]", True),
        ("--path=/x/r/a,/x/r/b", True),
        ("/x/r/a (deleted)", True),
        ("/x/r/ab", False),
        ("/x/r/a.json", False),
        ("/x/r/a-1", False),
        ("/x/r/ab /x/r/a", True),
        ("/x/rr/a", False),
        ("", False),
    ],
)
def test_a_name_is_told_from_a_longer_one(text: str, names: bool) -> None:
    assert names_folder(text, "/r/a") is names
