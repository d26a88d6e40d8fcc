"""Property lists: what they say, and that they are read back as they were meant."""

from __future__ import annotations

import plistlib
import subprocess
from pathlib import Path
from typing import Any

import pytest

from newleaf.core.services.plan import make_plan
from newleaf.core.services.service_errors import ServiceTextUnfit
from newleaf.core.services.subject import Wish
from newleaf.core.services.timer import Timer, parse_timer
from newleaf.core.settings.sections import Restart
from tests.support.services import subject

STATE = Path("/Users/app/.sessions")


def plists(wish: Wish | None = None, state: Path = STATE, **facts: Any) -> dict[str, dict[str, Any]]:
    """Each list as it is read back, by its name."""
    files = make_plan(subject(state, **facts), wish or Wish("launchd"))
    return {file.name: plistlib.loads(file.content) for file in files}


def test_the_daemon_runs_under_newleaf_run_and_logs_to_files() -> None:
    assert plists()["newleaf.sessions.plist"] == {
        "Label": "newleaf.sessions",
        "ProgramArguments": ["/opt/newleaf/bin/newleaf", "--state-dir", str(STATE), "run", "--log-files"],
        "WorkingDirectory": str(STATE),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": 40,
        "EnvironmentVariables": {"PATH": "/opt/newleaf/bin:/usr/bin", "NEWLEAF_STATE_DIR": str(STATE)},
        "StandardOutPath": str(STATE / "logs" / "service.out.log"),
        "StandardErrorPath": str(STATE / "logs" / "service.err.log"),
        "Umask": 0o077,
    }


@pytest.mark.parametrize(
    ("when", "key", "expected"),
    [
        (
            "06:00,18:30",
            "StartCalendarInterval",
            [{"Hour": 6, "Minute": 0}, {"Hour": 18, "Minute": 30}],
        ),
        ("12h", "StartInterval", 43_200),
    ],
)
def test_updates_run_at_times_or_after_a_span(when: str, key: str, expected: object) -> None:
    update = plists(Wish("launchd", timer=parse_timer(when)))["newleaf.sessions.update.plist"]
    assert update[key] == expected
    assert update["ProgramArguments"][-1] == "update"
    assert not {"KeepAlive", "RunAtLoad"} & set(update)


def test_for_the_machine_it_runs_as_the_apps_user_and_has_a_home() -> None:
    made = plists(Wish("launchd", is_system=True, timer=Timer(seconds=60)))
    for record in made.values():
        assert record["UserName"] == "app"
        assert record["EnvironmentVariables"]["HOME"] == "/home/app"


@pytest.mark.parametrize(
    ("restart", "expected"),
    [
        (Restart(mode="exit"), {"SuccessfulExit": False}),
        (Restart(mode="exit", exit_code=0), True),
        (Restart(mode="sigterm"), True),
    ],
)
def test_bare_daemon_is_kept_by_how_it_wants_to_be_restarted(restart: Restart, expected: object) -> None:
    """lessons.md L28"""
    made = plists(restart=restart, variables={"PYTHONPATH": "/srv/app"})["newleaf.sessions.plist"]
    assert made["KeepAlive"] == expected
    assert made["EnvironmentVariables"]["PYTHONPATH"] == "/srv/app"


@pytest.mark.parametrize(("guard", "expected"), [(0, (0, "a b $HOME\n")), (7, (7, ""))])
def test_bare_daemon_starts_when_the_guard_lets_it(
    tmp_path: Path, guard: int, expected: tuple[int, str]
) -> None:
    newleaf = tmp_path / "new 'leaf'"
    newleaf.write_text(f'#!/bin/sh\n[ "$3" = guard ] && exit {guard}\n')
    newleaf.chmod(0o755)
    command = ("/bin/echo", "a b", "$HOME")
    made = plists(restart=Restart(mode="exit"), newleaf=(str(newleaf),), command=command)
    words = made["newleaf.sessions.plist"]["ProgramArguments"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == expected


def test_odd_names_are_read_back_as_they_were() -> None:
    state = Path("""/Users/it's "100%" <&> -- ünï""")
    record = plists(state=state)["newleaf.sessions.plist"]
    assert record["WorkingDirectory"] == str(state)
    assert record["ProgramArguments"][2] == str(state)


def test_name_that_no_plist_can_hold_is_refused() -> None:
    with pytest.raises(ServiceTextUnfit):
        plists(state=Path("/Users/a\x1bb"))
