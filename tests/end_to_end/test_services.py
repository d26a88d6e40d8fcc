"""Services under a real systemd, and under a keeper that goes by launchd's rules (lessons.md L28, L3).

Exactly one daemon runs after any end of it, or none where the end was meant; never two.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from newleaf.core.services.plan import make_plan
from newleaf.core.services.subject import Subject, Wish
from newleaf.core.settings.sections import Restart
from tests.support.kills import wait_until
from tests.support.launchd_keeper import LaunchdKeeper
from tests.support.real_systemd import RealSystemd, real_systemd, why_not
from tests.support.services import subject, write_newleaf, write_program

DAEMON = """\
import os, signal, sys, time
end, folder = sys.argv[1], sys.argv[2]
with open(os.path.join(folder, "starts"), "a") as starts:
    starts.write(f"{os.getpid()}\\n")
with open(os.path.join(folder, "starts")) as starts:
    is_first = len(starts.readlines()) == 1
if is_first and end == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if is_first:
    sys.exit(int(end))
time.sleep(600)
"""
ENDS = ("0", "1", "42", "killed")
MODES = {"exit": "on-failure, SuccessfulExit false", "sigterm": "always, KeepAlive true"}
STAYS_DOWN = {("0", "exit")}
"""An end with 0 was meant, unless the mode says that newleaf ends the daemon so."""
NEAR_SECONDS = 0.2
"""So long a second daemon is waited for that must not come."""


@pytest.fixture(scope="module")
def systemd() -> Iterator[RealSystemd]:
    if reason := why_not():
        pytest.skip(reason)
    with real_systemd() as running:
        yield running


def daemon_of(folder: Path, end: str, mode: str) -> Subject:
    """An app whose daemon comes to this end when it is started for the first time, and stays at the next."""
    state = folder / f"state-{end}-{mode}"
    state.mkdir()
    program = write_program(folder / "daemon", DAEMON)
    return subject(
        state,
        name=f"end-{end}-{mode}",
        restart=Restart(mode=mode),  # type: ignore[arg-type]
        command=(str(program), end, str(state)),
        newleaf=write_newleaf(folder / "newleaf"),
        folder=state,
        search=os.environ["PATH"],
        stop_seconds=5.0,
    )


def starts(made: Subject) -> int:
    """How often the daemon was started."""
    path = made.state / "starts"
    return len(path.read_text().splitlines()) if path.exists() else 0


def alive(made: Subject) -> int:
    """How many of the daemon's processes there are, as the machine sees it."""
    found = 0
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            found += os.fsencode(made.command[0]) in words and os.fsencode(made.state) in words
    return found


def expected_starts(end: str, mode: str) -> int:
    return 1 if (end, mode) in STAYS_DOWN else 2


def test_any_end_under_systemd_then_one_daemon_or_none_where_it_was_meant(systemd: RealSystemd) -> None:
    """lessons.md L28: every exit status under `on-failure` and under `always`, all at once."""
    made = {(end, mode): daemon_of(systemd.home, end, mode) for end in ENDS for mode in MODES}
    units = []
    for each in made.values():
        for file in make_plan(each, Wish("systemd")):
            (systemd.units / file.name).write_bytes(file.content)
            units.append(file.name)
    systemd.systemctl("daemon-reload")
    systemd.systemctl("start", "--no-block", *units)
    for case, each in made.items():
        wait_until(lambda: starts(each) == expected_starts(*case), f"{case}: the last start")  # noqa: B023
    time.sleep(NEAR_SECONDS)
    assert {case: (starts(each), alive(each)) for case, each in made.items()} == {
        case: (expected_starts(*case), expected_starts(*case) - 1) for case in made
    }
    systemd.systemctl("stop", *units)
    assert not any(alive(each) for each in made.values())


DRIVER = """\
import sys
from newleaf.system import services
program = sys.argv.pop(1)
services.own_newleaf = lambda: (program,)
from newleaf.cli.main import main
main()
"""
"""newleaf, except that the services it writes start a program that stands in for it."""


@dataclass
class App:
    """An app on the host of a real systemd, in folders with names that must be escaped."""

    systemd: RealSystemd
    name: str
    odd: str = """ it's "100%h" $HOME"""

    def __post_init__(self) -> None:
        self.folder = self.systemd.home / f"{self.name}{self.odd}"
        self.state = self.folder / "state"
        self.state.mkdir(parents=True, mode=0o700)
        (self.folder / "app" / ".git").mkdir(parents=True)
        self.newleaf = write_newleaf(self.folder / "newleaf")[0]
        write_program(self.systemd.home / "bin" / "loginctl", "raise SystemExit(1)")
        self.settings(command="daemon")

    def settings(self, **app: object) -> None:
        lines = [f"{key} = {json.dumps(value)}" for key, value in {"name": self.name, **app}.items()]
        (self.folder / "app" / "newleaf.toml").write_text("\n".join(["[app]", *lines, ""]))

    def service(self, *words: str) -> dict[str, Any]:
        """Calls `newleaf service`, as somebody who stands in the checkout."""
        driver = [sys.executable, "-c", DRIVER, self.newleaf]
        scope = ["--user", "--systemd", "--json"]
        path = f"{self.systemd.home / 'bin'}:{os.environ['PATH']}"
        done = self.systemd.run(
            *["env", "-C", str(self.folder / "app"), f"PATH={path}"],
            *[*driver, "--state-dir", str(self.state), "service", *words, *scope],
        )
        assert done.returncode == 0, done.stdout + done.stderr
        record: dict[str, Any] = json.loads(done.stdout)
        return record

    def calls(self, verb: str) -> list[str]:
        """What newleaf was called with: a process id and a number of sockets each."""
        path = self.state / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.partition(" ")[2] for line in lines if line.startswith(f"{verb} ")]

    def unit(self, end: str) -> str:
        return f"newleaf-{self.name}{end}"


def test_installed_then_it_runs_and_a_second_time_changes_nothing_and_nothing_is_left(
    systemd: RealSystemd,
) -> None:
    app = App(systemd, "whole")
    units = [app.unit(end) for end in (".service", "-update.service", "-update.timer")]
    first = app.service("install", "--timer", "06:00,18:00")
    assert [Path(path).name for path in first["written"]] == units
    assert [systemd.show(unit, "ActiveState") for unit in units] == ["active", "inactive", "active"]
    assert [systemd.show(unit, "UnitFileState") for unit in units] == ["enabled", "static", "enabled"]
    assert systemd.show(app.unit("-update.timer"), "NextElapseUSecRealtime")
    assert len(app.calls("run")) == 1

    second = app.service("install", "--timer", "06:00,18:00")
    assert (second["written"], second["removed"], second["done"]) == ([], [], [])
    assert len(app.calls("run")) == 1
    assert app.service("show")["services"][units[0]] == "enabled, active, running"

    removed = app.service("uninstall")
    assert {Path(path).name for path in removed["removed"]} == set(units)
    assert not [path for path in systemd.units.rglob("*") if app.name in path.name]
    assert {systemd.show(unit, "LoadState") for unit in units} == {"not-found"}
    assert app.service("uninstall")["removed"] == []


def test_reloaded_then_newleaf_becomes_itself_again_in_the_same_process(systemd: RealSystemd) -> None:
    app = App(systemd, "reloaded")
    app.service("install")
    systemd.systemctl("reload", app.unit(".service"))
    wait_until(lambda: len(app.calls("run")) == 2, "newleaf to be there again")
    assert len({call.split()[0] for call in app.calls("run")}) == 1
    assert systemd.show(app.unit(".service"), "ActiveState") == "active"
    app.service("uninstall")


def test_changed_unit_then_what_runs_is_left_alone_and_the_way_is_said(systemd: RealSystemd) -> None:
    """lessons.md L26"""
    app = App(systemd, "changed")
    app.service("install", "--timer", "1h")
    app.settings(command="daemon", stop_seconds=90)
    said = app.service("install")
    assert [Path(path).name for path in said["removed"]] == [
        app.unit("-update.timer"),
        app.unit("-update.service"),
    ]
    [line] = said["done"]
    assert line.endswith(f"systemctl --user restart {app.unit('.service')}")
    assert len(app.calls("run")) == 1
    assert systemd.show(app.unit(".service"), "TimeoutStopUSec") == "1min 40s"
    app.service("uninstall")


def test_first_connection_then_the_daemon_is_started_with_the_socket(systemd: RealSystemd) -> None:
    app = App(systemd, "sock", odd=" 100%h $HOME")
    app.settings(command="daemon", listen=["unix:s"])
    app.service("install", "--socket")
    systemd.systemctl("stop", app.unit(".service"))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(app.state / "s"))
        wait_until(lambda: len(app.calls("run")) == 2, "newleaf to be started")
    assert {call.split()[1] for call in app.calls("run")} == {"1"}
    app.service("uninstall")
    assert not (app.state / "s").exists()


def test_update_locked_out_or_waiting_is_no_failed_unit(systemd: RealSystemd) -> None:
    app = App(systemd, "update")
    app.settings()
    app.service("install", "--timer", "12h")
    unit = app.unit("-update.service")
    results = {}
    for status in (0, 3, 4, 1, 7):
        systemd.systemctl("set-environment", f"EXIT={status}")
        systemd.systemctl("start", unit, check=False)
        results[status] = systemd.show(unit, "Result")
    assert results == {0: "success", 3: "success", 4: "success", 1: "exit-code", 7: "exit-code"}
    app.service("uninstall")
    assert systemd.show(unit, "LoadState") == "not-found"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("end", ENDS)
def test_any_end_under_launchds_rules_then_one_daemon_or_none(tmp_path: Path, end: str, mode: str) -> None:
    """lessons.md L28: every exit status under `SuccessfulExit` false and under `KeepAlive` true."""
    made = daemon_of(tmp_path, end, mode)
    (made.state / "logs").mkdir()
    [file] = make_plan(made, Wish("launchd"))
    with LaunchdKeeper(file.content, scale=0.02).kept() as keeper:
        wait_until(lambda: starts(made) == expected_starts(end, mode), "the last start")
        if (end, mode) in STAYS_DOWN:
            wait_until(lambda: keeper.rests, "the keeper to have done")
        assert (starts(made), len(keeper.starts)) == (expected_starts(end, mode),) * 2
        if sys.platform == "linux":
            assert alive(made) == expected_starts(end, mode) - 1
        if len(keeper.starts) == 2:
            assert keeper.starts[1] - keeper.starts[0] >= 0.2
