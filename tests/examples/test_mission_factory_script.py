"""The mission factory's script for who updates by hand, where newleaf and git say what a case needs."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from examples.mission_factory.hosts import SCRIPT
from examples.mission_factory.story import EXAMPLE

OLD, NEW = "a" * 40, "b" * 40
TAB = "\t"
ASKED_FOR_THE_BRANCH = "git ls-remote origin refs/heads/main"


@dataclass
class Seat:
    """A factory's repository with the script, and programs that say what they are told to."""

    folder: Path

    def program(self, name: str, lines: str) -> None:
        file = self.folder / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{lines}\n")
        file.chmod(0o700)

    def git(self, *, remote: str = NEW, head: str = NEW, has_it: bool = True) -> None:
        self.program(
            "git",
            f"""case "$1" in
            ls-remote) echo "git $*" >>../calls; printf '{remote and remote + TAB + "refs/heads/main"}' ;;
            rev-parse) echo {head} ;;
            merge-base) {"true" if has_it else "false"} ;;
            esac""",
        )

    def newleaf(self, *codes: int, running: str | None = NEW) -> None:
        """`update` ends with these codes, one after another, the last again and again."""
        reported = {"commit": running, "version": "1.1.0"} if running else None
        status = json.dumps({"schema": 1, "status": "deployed", "running": reported, "target": None})
        (self.folder / "codes").write_text("".join(f"{code}\n" for code in codes))
        self.program(
            "newleaf",
            f"""[ "$1" = status ] && {{ echo '{status}'; exit; }}
            echo "newleaf $* ${{NEWLEAF_RESTART__MODE-}} ${{NEWLEAF_RESTART__COMMAND-}}" >>../calls
            code=$(head -n 1 ../codes)
            [ "$(wc -l <../codes)" -eq 1 ] || sed -i.bak 1d ../codes
            exit "$code\"""",
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        script = self.folder / "factory" / SCRIPT
        if not script.exists():
            script.parent.mkdir(parents=True)
            script.write_text((EXAMPLE / "app" / SCRIPT).read_text())
        path = f"{self.folder / 'bin'}:/usr/bin:/bin"
        return subprocess.run(
            ["sh", str(script), *words],
            env={"PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def calls(self) -> list[str]:
        file = self.folder / "calls"
        return [line.rstrip() for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def seat(tmp_path: Path) -> Seat:
    made = Seat(tmp_path)
    made.git()
    made.program("sleep", ":")
    made.newleaf(0)
    return made


def test_the_script_is_asked_for_help_then_it_tells_of_every_option_and_does_nothing(seat: Seat) -> None:
    said = seat.run("--help")
    assert said.returncode == 0
    for option in ("--branch", "--restart", "--no-restart", "--wait", "Exit codes"):
        assert option in said.stdout
    assert seat.calls() == []


@pytest.mark.parametrize(
    "words",
    [
        ("--brunch", "main"),
        ("main",),
        ("--branch",),
        ("--wait", "soon"),
        ("--wait", ""),
        ("--wait", "08"),
        ("--restart", "x", "--no-restart"),
    ],
)
def test_the_script_is_used_wrongly_then_2_and_nothing_is_done(seat: Seat, words: tuple[str, ...]) -> None:
    said = seat.run(*words)
    assert (said.returncode, said.stdout, seat.calls()) == (2, "", [])
    assert said.stderr.startswith("update_factory: ")


def test_the_factory_waits_for_a_mission_and_leaves_then_the_script_asks_again_until_it_is_back(
    seat: Seat,
) -> None:
    seat.newleaf(4, 3, 0)
    said = seat.run("--branch", "main", "--wait", "20")
    assert said.returncode == 0, said.stderr
    assert f"back at {NEW}" in said.stdout
    assert seat.calls() == [ASKED_FOR_THE_BRANCH, *["newleaf update --branch main"] * 3]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "newleaf update"),
        (("--restart", "systemctl restart it"), "newleaf update command systemctl restart it"),
        (("--no-restart",), "newleaf update none"),
    ],
)
def test_the_script_is_told_how_to_restart_then_newleaf_is(
    seat: Seat, words: tuple[str, ...], told: str
) -> None:
    assert seat.run(*words).returncode == 0
    assert seat.calls()[-1] == told


def test_nothing_is_to_be_restarted_then_what_runs_is_told_and_not_called_new(seat: Seat) -> None:
    seat.newleaf(0, running=OLD)
    said = seat.run("--no-restart")
    assert (said.returncode, "back at" in said.stdout) == (0, False)
    assert OLD in said.stdout


@pytest.mark.parametrize("running", [None, OLD])
def test_the_factory_is_not_back_in_time_then_1(seat: Seat, running: str | None) -> None:
    seat.newleaf(0, running=running)
    said = seat.run("--wait", "0")
    assert (said.returncode, "is not back" in said.stderr) == (1, True)


@pytest.mark.parametrize("code", [3, 4])
def test_the_update_is_still_owed_in_the_end_then_the_script_says_so_with_newleafs_code(
    seat: Seat, code: int
) -> None:
    seat.newleaf(code)
    said = seat.run("--wait", "0")
    assert (said.returncode, "is owed" in said.stderr) == (code, True)


@pytest.mark.parametrize("code", [1, 5, 6, 7])
def test_newleaf_fails_then_so_does_the_script_though_something_runs(seat: Seat, code: int) -> None:
    seat.newleaf(code)
    assert seat.run().returncode == code


def test_newleaf_holds_the_commit_back_then_1_though_it_ended_with_0(seat: Seat) -> None:
    seat.git(head=OLD, has_it=False)
    seat.newleaf(0, running=OLD)
    said = seat.run()
    assert (said.returncode, "is not installed" in said.stderr) == (1, True)


def test_the_remote_has_no_such_branch_then_1_and_nothing_is_done(seat: Seat) -> None:
    seat.git(remote="")
    said = seat.run("--branch", "trial")
    assert (said.returncode, "has no branch trial" in said.stderr) == (1, True)
    assert seat.calls() == ["git ls-remote origin refs/heads/trial"]
