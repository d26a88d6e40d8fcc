"""What the launcher tells its service manager, and when it has to be heard of again."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from newleaf.launcher.upward import Upward


@pytest.fixture
def manager(state: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(state / "notify"))
        one.setblocking(False)
        yield one


def test_what_is_said_arrives(manager: socket.socket) -> None:
    Upward({"NOTIFY_SOCKET": manager.getsockname()}).say("STOPPING=1")
    assert manager.recv(100) == b"STOPPING=1"
    Upward({}).say("STOPPING=1")


@pytest.mark.parametrize("said", ["30000000", "9" * 18, "soon", "٣", "-1", ""])
def test_the_daemon_asks_for_more_time_then_so_does_its_launcher(manager: socket.socket, said: str) -> None:
    Upward({"NOTIFY_SOCKET": manager.getsockname()}).relay(
        {"EXTEND_TIMEOUT_USEC": said, "STATUS": "migrates"}
    )
    if said.startswith(("3", "9")):
        assert manager.recv(100).decode() == f"EXTEND_TIMEOUT_USEC={said}"
    with pytest.raises(BlockingIOError):
        manager.recv(100)


def test_its_watchdog_is_pinged_twice_in_its_time(manager: socket.socket) -> None:
    upward = Upward({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "20000000"})
    upward.ping_if_due(1000.0)
    assert manager.recv(100) == b"WATCHDOG=1"
    assert upward.seconds_to_ping(1001.0) == 9.0
    upward.ping_if_due(1009.0)
    with pytest.raises(BlockingIOError):
        manager.recv(100)
    upward.ping_if_due(1010.0)
    assert manager.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    ("interval", "meant"),
    [("", ""), ("0", ""), ("-1", ""), ("soon", ""), ("²", ""), ("٣", ""), ("9" * 400, ""), ("1000000", "1")],
)
def test_no_watchdog_for_this_process_then_it_is_never_due(interval: str, meant: str) -> None:
    """A zero would have the launcher turn round without rest."""
    assert Upward({"WATCHDOG_USEC": interval, "WATCHDOG_PID": meant}).seconds_to_ping(1e9) is None


def test_its_own_number_is_meant() -> None:
    own = Upward({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())})
    assert own.seconds_to_ping(0.0) == 1.0
