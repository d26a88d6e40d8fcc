"""Messages to the service manager: what arrives, and that a manager who is not there hurts nobody."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import newleaf
from newleaf.system import notify_socket
from newleaf.system.notify_socket import send


class Manager:
    """A service manager's end of the socket."""

    def __init__(self, address: str | bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(5)
        self.socket.bind(address)

    def heard(self) -> str:
        return self.socket.recv(4096).decode()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


@pytest.fixture
def manager(path: str) -> Iterator[Manager]:
    manager = Manager(path)
    yield manager
    manager.socket.close()


@pytest.mark.parametrize(
    ("message", "heard"),
    [
        ("READY=1", "READY=1"),
        ({"READY": "1", "X_NEWLEAF_COMMIT": "c" * 40}, f"READY=1\nX_NEWLEAF_COMMIT={'c' * 40}"),
        ({"STATUS": "one\nMAINPID=1\r\ntwo"}, "STATUS=one MAINPID=1 two"),
        ({"STATUS": "Bäume \udcff"}, "STATUS=Bäume ?"),
        ("", ""),
    ],
)
def test_a_message_arrives_whole(
    manager: Manager, path: str, message: dict[str, str] | str, heard: str
) -> None:
    assert send(message, {"NOTIFY_SOCKET": path})
    assert manager.heard() == heard


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract sockets")
def test_an_abstract_socket_is_reached_by_its_name() -> None:
    name = f"newleaf-test-{os.getpid()}"
    manager = Manager(b"\0" + name.encode())
    try:
        assert send("READY=1", {"NOTIFY_SOCKET": f"@{name}"})
        assert manager.heard() == "READY=1"
    finally:
        manager.socket.close()


@pytest.mark.parametrize(
    "named",
    [
        "",
        "@",
        "notify",
        "vsock:2:1234",
        "/" + "x" * 200,
        "@" + "x" * 200,
        "/no/such/socket",
        "/dev/null",
        "/a\0b",
    ],
)
def test_a_manager_that_is_not_there_is_not_told_and_nobody_hurt(named: str) -> None:
    assert not send("READY=1", {"NOTIFY_SOCKET": named})


def test_a_daemon_tells_its_own_manager(manager: Manager, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    assert newleaf.notify("EXTEND_TIMEOUT_USEC=30000000")
    assert manager.heard() == "EXTEND_TIMEOUT_USEC=30000000"
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert not newleaf.notify({"WATCHDOG": "1"})


def test_without_a_manager_nobody_is_told() -> None:
    assert not send("READY=1", {})


def test_nor_is_one_that_has_gone(manager: Manager, path: str) -> None:
    manager.socket.close()
    assert not send("READY=1", {"NOTIFY_SOCKET": path})


def test_nor_one_that_is_no_notify_socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen()
        assert not send("READY=1", {"NOTIFY_SOCKET": path})


def test_a_manager_that_does_not_read_is_given_up_before_an_event_loop_feels_it(
    manager: Manager, path: str
) -> None:
    """contracts.md § Embedding: never blocks the loop for over 50 ms."""
    assert notify_socket.SEND_SECONDS < 0.05
    told = True
    for _ in range(5000):
        before = time.monotonic()
        told = send("STATUS=" + "x" * 100, {"NOTIFY_SOCKET": path})
        if not told:
            assert time.monotonic() - before < 2
            break
    assert not told


def test_a_message_that_no_datagram_holds_is_not_sent(manager: Manager, path: str) -> None:
    assert not send("STATUS=" + "x" * 10_000_000, {"NOTIFY_SOCKET": path})
