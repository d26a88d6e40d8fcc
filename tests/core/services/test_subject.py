"""What a service is made from: who keeps the daemon, how long things may take, and whose a file is."""

from __future__ import annotations

from pathlib import Path

import pytest

from newleaf.core.services.service_errors import ServiceTextUnfit
from newleaf.core.services.subject import MARK, is_own, require_fit
from newleaf.core.settings.sections import Restart
from tests.support.services import subject

STATE = Path("/home/app/.sessions")


@pytest.mark.parametrize(
    ("restart", "is_bare", "restarts_always"),
    [
        (Restart(), False, False),
        (Restart(mode="launcher"), False, False),
        (Restart(mode="exit"), True, False),
        (Restart(mode="exit", exit_code=0), True, True),
        (Restart(mode="sigterm"), True, True),
        (Restart(mode="command"), True, False),
        (Restart(mode="none"), True, False),
    ],
)
def test_the_mode_says_who_keeps_the_daemon(restart: Restart, is_bare: bool, restarts_always: bool) -> None:
    """lessons.md L28: a daemon that is asked to end by a signal ends as if it were not wanted."""
    made = subject(STATE, restart=restart)
    assert (made.is_bare, made.restarts_always) == (is_bare, restarts_always)


def test_the_manager_is_more_patient_than_the_launcher() -> None:
    """lessons.md L22"""
    made = subject(STATE, stop_seconds=30.5)
    assert made.stop_seconds > 31
    assert made.start_seconds > 3 * (30 + 30.5) + 30


@pytest.mark.parametrize(("said", "expected"), [(30.0, 30), (0.2, 1), (0.0, 1)])
def test_a_bare_daemon_has_the_time_that_was_said_and_never_for_ever(said: float, expected: int) -> None:
    assert subject(STATE, stop_seconds=said, restart=Restart(mode="exit")).stop_seconds == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [(f"# {MARK}\n", True), ("[Unit]\n", False), ("\n" * 700 + MARK, False), ("", False)],
)
def test_a_file_is_known_by_its_beginning(content: str, expected: bool) -> None:
    assert is_own(content.encode()) is expected


@pytest.mark.parametrize("text", ["a\nb", "a\x00", "\x7f", "\udc80"])
def test_what_no_manager_can_read_is_refused(text: str) -> None:
    with pytest.raises(ServiceTextUnfit):
        require_fit(text)
