"""A release is tried beside the live one: real interpreters, deadlines, and what is said of a failure."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from newleaf.core.errors import ProgramMissing
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.slot_errors import PreflightFailed
from newleaf.core.settings.model import Settings
from newleaf.core.settings.sections import App, Update
from newleaf.system import process_table
from newleaf.system.commands import Runner
from newleaf.update.slots.preflight import Preflight
from tests.support.kills import wait_until

RELEASE = Release(CommitId("a" * 40), "1.3.0")
CANARY = "from pathlib import Path\nPath('canary').write_text('')\n"
SECRET = "s3cr3t-canary"


class Trial:
    """A release on the disk, its settings, and what was said while it was tried."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command: tuple[str, ...] | None = ("python", "-m", "shop")
        self.update = Update()
        self.env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder / "src")}
        self.lines: list[str] = []
        self.groups: list[int] = []
        self.write("src/shop/__init__.py", "")
        self.write("src/shop/__main__.py", f"import shop\n{CANARY}")

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run(self) -> str:
        base = Settings(app=App(name="shop"))
        settings = replace(base, app=replace(base.app, command=self.command), update=self.update)
        runner = Runner((SECRET,), self.groups.append)
        return Preflight(RELEASE, self.folder, settings, self.env, runner).run(self.lines.append)

    def fail(self) -> PreflightFailed:
        with pytest.raises(PreflightFailed) as error:
            self.run()
        return error.value


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(tmp_path)


def check_script(trial: Trial, text: str) -> None:
    """Makes `update.preflight_command` a Python program with this text."""
    trial.update = Update(preflight=False, preflight_command=(sys.executable, str(trial.write("c.py", text))))


# --- loading ----------------------------------------------------------------------------


def test_a_release_that_can_be_loaded_is_said_to_be(trial: Trial) -> None:
    assert trial.run() == "shop can be loaded"
    assert not (trial.folder / "canary").exists()


def test_byte_code_is_left_whatever_the_environment_says(trial: Trial) -> None:
    """contracts.md § Traps: bytecode off in the environment spoils every timing."""
    trial.env |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": str(trial.folder / "elsewhere")}
    trial.run()
    made = sorted(path.name.partition(".")[0] for path in trial.folder.glob("src/shop/__pycache__/*.pyc"))
    assert made == ["__init__", "__main__"]
    assert not (trial.folder / "elsewhere").exists()


def test_a_release_that_cannot_be_loaded_fails_with_its_last_words(trial: Trial) -> None:
    trial.write("src/shop/__init__.py", "print('so far')\nimport no_such_thing\n")
    error = trial.fail()
    assert error.message == (
        "1.3.0 (aaaaaaaaa) cannot be started: loading shop failed: "
        "ModuleNotFoundError: No module named 'no_such_thing' (exit 1)"
    )
    assert "newleaf allow aaaaaaaaaaaa" in error.advice
    assert error.exit_code == 1
    assert "so far" in error.lines
    assert error.lines[-1] == "ModuleNotFoundError: No module named 'no_such_thing'"
    assert "so far" in trial.lines


def test_a_release_that_ends_while_it_is_loaded_fails(trial: Trial) -> None:
    trial.write("src/shop/__init__.py", "raise SystemExit(0)\n")
    assert "SystemExit: 0" in trial.fail().message


def test_a_release_that_dies_without_a_word_fails(trial: Trial) -> None:
    trial.write("src/shop/__init__.py", "import os\nos._exit(9)\n")
    assert trial.fail().message.endswith("it said nothing (exit 9)")
    trial.write("src/shop/__init__.py", "import os\nos.kill(os.getpid(), 11)\n")
    assert trial.fail().message.endswith("it said nothing (exit -11)")


def test_the_app_knows_that_it_is_only_tried(trial: Trial) -> None:
    trial.write("src/shop/__init__.py", "import os\nprint(os.environ['NEWLEAF_PREFLIGHT'], os.getcwd())\n")
    trial.run()
    assert trial.lines == [f"1 {trial.folder}"]
    check_script(trial, "import os\nassert os.environ['NEWLEAF_PREFLIGHT'] == '1'\n")
    trial.run()


def test_it_has_the_variables_that_the_command_gives(trial: Trial) -> None:
    trial.command = ("env", "SHOP=1", f"PYTHONPATH={trial.folder / 'lib'}", "python", "-m", "shop2")
    trial.write("lib/shop2.py", "import os\nos.environ['SHOP']\nif __name__ == '__main__': pass\n")
    assert trial.run() == "shop2 can be loaded"


def test_it_runs_with_the_interpreter_of_the_release(trial: Trial) -> None:
    """lessons.md L18."""
    python = trial.write(".venv/bin/python", f'#!/bin/sh\necho own\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    trial.run()
    assert trial.lines == ["own"]


def test_an_interpreter_that_is_gone_is_a_failure(trial: Trial) -> None:
    """lessons.md L16: never another Python instead."""
    (trial.folder / ".venv").symlink_to("../../envs/gone")
    assert ".venv/bin/python" in trial.fail().message


def test_without_any_interpreter_it_is_not_the_releases_fault(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(trial.folder))
    with pytest.raises(ProgramMissing):
        trial.run()


# --- what is tried ----------------------------------------------------------------------


def test_the_setting_names_another_module(trial: Trial) -> None:
    trial.update = Update(preflight="shop.tried")
    assert "No module named 'shop.tried'" in trial.fail().message
    trial.write("src/shop/tried.py", "")
    assert trial.run() == "shop.tried can be loaded"


def test_nothing_is_tried_where_the_setting_says_so(trial: Trial) -> None:
    trial.update = Update(preflight=False)
    trial.write("src/shop/__init__.py", "raise ValueError")
    assert trial.run() == ""


@pytest.mark.parametrize("command", [None, (), ("sh", "-c", "python -m gone"), ("/usr/bin/true",)])
def test_nothing_is_tried_where_nothing_is_named(trial: Trial, command: tuple[str, ...] | None) -> None:
    trial.command = command
    assert trial.run() == ""
    assert trial.groups == []


# --- its own check ----------------------------------------------------------------------


def test_its_own_check_is_run_after_it_was_loaded(trial: Trial) -> None:
    check = trial.write("check.py", "import shop, os\nprint('checked in', os.getcwd())\n")
    trial.update = Update(preflight_command=(sys.executable, str(check)))
    assert trial.run() == f"shop can be loaded; {sys.executable} is content"
    assert trial.lines == [f"checked in {trial.folder}"]
    trial.write("src/shop/__init__.py", "raise ValueError")
    trial.lines.clear()
    assert "loading shop" in trial.fail().message
    assert not any("checked" in line for line in trial.lines)


@pytest.mark.parametrize("status", [1, 2, 75, 255])
def test_any_exit_code_but_0_is_a_failure(trial: Trial, status: int) -> None:
    check_script(
        trial, f"import sys\nprint('first')\nprint('not today', file=sys.stderr)\nsys.exit({status})\n"
    )
    error = trial.fail()
    assert "update.preflight_command failed" in error.message
    assert f"(exit {status})" in error.message
    assert set(error.lines) == {"first", "not today"}


def test_a_check_of_the_release_itself_is_found_in_its_folder(trial: Trial) -> None:
    trial.update = Update(preflight=False, preflight_command=("./check.sh", "now"))
    assert "./check.sh" in trial.fail().message
    check = trial.write("check.sh", '#!/bin/sh\ntest "$1" = now\n')
    assert "Permission denied" in trial.fail().message
    check.chmod(0o755)
    assert trial.run() == "./check.sh is content"


# --- deadlines and output ---------------------------------------------------------------


@pytest.mark.parametrize("where", ["module", "command"])
def test_a_hang_is_stopped_at_the_deadline_with_its_children(trial: Trial, where: str) -> None:
    """lessons.md L22."""
    hang = (
        "import subprocess, sys\nprint('hanging', flush=True)\n"
        "subprocess.run([sys.executable, '-c', 'import signal\\nwhile True: signal.pause()'])\n"
    )
    if where == "module":
        trial.write("src/shop/__init__.py", hang)
    else:
        check_script(trial, hang)
    trial.update = replace(trial.update, preflight_timeout=1.5)
    began = time.monotonic()

    error = trial.fail()

    assert "it took longer than 1.5 s (update.preflight_timeout) and was stopped" in error.message
    assert error.lines == ("hanging",)
    assert time.monotonic() - began < 10
    (group,) = trial.groups
    wait_until(lambda: not members(group), "the end of all that was started")


def members(group: int) -> list[process_table.Process]:
    found = (process_table.find(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return [process for process in found if process and process.group == group and not process.is_zombie]


def test_the_deadline_is_for_both_together(trial: Trial) -> None:
    """lessons.md L22: limits nest."""
    trial.write("src/shop/__init__.py", "import time\ntime.sleep(0.5)\n")
    check = trial.write("check.py", "import time\ntime.sleep(1.8)\n")
    trial.update = Update(preflight_timeout=2.0, preflight_command=(sys.executable, str(check)))
    assert "update.preflight_command failed: it took longer than 2 s" in trial.fail().message


def test_what_it_leaves_running_ends_with_it(trial: Trial) -> None:
    trial.write(
        "src/shop/__init__.py",
        "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n",
    )
    trial.run()
    (group,) = trial.groups
    wait_until(lambda: not members(group), "the end of what was left running")


def test_output_is_kept_and_masked(trial: Trial) -> None:
    """threats.md T29."""
    trial.write(
        "src/shop/__init__.py",
        f"print('token {SECRET}')\nfor number in range(500): print(number)\nraise ValueError('{SECRET}')\n",
    )
    error = trial.fail()
    assert SECRET not in repr((error.message, error.as_record(), error.lines, trial.lines))
    assert any(line.startswith("token ") for line in trial.lines)
    assert len(error.lines) <= 200
    assert "499" in error.lines
