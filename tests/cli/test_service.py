"""`newleaf service`: shows, asks, writes, says what to type, and takes away what is newleaf's own."""

from __future__ import annotations

import io
import plistlib
import sys
from pathlib import Path

import pytest

from newleaf.system import systemctl
from tests.support.deployment import Deployment, settings_text
from tests.support.services import Managers
from tests.support.terminal import Terminal

SERVICE = "newleaf-sessions.service"


@pytest.fixture
def programs(host: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Managers:
    """Stand-ins for every service manager: the machine's own are never called."""
    made = Managers(tmp_path / "bin", "systemctl", "loginctl", "launchctl")
    monkeypatch.setenv("PATH", str(made.folder))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(systemctl, "LINGERING", tmp_path / "linger")
    (host.app / "newleaf.toml").write_text(app_file())
    return made


def app_file(mode: str | None = None, **app: object) -> str:
    """The app's file; without a mode restarts are the launcher's."""
    text = settings_text(app={"command": ".venv/bin/python -m app", **app})
    return text.replace('mode = "none"', f'mode = "{mode}"' if mode else 'budget = "5 in 30m"')


@pytest.fixture
def home(terminal: Terminal, host: Deployment, programs: Managers) -> Path:
    return host.home


@pytest.fixture
def units(home: Path) -> Path:
    return home / ".config" / "systemd" / "user"


def start_systemd(tmp_path: Path) -> None:
    """From now on there is a systemd to speak to."""
    (tmp_path / "run" / "systemd").mkdir(parents=True)
    (tmp_path / "run" / "systemd" / "private").touch()


USER = ("--systemd", "--user")


def test_no_systemd_to_speak_to_then_units_are_written_and_the_rest_is_said(
    terminal: Terminal, units: Path, programs: Managers
) -> None:
    answer = terminal.run("service", "install", *USER, "--timer", "12h")
    assert (answer.code, answer.outcome, answer.record["running"]) == (0, "ok", False)
    assert [Path(path).parent for path in answer.record["written"]] == [units] * 3
    assert "ExecStart=" in (units / SERVICE).read_text()
    reload, enable, linger = answer.record["steps"]
    assert reload == "systemctl --user daemon-reload"
    assert enable == f"systemctl --user enable --now {SERVICE} newleaf-sessions-update.timer"
    assert linger.startswith("sudo loginctl enable-linger ")
    assert programs.calls() == []

    lines = terminal.lines("service", "install", *USER, "--timer", "12h")
    assert "nothing to change: it is all there" in lines
    assert "no systemd of this user can be spoken to from here; the files alone start nothing" in lines


def test_systemd_to_speak_to_then_it_runs_and_lingers(
    terminal: Terminal, units: Path, programs: Managers, tmp_path: Path
) -> None:
    start_systemd(tmp_path)
    lines = terminal.lines("service", "install", *USER)
    assert f"written: {units / SERVICE}" in lines
    assert f"{SERVICE} is enabled, and runs" in lines
    assert lines[-1].endswith("run without a login from now on (loginctl enable-linger)")
    assert programs.calls()[-2:] == [f"systemctl --user enable --now {SERVICE}", "loginctl enable-linger"]


def test_lingering_refused_then_what_to_type_is_said(
    terminal: Terminal, units: Path, programs: Managers, tmp_path: Path
) -> None:
    start_systemd(tmp_path)
    programs.answer({"enable-linger": (1, "")})
    [step] = terminal.run("service", "install", *USER).record["steps"]
    assert step.startswith("sudo loginctl enable-linger ")


def test_service_that_does_not_start_is_failed_with_its_reason(
    terminal: Terminal, units: Path, programs: Managers, tmp_path: Path
) -> None:
    start_systemd(tmp_path)
    programs.answer({"enable": (1, "")})
    answer = terminal.run("service", "install", *USER)
    assert (answer.code, answer.outcome) == (1, "failed")
    assert answer.record["errors"][0]["lines"] == ["it is not so"]
    assert (units / SERVICE).exists()


def test_timer_no_longer_asked_for_is_taken_away(terminal: Terminal, units: Path) -> None:
    terminal.run("service", "install", *USER, "--timer", "12h")
    answer = terminal.run("service", "install", *USER)
    assert [Path(path).name for path in answer.record["removed"]] == [
        "newleaf-sessions-update.timer",
        "newleaf-sessions-update.service",
    ]
    assert [path.name for path in units.iterdir()] == [SERVICE]


def test_shown_then_nothing_is_written_and_all_is_said(
    terminal: Terminal, units: Path, programs: Managers, tmp_path: Path
) -> None:
    lines = terminal.lines("service", "show", *USER)
    assert lines[0] == f"{units / SERVICE} will be written"
    assert "  Type=notify" in lines
    assert not units.exists()
    start_systemd(tmp_path)
    terminal.run("service", "install", *USER)
    programs.answer({"show": (0, "UnitFileState=enabled\nActiveState=active\nSubState=running")})
    lines = terminal.lines("service", "show", *USER)
    assert lines[0] == f"{units / SERVICE} is there"
    assert lines[-1] == f"{SERVICE}: enabled, active, running"


def test_removed_then_stopped_first_and_nothing_is_left(
    terminal: Terminal, units: Path, programs: Managers, tmp_path: Path
) -> None:
    start_systemd(tmp_path)
    terminal.run("service", "install", *USER, "--timer", "06:00")
    programs.calls()
    terminal.run("service", "uninstall", *USER)
    names = f"newleaf-sessions-update.timer newleaf-sessions-update.service {SERVICE}"
    assert programs.calls()[0] == f"systemctl --user disable --now {names}"
    assert list(units.iterdir()) == []
    assert terminal.lines("service", "uninstall", *USER) == ["there is nothing to take away"]


def test_removed_by_name_then_no_settings_are_needed(
    terminal: Terminal, units: Path, host: Deployment
) -> None:
    terminal.run("service", "install", *USER)
    (host.app / "newleaf.toml").write_text("[app\n")
    answer = terminal.run("service", "uninstall", *USER, "--app", "sessions")
    assert [Path(path).name for path in answer.record["removed"]] == [SERVICE]


@pytest.mark.parametrize("name", ["../sessions", "Sessions", "a b"])
def test_name_that_no_app_has_is_usage(terminal: Terminal, units: Path, name: str) -> None:
    assert terminal.run("service", "uninstall", *USER, "--app", name).code == 2


def test_file_of_somebody_else_is_named_and_left(terminal: Terminal, units: Path) -> None:
    units.mkdir(parents=True)
    (units / SERVICE).write_text("[Service]\n")
    answer = terminal.run("service", "install", *USER)
    assert (answer.code, answer.record["errors"][0]["code"]) == (2, "service_file_foreign")
    answer = terminal.run("service", "uninstall", *USER)
    assert (answer.code, answer.record["foreign"]) == (0, [str(units / SERVICE)])
    assert (units / SERVICE).read_text() == "[Service]\n"


def test_symlink_in_a_units_place_is_refused_and_the_other_file_untouched(
    terminal: Terminal, units: Path, tmp_path: Path
) -> None:
    """threats.md T20"""
    other = tmp_path / "other"
    other.write_text("precious")
    units.mkdir(parents=True)
    (units / SERVICE).symlink_to(other)
    assert terminal.run("service", "install", *USER).record["errors"][0]["code"] == "service_file_foreign"
    terminal.run("service", "uninstall", *USER)
    assert other.read_text() == "precious"
    assert (units / SERVICE).is_symlink()


def test_another_app_of_that_name_keeps_its_service(terminal: Terminal, units: Path, tmp_path: Path) -> None:
    terminal.run("service", "install", *USER)
    other = ("--state-dir", str(tmp_path / "other"))
    answer = terminal.run("service", "install", *USER, *other)
    assert (answer.code, answer.record["errors"][0]["code"]) == (2, "service_of_another")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([*USER, "--timer", "25:00"], "timer_unreadable"),
        ([*USER, "--socket"], "nothing_to_listen_at"),
        (["--launchd", "--user", "--socket"], "sockets_need_systemd"),
        ([*USER, "--launchd"], "usage"),
        ([*USER, "--system"], "usage"),
    ],
)
def test_wish_that_cannot_be_is_usage_and_nothing_is_written(
    terminal: Terminal, home: Path, words: list[str], code: str
) -> None:
    answer = terminal.run("service", "install", *words)
    assert (answer.code, answer.outcome) == (2, "usage")
    assert answer.record["errors"][0]["code"] == code
    assert not (home / ".config" / "systemd").exists()
    assert not (home / "Library").exists()


def test_bare_daemon_is_run_with_the_whole_path_of_its_program(
    terminal: Terminal, units: Path, host: Deployment
) -> None:
    (host.app / "newleaf.toml").write_text(app_file("exit"))
    terminal.run("service", "install", *USER)
    lines = (units / SERVICE).read_text().splitlines()
    assert f"ExecStart={host.app}/.venv/bin/python -m app" in lines
    assert f"Environment=PYTHONPATH={host.app}" in lines
    assert any(line.startswith("ExecStartPre=") and line.endswith(" guard") for line in lines)


@pytest.mark.parametrize(("program", "code"), [("launchctl", 0), ("no-such-program", 1)])
def test_bare_program_without_a_folder_is_looked_for(
    terminal: Terminal, units: Path, host: Deployment, programs: Managers, program: str, code: int
) -> None:
    (host.app / "newleaf.toml").write_text(app_file("exit", command=program))
    assert terminal.run("service", "install", *USER).code == code
    if code == 0:
        assert f"ExecStart={programs.folder / program}\n" in (units / SERVICE).read_text()


def test_launchd_then_its_lists_are_written_and_loaded(
    terminal: Terminal, home: Path, host: Deployment, programs: Managers
) -> None:
    programs.answer({"print": (113, "")})
    answer = terminal.run("service", "install", "--launchd", "--user", "--timer", "06:00,18:00")
    agents = home / "Library" / "LaunchAgents"
    assert sorted(path.name for path in agents.iterdir()) == [
        "newleaf.sessions.plist",
        "newleaf.sessions.update.plist",
    ]
    job = plistlib.loads((agents / "newleaf.sessions.plist").read_bytes())
    assert Path(job["StandardOutPath"]).parent.is_dir()
    assert answer.record["done"] == ["newleaf.sessions is loaded", "newleaf.sessions.update is loaded"]
    assert [call.split()[1] for call in programs.calls()] == ["print", "enable", "bootstrap"] * 2
    assert terminal.run("service", "uninstall", "--launchd", "--user").code == 0
    assert list(agents.iterdir()) == []


def test_no_service_manager_then_it_says_so(
    terminal: Terminal, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    answer = terminal.run("service", "install", "--user")
    assert (answer.code, answer.record["errors"][0]["code"]) == (2, "service_manager_unknown")


def test_service_manager_of_the_machine_is_taken_where_none_is_named(terminal: Terminal, home: Path) -> None:
    expected = "launchd" if sys.platform == "darwin" else "systemd"
    assert terminal.run("service", "show", "--user").record["manager"] == expected


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("said", "is_written"), [("y\n", True), ("n\n", False)])
def test_on_a_terminal_it_shows_and_asks_first(
    terminal: Terminal, units: Path, monkeypatch: pytest.MonkeyPatch, said: str, is_written: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", Tty(said))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    code, output, _ = terminal.text("service", "install", *USER)
    assert code == 0
    assert output.index("Type=notify") < output.index("Write this?")
    assert (units / SERVICE).exists() is is_written
    assert ("nothing was written" in output) is not is_written


def test_on_a_terminal_it_asks_before_it_removes(
    terminal: Terminal, units: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.run("service", "install", *USER)
    monkeypatch.setattr(sys, "stdin", Tty("n\n"))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert "nothing was removed" in terminal.text("service", "uninstall", *USER)[1]
    assert (units / SERVICE).exists()
    terminal.text("service", "uninstall", *USER, "--yes")
    assert not (units / SERVICE).exists()
