"""launchd by its program: which calls are made, and which are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from newleaf.core.services.service_errors import ServiceManagerFailed
from newleaf.system.commands import Runner
from newleaf.system.launchctl import Launchd
from tests.support.services import Managers

GUI = f"gui/{os.getuid()}"
DAEMON, UPDATE = "newleaf.a.plist", "newleaf.a.update.plist"


@pytest.fixture
def programs(tmp_path: Path) -> Managers:
    return Managers(tmp_path / "bin", "launchctl")


@pytest.fixture
def launchd(tmp_path: Path, programs: Managers) -> Launchd:
    return Launchd(Runner(), {"PATH": str(programs.folder)}, is_system=False, folder=tmp_path)


def test_it_runs_where_its_program_is(tmp_path: Path, launchd: Launchd) -> None:
    assert launchd.runs()
    assert not Launchd(Runner(), {"PATH": str(tmp_path)}, is_system=False, folder=tmp_path).runs()


def test_what_is_not_loaded_is_allowed_and_loaded(
    tmp_path: Path, launchd: Launchd, programs: Managers
) -> None:
    programs.answer({"print": (113, "")})
    assert launchd.activate([DAEMON], [DAEMON]) == ["newleaf.a is loaded"]
    assert programs.calls() == [
        f"launchctl print {GUI}/newleaf.a",
        f"launchctl enable {GUI}/newleaf.a",
        f"launchctl bootstrap {GUI} {tmp_path / DAEMON}",
    ]
    assert launchd.state(DAEMON) == "not loaded"


def test_what_is_loaded_and_the_same_is_only_looked_at(launchd: Launchd, programs: Managers) -> None:
    assert launchd.activate([DAEMON, UPDATE], []) == []
    assert programs.calls() == [
        f"launchctl print {GUI}/newleaf.a",
        f"launchctl print {GUI}/newleaf.a.update",
    ]
    assert launchd.state(DAEMON) == "loaded"


def test_changed_then_the_updates_are_loaded_anew_and_a_daemon_is_not(
    launchd: Launchd, programs: Managers
) -> None:
    """lessons.md L26"""
    daemon, update = launchd.activate([DAEMON, UPDATE], [DAEMON, UPDATE])
    assert [call.split()[1:3] for call in programs.calls() if "print" not in call] == [
        ["bootout", f"{GUI}/newleaf.a.update"],
        ["enable", f"{GUI}/newleaf.a.update"],
        ["bootstrap", GUI],
    ]
    assert f"launchctl bootout {GUI}/newleaf.a && launchctl bootstrap {GUI}" in daemon
    assert update == "newleaf.a.update goes by the new times"


def test_taken_away_then_only_what_is_loaded_is_booted_out(launchd: Launchd, programs: Managers) -> None:
    programs.answer({f"print {GUI}/newleaf.a": (113, "")})
    launchd.deactivate([UPDATE, DAEMON])
    launchd.forget([UPDATE, DAEMON])
    assert [call for call in programs.calls() if "print" not in call] == [
        f"launchctl bootout {GUI}/newleaf.a.update"
    ]


def test_failure_names_the_call_and_what_it_said(launchd: Launchd, programs: Managers) -> None:
    programs.answer({"print": (113, ""), "bootstrap": (5, "")})
    with pytest.raises(ServiceManagerFailed, match="bootstrap") as raised:
        launchd.activate([DAEMON], [])
    assert raised.value.lines == ("it is not so",)


def test_for_the_machine_the_domain_is_system(tmp_path: Path, programs: Managers) -> None:
    machine = Launchd(Runner(), {"PATH": str(programs.folder)}, is_system=True, folder=tmp_path)
    machine.deactivate([DAEMON])
    assert programs.calls()[-1] == "launchctl bootout system/newleaf.a"
    assert machine.line("print", "system") == "sudo launchctl print system"
