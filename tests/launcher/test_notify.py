"""What a daemon says of itself: heard from it alone, whole, and never more than is good for who listens."""

from __future__ import annotations

import array
import contextlib
import os
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from newleaf.launcher.notify import MAX_MESSAGE_BYTES, MOST_AT_ONCE, NotifySocket
from tests.support.kills import run_in_child

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the socket's name is the secret")


@pytest.fixture
def heard(state: Path) -> Iterator[NotifySocket]:
    made = NotifySocket.open(state)
    yield made
    made.close()


def send(heard: NotifySocket, *messages: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(str(heard.path))
        for message in messages:
            sender.send(message)


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (b"READY=1", {"READY": "1"}),
        (b"READY=1\nSTATUS=a=b\n", {"READY": "1", "STATUS": "a=b"}),
        (b"STATUS=one\x0bREADY=1\x1cREADY=1", {"STATUS": "one\x0bREADY=1\x1cREADY=1"}),
        ("STATUS=a\u2028READY=1".encode(), {"STATUS": "a\u2028READY=1"}),
        (b"STATUS=\xff\xfe", {"STATUS": "��"}),
        (b"", {}),
        (b"\0\0\0", {}),
        (b"READY", {}),
        (b"=1", {"": "1"}),
        (b"S=" + b"x" * (MAX_MESSAGE_BYTES - 2), {"S": "x" * (MAX_MESSAGE_BYTES - 2)}),
    ],
)
def test_a_message_is_read_by_lines(heard: NotifySocket, message: bytes, fields: dict[str, str]) -> None:
    send(heard, message)
    assert heard.read(os.getpid()) == [fields]
    assert heard.read(os.getpid()) == []


def test_too_long_a_message_is_dropped_and_the_next_is_heard(heard: NotifySocket) -> None:
    send(heard, b"READY=1\n" + b"x" * MAX_MESSAGE_BYTES, b"STATUS=here")
    assert heard.read(os.getpid()) == [{"STATUS": "here"}]


@linux
def test_another_process_is_not_heard(heard: NotifySocket) -> None:
    """threats.md T30"""
    assert run_in_child(lambda: send(heard, b"READY=1")) == 0
    send(heard, b"STATUS=mine")
    assert heard.read(os.getpid()) == [{"STATUS": "mine"}]


@linux
def test_who_has_ended_is_heard_by_its_number(heard: NotifySocket) -> None:
    source, sink = os.pipe()

    def say() -> None:
        send(heard, b"READY=1")
        os.write(sink, str(os.getpid()).encode())

    assert run_in_child(say) == 0
    pid = int(os.read(source, 20))
    for descriptor in (source, sink):
        os.close(descriptor)
    assert heard.read(pid) == [{"READY": "1"}]


def test_a_flood_is_read_a_bounded_number_at_a_time(heard: NotifySocket) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(str(heard.path))
        sender.setblocking(False)
        sent, longest = 0, 0
        for _ in range(50):
            with contextlib.suppress(BlockingIOError):
                while sent < 4 * MOST_AT_ONCE:
                    sender.send(b"STATUS=flood")
                    sent += 1
            longest = max(longest, len(heard.read(os.getpid())))
    assert sent == 4 * MOST_AT_ONCE
    assert 0 < longest <= MOST_AT_ONCE


@linux
def test_descriptors_that_are_sent_along_are_not_taken(heard: NotifySocket) -> None:
    """Or a daemon could fill this process's table."""
    before = set(os.listdir("/proc/self/fd"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(str(heard.path))
        rights = array.array("i", [0, 1, 2] * 30)
        sender.sendmsg([b"READY=1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        assert heard.read(os.getpid()) == [{"READY": "1"}]
    assert set(os.listdir("/proc/self/fd")) == before


def test_its_socket_is_this_users_alone_and_goes_with_it(state: Path) -> None:
    made = NotifySocket.open(state)
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert not made.socket.get_inheritable()
    made.close()
    assert list(state.iterdir()) == []


def test_no_place_for_it_then_an_error_and_nothing_left_open(state: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    for folder in (state / "gone", state / ("x" * 100)):
        with pytest.raises(OSError, match=r"No such file|too long"):
            NotifySocket.open(folder)
    assert len(os.listdir("/dev/fd")) == before


def test_loaded_anew_it_hears_on(heard: NotifySocket) -> None:
    send(heard, b"READY=1")
    again = NotifySocket.resume(heard.path, os.dup(heard.socket.fileno()))
    assert again.read(os.getpid()) == [{"READY": "1"}]
    again.socket.close()
