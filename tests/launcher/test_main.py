"""The launcher as a program: by itself, whatever lies in the folder one stands in or in the environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from newleaf.launcher.__main__ import PROVE, main
from newleaf.launcher.programs import LAUNCHER
from tests.support.deployment import wait_until
from tests.support.launchers import make_plan, running, serving, write_launcher

TRAP = "open('sprung', 'w'); raise SystemExit('a trap')"


def call(*arguments: str, argv: tuple[str, ...] = LAUNCHER, **options: object) -> tuple[int, str]:
    done = subprocess.run(
        [*argv, *arguments], capture_output=True, text=True, check=False, timeout=30, **options
    )  # type: ignore[call-overload]
    return done.returncode, done.stdout + done.stderr


def test_asked_to_prove_itself_it_loads_all_and_does_nothing(tmp_path: Path) -> None:
    assert call(PROVE, cwd=tmp_path) == (0, "")
    assert main([PROVE]) == 0
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_the_folder_one_stands_in_is_loaded(tmp_path: Path) -> None:
    """A fetched tree may hold a file with any name."""
    for name in ("json", "select", "typing", "site", "sitecustomize", "datetime"):
        (tmp_path / f"{name}.py").write_text(TRAP)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    code, said = call(".", cwd=tmp_path, env=env)
    assert (code, "launcher.json cannot be used: it is missing" in said) == (7, True), said
    assert not (tmp_path / "sprung").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="how it runs is told by /proc")
def test_called_as_a_module_it_is_the_same_program(state: Path) -> None:
    write_launcher(state, make_plan(state))
    with running(state, argv=(sys.executable, "-m", "newleaf.launcher")) as launcher:
        called = Path(f"/proc/{launcher.pid}/cmdline").read_text().split("\0")
        assert called == [*LAUNCHER, str(state), ""]


def test_standard_descriptors_that_are_closed_are_nobody_elses(state: Path) -> None:
    """Or the lock would be number 0, and what is said would be written into it."""
    write_launcher(state, make_plan(state))
    shut = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *LAUNCHER, str(state))
    with subprocess.Popen(shut) as launcher:
        try:
            wait_until(lambda: serving(state))
            if sys.platform == "linux":
                held = [os.readlink(f"/proc/{launcher.pid}/fd/{number}") for number in range(3)]
                assert held == ["/dev/null"] * 3
        finally:
            launcher.terminate()
        assert launcher.wait(20) == 0
    assert (state / "launcher.lock").read_text() == f"{launcher.pid}\n"


def test_a_record_that_is_no_file_is_said_and_not_traced(state: Path) -> None:
    (state / "launcher.lock").mkdir()
    code, said = call(str(state))
    assert (code, said.startswith("newleaf: it cannot go on: ")) == (1, True), said
    assert "Traceback" not in said
