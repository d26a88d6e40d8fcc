"""systemd by its programs: which calls are made, and which are not; a real one is in the end-to-end tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from newleaf.core.services.service_errors import ServiceManagerFailed
from newleaf.system import systemctl
from newleaf.system.commands import Runner
from newleaf.system.systemctl import Systemd
from tests.support.services import Managers

RUNS = "ActiveState=active\nUnitFileState=enabled"
OFF = "ActiveState=inactive\nUnitFileState=disabled"
SHOW = "systemctl --user show --property=LoadState,ActiveState,SubState,UnitFileState"


@pytest.fixture
def programs(tmp_path: Path) -> Managers:
    return Managers(tmp_path / "bin", "systemctl", "loginctl")


@pytest.fixture
def systemd(tmp_path: Path, programs: Managers) -> Systemd:
    environ = {"PATH": str(programs.folder), "XDG_RUNTIME_DIR": str(tmp_path / "run"), "SECRET": "canary"}
    return Systemd(Runner(), environ, is_system=False)


def test_it_runs_for_a_user_whose_socket_is_there(tmp_path: Path, systemd: Systemd) -> None:
    assert not systemd.runs()
    (tmp_path / "run" / "systemd").mkdir(parents=True)
    (tmp_path / "run" / "systemd" / "private").touch()
    assert systemd.runs()


def test_it_runs_for_the_machine_that_was_booted_with_it(
    tmp_path: Path, programs: Managers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemctl, "BOOTED", tmp_path / "booted")
    assert not Systemd(Runner(), {"PATH": str(programs.folder)}, is_system=True).runs()
    (tmp_path / "booted").mkdir()
    assert Systemd(Runner(), {"PATH": str(programs.folder)}, is_system=True).runs()
    assert not Systemd(Runner(), {"PATH": str(tmp_path)}, is_system=True).runs()


def test_new_units_are_read_enabled_and_started_in_order(systemd: Systemd, programs: Managers) -> None:
    programs.answer({"show": (0, OFF)})
    said = systemd.activate(["a.socket", "a.service"], ["a.socket", "a.service"])
    assert programs.calls() == [
        "systemctl --user daemon-reload",
        f"{SHOW} a.socket",
        "systemctl --user enable --now a.socket",
        f"{SHOW} a.service",
        "systemctl --user enable --now a.service",
    ]
    assert said == ["a.socket is enabled, and runs", "a.service is enabled, and runs"]


def test_what_runs_and_is_the_same_is_only_looked_at(systemd: Systemd, programs: Managers) -> None:
    programs.answer({"show": (0, RUNS)})
    assert systemd.activate(["a.service"], []) == []
    assert programs.calls() == [f"{SHOW} a.service"]


def test_changed_then_a_timer_is_started_anew_and_a_daemon_is_not(
    systemd: Systemd, programs: Managers
) -> None:
    """lessons.md L26"""
    programs.answer({"show": (0, RUNS)})
    names = ["a.service", "a-update.timer"]
    service, timer = systemd.activate(names, names)
    assert [call for call in programs.calls() if "restart" in call] == [
        "systemctl --user restart a-update.timer"
    ]
    assert service.endswith("systemctl --user restart a.service")
    assert timer == "a-update.timer goes by the new times"


def test_taken_away_then_stopped_first_and_forgotten_afterwards(systemd: Systemd, programs: Managers) -> None:
    programs.answer({"reset-failed": (1, "")})
    systemd.deactivate(["a.timer", "a.service"])
    systemd.forget(["a.timer", "a.service"])
    assert programs.calls() == [
        "systemctl --user disable --now a.timer a.service",
        "systemctl --user daemon-reload",
        "systemctl --user reset-failed a.timer a.service",
    ]


def test_failure_names_the_call_what_it_said_and_where_to_look(systemd: Systemd, programs: Managers) -> None:
    programs.answer({"show": (0, OFF), "enable": (1, "")})
    with pytest.raises(ServiceManagerFailed) as raised:
        systemd.activate(["a.service"], [])
    error = raised.value
    assert error.message == "systemctl --user enable --now a.service failed (exit 1)"
    assert error.lines == ("it is not so",)
    assert "systemctl --user status a.service" in error.advice


def test_service_that_does_not_start_in_time_is_a_failure(tmp_path: Path, systemd: Systemd) -> None:
    (tmp_path / "bin" / "systemctl").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    hasty = Systemd(Runner(), systemd.environ, is_system=False, patience_seconds=0.2 - systemctl.SECONDS)
    with pytest.raises(ServiceManagerFailed, match="none in time"):
        hasty.deactivate(["a.service"])


def test_for_the_machine_no_user_is_named(programs: Managers) -> None:
    Systemd(Runner(), {"PATH": str(programs.folder)}, is_system=True).deactivate(["a.service"])
    assert programs.calls() == ["systemctl disable --now a.service"]


def test_state_is_told_in_systemds_words(systemd: Systemd, programs: Managers) -> None:
    programs.answer({"show": (0, "UnitFileState=enabled\nActiveState=active\nSubState=running")})
    assert systemd.state("a.service") == "enabled, active, running"
    programs.answer({"show": (1, "")})
    assert systemd.state("a.service") == "unknown"


@pytest.mark.parametrize(("status", "expected"), [(0, True), (1, False)])
def test_lingering_is_asked_for_once_it_is_not_there(
    tmp_path: Path,
    systemd: Systemd,
    programs: Managers,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    expected: bool,
) -> None:
    monkeypatch.setattr(systemctl, "LINGERING", tmp_path)
    programs.answer({"enable-linger": (status, "")})
    assert not systemd.lingers("app")
    assert systemd.let_linger() is expected
    assert programs.calls() == ["loginctl enable-linger"]
    (tmp_path / "app").touch()
    assert systemd.lingers("app")


def test_nobody_who_could_let_it_linger_then_it_does_not(tmp_path: Path, systemd: Systemd) -> None:
    (tmp_path / "bin" / "loginctl").unlink()
    assert not systemd.let_linger()


def test_only_what_systemctl_needs_is_passed_on(tmp_path: Path, systemd: Systemd) -> None:
    program = tmp_path / "bin" / "systemctl"
    program.write_text("#!/bin/sh\n/usr/bin/env > ${0%/*}/seen\n")
    systemd.deactivate(["a.service"])
    seen = (tmp_path / "bin" / "seen").read_text()
    assert f"XDG_RUNTIME_DIR={tmp_path / 'run'}" in seen
    assert "canary" not in seen
