"""Units: what they say, and that systemd itself finds no fault with them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from newleaf.core.services.plan import make_plan
from newleaf.core.services.service_errors import ListenUnfit, ServiceTextUnfit
from newleaf.core.services.subject import Wish
from newleaf.core.services.systemd_units import command_line, quote
from newleaf.core.services.timer import Timer, parse_timer
from newleaf.core.settings.sections import Restart
from tests.support.services import subject, write_newleaf

STATE = Path("/home/app/.sessions")


def units(wish: Wish | None = None, state: Path = STATE, **facts: Any) -> dict[str, list[str]]:
    """The lines of each unit, by the end of its name."""
    files = make_plan(subject(state, **facts), wish or Wish("systemd"))
    return {file.name.removeprefix("newleaf-sessions"): file.content.decode().splitlines() for file in files}


def test_the_daemon_runs_under_newleaf_run() -> None:
    daemon = units()[".service"]
    for line in (
        "Type=notify",
        "NotifyAccess=main",
        "ExecStart=/opt/newleaf/bin/newleaf --state-dir /home/app/.sessions run",
        "ExecReload=/bin/sh -c 'kill -HUP $MAINPID'",
        "KillMode=mixed",
        "Restart=on-failure",
        "RestartForceExitStatus=42",
        "WorkingDirectory=/home/app/.sessions",
        "Environment=PATH=/opt/newleaf/bin:/usr/bin",
        "WantedBy=default.target",
    ):
        assert line in daemon
    assert not [line for line in daemon if line.startswith(("User=", "SuccessExitStatus=", "ExecStartPre="))]


def test_systemd_waits_longer_than_the_launcher_does() -> None:
    """lessons.md L22"""
    assert "TimeoutStopSec=55" in units(stop_seconds=45.0)[".service"]


def test_no_more_starts_than_the_apps_own_budget_and_the_first() -> None:
    """lessons.md L34"""
    daemon = units(restart=Restart(budget="3 in 10m"))[".service"]
    assert {"StartLimitIntervalSec=600", "StartLimitBurst=4"} <= set(daemon)


def test_bare_daemon_is_run_itself_with_the_guard_before_it() -> None:
    restart = Restart(mode="exit", exit_code=75)
    command = ("/srv/app/.venv/bin/python", "-m", "app")
    daemon = units(restart=restart, command=command, folder=Path("/srv/app"))[".service"]
    for line in (
        "Type=exec",
        "ExecStartPre=/opt/newleaf/bin/newleaf --state-dir /home/app/.sessions guard",
        "ExecStart=/srv/app/.venv/bin/python -m app",
        "RestartForceExitStatus=75",
        "SuccessExitStatus=75",
        "WorkingDirectory=/srv/app",
        "Environment=NEWLEAF_STATE_DIR=/home/app/.sessions",
        "Restart=on-failure",
    ):
        assert line in daemon


def test_daemon_that_newleaf_ends_by_a_signal_is_always_started_again() -> None:
    """lessons.md L28"""
    assert "Restart=always" in units(restart=Restart(mode="sigterm"))[".service"]


def test_for_the_machine_it_runs_as_the_apps_user_once_there_is_a_network() -> None:
    made = units(Wish("systemd", is_system=True, timer=Timer(seconds=60)))
    assert {"User=app", "After=network-online.target", "WantedBy=multi-user.target"} <= set(made[".service"])
    assert "User=app" in made["-update.service"]


def test_update_that_was_locked_out_or_waits_is_no_failure() -> None:
    update = units(Wish("systemd", timer=Timer(seconds=60)))["-update.service"]
    assert {"Type=oneshot", "SuccessExitStatus=3 4", "TimeoutStartSec=infinity"} <= set(update)
    assert "ExecStart=/opt/newleaf/bin/newleaf --state-dir /home/app/.sessions update" in update


def test_times_of_day_are_caught_up_and_spread() -> None:
    """lessons.md L44"""
    timer = units(Wish("systemd", timer=parse_timer("06:00,18:05")))["-update.timer"]
    for line in (
        "OnCalendar=*-*-* 06:00:00",
        "OnCalendar=*-*-* 18:05:00",
        "Persistent=true",
        "RandomizedDelaySec=300",
    ):
        assert line in timer


def test_span_begins_soon_after_the_start_and_is_spread_by_the_watchs_jitter() -> None:
    timer = units(Wish("systemd", timer=parse_timer("12h")))["-update.timer"]
    assert {"OnStartupSec=120", "OnUnitActiveSec=43200", "RandomizedDelaySec=4320"} <= set(timer)


def test_sockets_are_those_of_app_listen_in_order() -> None:
    listen = ("127.0.0.1:8080", "[::1]:8080", "localhost:9090", "unix:run/app.sock")
    made = units(Wish("systemd", has_socket=True), listen=listen)
    assert [line for line in made[".socket"] if line.startswith("ListenStream=")] == [
        "ListenStream=127.0.0.1:8080",
        "ListenStream=[::1]:8080",
        "ListenStream=127.0.0.1:9090",
        "ListenStream=/home/app/.sessions/run/app.sock",
    ]
    assert "Requires=newleaf-sessions.socket" in made[".service"]


@pytest.mark.parametrize(
    ("path", "said"),
    [("a" * 90, "longer than 107 bytes"), ("it's", "loses"), ('"', "loses"), ("\\", "loses"), ("ü", "loses")],
)
def test_socket_whose_path_systemd_cannot_keep_is_refused(path: str, said: str) -> None:
    with pytest.raises(ListenUnfit, match=said):
        units(Wish("systemd", has_socket=True), listen=(f"unix:{path}",))


def test_program_whose_name_systemd_does_not_take_is_run_by_a_shell() -> None:
    assert command_line(["/it's", "b"]) == """:/bin/sh -c "exec \\"$@\\"" sh "/it's" b"""


def test_host_name_that_systemd_would_not_resolve_is_refused() -> None:
    with pytest.raises(ListenUnfit, match="web"):
        units(Wish("systemd", has_socket=True), listen=("web.example.org:80",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/usr/bin/app", "/usr/bin/app"),
        ("/a b", '"/a b"'),
        ("100%", "100%%"),
        ('say "hi"', '"say \\"hi\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("it's", '"it\'s"'),
        (";", '";"'),
        ("", '""'),
        (" ", '" "'),
        ("ünï", '"ünï"'),
    ],
)
def test_word_is_written_so_that_systemd_reads_it_as_it_was(text: str, expected: str) -> None:
    assert quote(text) == expected


def test_dollar_is_no_variable() -> None:
    assert command_line(["/a", "$HOME"]) == ':/a "$HOME"'
    assert command_line(["/a", "b"]) == "/a b"


@pytest.mark.parametrize("name", ["ends with space ", "ends with\\", "new\nline\n[Service]"])
def test_folder_that_a_unit_cannot_name_is_refused(name: str) -> None:
    with pytest.raises(ServiceTextUnfit):
        units(state=Path("/srv") / name)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
@pytest.mark.parametrize("is_system", [False, True])
@pytest.mark.parametrize("restart", [Restart(), Restart(mode="exit")])
def test_systemd_finds_no_fault(tmp_path: Path, restart: Restart, is_system: bool) -> None:
    state = Path("/srv/100% $HOME; (safe)")
    odd = tmp_path / """it's "100%" $HOME; säfe"""
    newleaf = write_newleaf(odd / "bin" / "newleaf")
    where = tmp_path / "units"
    where.mkdir()
    files = [
        file
        for when in ("06:00,18:00", "12h")
        for file in make_plan(
            subject(
                state,
                restart=restart,
                newleaf=newleaf,
                command=(sys.executable, "-c", "print('%n $x')"),
                folder=odd,
                user="root",
                listen=("127.0.0.1:8080", "[::1]:8080", "unix:run/app.sock"),
            ),
            Wish("systemd", is_system, parse_timer(when), has_socket=True),
        )
    ]
    for file in files:
        (where / file.name).write_bytes(file.content)
    names = [str(path) for path in where.iterdir()]
    scope = "--system" if is_system else "--user"
    done = subprocess.run(
        ["systemd-analyze", scope, "--man=no", "--generators=no", "--recursive-errors=no", "verify", *names],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    said = [line for line in done.stderr.splitlines() if "newleaf" in line]
    assert (done.returncode, said) == (0, []), done.stderr
