"""Who would start this process again, as its environment and its parent tell."""

from __future__ import annotations

import pytest

from newleaf.system.own_keeper import name_keeper

PID, PARENT = 70, 60


@pytest.mark.parametrize(
    ("environ", "keeper"),
    [
        ({}, None),
        ({"NEWLEAF_KEEPER": "1"}, "declared"),
        ({"NEWLEAF_KEEPER": "0", "INVOCATION_ID": "a"}, None),
        ({"NEWLEAF_KEEPER": ""}, None),
        ({"NEWLEAF_LAUNCHER": "60"}, "launcher"),
        ({"NEWLEAF_LAUNCHER": "50"}, None),
        ({"INVOCATION_ID": "a"}, "systemd"),
        ({"INVOCATION_ID": "a", "SYSTEMD_EXEC_PID": "70"}, "systemd"),
        ({"INVOCATION_ID": "a", "SYSTEMD_EXEC_PID": "60"}, "systemd"),
        ({"INVOCATION_ID": "a", "SYSTEMD_EXEC_PID": "50"}, None),
        ({"SYSTEMD_EXEC_PID": "70"}, None),
        ({"XPC_SERVICE_NAME": "newleaf.sessions"}, "launchd"),
        ({"XPC_SERVICE_NAME": "0"}, None),
        ({"XPC_SERVICE_NAME": "application.com.apple.Terminal.1"}, None),
    ],
)
def test_keeper_is_named_only_where_it_keeps_this_very_process(
    environ: dict[str, str], keeper: str | None
) -> None:
    """lessons.md L28: who leaves where nobody keeps it stays down."""
    assert name_keeper(environ, PID, PARENT) == keeper


def test_child_of_process_1_then_kept() -> None:
    assert name_keeper({}, PID, 1) == "init"
