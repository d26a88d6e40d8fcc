"""Which files make a service, and what cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from newleaf.core.errors import UsageError
from newleaf.core.services.plan import belongs_to, make_plan, names_of
from newleaf.core.services.service_errors import NothingToListenAt, NothingToRun, SocketsNeedSystemd
from newleaf.core.services.subject import Manager, Wish, is_own
from newleaf.core.services.timer import Timer
from tests.support.services import subject

STATE = Path("/home/app/.sessions")
DAILY = Timer(seconds=86_400)
LISTEN: dict[str, Any] = {"listen": ("127.0.0.1:8080",)}


@pytest.mark.parametrize(
    ("wish", "facts", "expected"),
    [
        (Wish("systemd"), {}, ["newleaf-sessions.service"]),
        (
            Wish("systemd", timer=DAILY),
            {},
            ["newleaf-sessions.service", "newleaf-sessions-update.service", "newleaf-sessions-update.timer"],
        ),
        (Wish("systemd", has_socket=True), LISTEN, ["newleaf-sessions.socket", "newleaf-sessions.service"]),
        (
            Wish("systemd", timer=DAILY),
            {"command": ()},
            ["newleaf-sessions-update.service", "newleaf-sessions-update.timer"],
        ),
        (Wish("launchd"), {}, ["newleaf.sessions.plist"]),
        (Wish("launchd", timer=DAILY), {}, ["newleaf.sessions.plist", "newleaf.sessions.update.plist"]),
        (Wish("launchd", timer=DAILY), {"command": ()}, ["newleaf.sessions.update.plist"]),
    ],
)
def test_the_wish_and_the_settings_say_which_files(wish: Wish, facts: dict, expected: list[str]) -> None:
    assert [file.name for file in make_plan(subject(STATE, **facts), wish)] == expected


@pytest.mark.parametrize(
    ("wish", "facts", "kind"),
    [
        (Wish("systemd"), {"command": ()}, NothingToRun),
        (Wish("launchd"), {"command": ()}, NothingToRun),
        (Wish("systemd", timer=DAILY, has_socket=True), {"command": (), **LISTEN}, NothingToRun),
        (Wish("systemd", has_socket=True), {}, NothingToListenAt),
        (Wish("launchd", has_socket=True), LISTEN, SocketsNeedSystemd),
    ],
)
def test_what_cannot_be_is_refused(wish: Wish, facts: dict, kind: type[UsageError]) -> None:
    with pytest.raises(kind):
        make_plan(subject(STATE, **facts), wish)


@pytest.mark.parametrize("manager", ["systemd", "launchd"])
def test_every_file_is_marked_known_by_name_and_the_apps_own(manager: Manager) -> None:
    mine = subject(STATE, **LISTEN)
    other = subject(Path("/home/app/.sessions-2"))
    files = make_plan(mine, Wish(manager, timer=DAILY, has_socket=manager == "systemd"))
    assert {file.name for file in files} == set(names_of("sessions", manager))
    for file in files:
        assert is_own(file.content)
        assert belongs_to(file.content, mine)
        assert not belongs_to(file.content, other)
