"""The control socket: orders are taken one a line, rubbish is dropped, and nobody is waited for."""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from newleaf.launcher.control import CONTROL, MAX_LINE_BYTES, MOST_LINES, Control, Line


@pytest.fixture
def control(state: Path) -> Iterator[Control]:
    made = Control.open(state / CONTROL)
    yield made
    for number in list(made.lines):
        made.close(number)
    made.end(state / CONTROL)


def call(state: Path) -> socket.socket:
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    one.settimeout(5)
    one.connect(str(state / CONTROL))
    return one


@pytest.fixture
def pair(control: Control, state: Path) -> Iterator[tuple[Line, socket.socket]]:
    with call(state) as one:
        line = control.accept()
        assert line is not None
        yield line, one


def test_the_socket_is_this_users_alone_and_goes_at_the_end(state: Path) -> None:
    control = Control.open(state / CONTROL)
    assert stat.S_IMODE((state / CONTROL).stat().st_mode) == 0o600
    assert control.accept() is None
    control.end(state / CONTROL)
    assert list(state.iterdir()) == []


@pytest.mark.parametrize(
    ("sent", "orders"),
    [
        (b'{"do": "status"}\n', [{"do": "status"}]),
        (b'{"do": "a"}\n\r\n\n{"do": "b"}\r\n', [{"do": "a"}, {"do": "b"}]),
        (b'{"do": "cut off"', []),
        (b'[1]\n"x"\nnull\n1e999\nNaN\ntrue\n', [{}] * 6),
        (b"\xff\xfe\x00\n", [{}]),
        (b"not json\n", [{}]),
        (b"[" * 50_000 + b"\n", [{}]),
        (b'{"do": ' + b"9" * 5_000 + b"}\n", [{}]),
        (b'{"do": "\\ud800"}\n', [{"do": "\ud800"}]),
        (b"\n" * 1000, []),
    ],
)
def test_what_is_no_order_is_an_empty_one(
    pair: tuple[Line, socket.socket], sent: bytes, orders: list[dict[str, Any]]
) -> None:
    line, one = pair
    assert line.read() == []
    one.sendall(sent)
    assert line.read() == orders


def test_an_order_in_pieces_is_taken_when_it_is_whole(pair: tuple[Line, socket.socket]) -> None:
    line, one = pair
    for piece in (b'{"do"', b': "st', b'atus"'):
        one.sendall(piece)
        assert line.read() == []
    one.sendall(b'}\n{"do"')
    assert line.read() == [{"do": "status"}]
    assert line.unread == b'{"do"'


def test_many_short_orders_at_once_are_no_long_line(pair: tuple[Line, socket.socket]) -> None:
    line, one = pair
    one.sendall(b'{"do": "cut')
    line.read()
    one.sendall(b' off"}\n' + b'{"a":1}\n' * (MAX_LINE_BYTES // 8))
    taken = 0
    while orders := line.read():
        taken += len(orders)
    assert (orders, taken) == ([], MAX_LINE_BYTES // 8 + 1)


def test_a_huge_line_ends_it(pair: tuple[Line, socket.socket]) -> None:
    line, one = pair
    one.settimeout(0.2)
    found: list[Any] | None = []
    for _ in range(3):
        one.send(b"x" * (MAX_LINE_BYTES // 2))
        found = line.read()
    assert found is None


def test_gone_then_it_is_over(pair: tuple[Line, socket.socket]) -> None:
    line, one = pair
    one.sendall(b'{"do": "status"}\n')
    one.close()
    assert line.read() == [{"do": "status"}]
    assert line.read() is None
    assert not line.say({"event": "status"})


def test_who_never_reads_is_not_waited_for(pair: tuple[Line, socket.socket]) -> None:
    line, _ = pair
    began = time.monotonic()
    said = 0
    while line.say({"event": "status", "reason": "x" * 500}):
        said += 1
    assert time.monotonic() - began < 4
    assert 5 < said < 100_000


def test_one_line_too_many_is_hung_up_and_the_others_stay(control: Control, state: Path) -> None:
    calls = []
    for _ in range(MOST_LINES):
        calls.append(call(state))
        assert control.accept() is not None
    with call(state) as late:
        assert control.accept() is None
        assert late.recv(1) == b""
    control.close(next(iter(control.lines)))
    with call(state):
        line = control.accept()
        assert line is not None
        assert line.number == MOST_LINES + 1, "a number is never used again"
    for one in calls:
        one.close()


def test_somebody_else_is_hung_up(control: Control, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says who speaks; here this process says that it is another user."""
    own = os.geteuid()
    with call(state) as one:
        monkeypatch.setattr(os, "geteuid", lambda: own + 1)
        assert control.accept() is None
        assert one.recv(1) == b""


def test_who_has_gone_before_it_was_answered_is_no_harm(control: Control, state: Path) -> None:
    call(state).close()
    line = control.accept()
    assert line is None or line.read() is None
    control.close(99)
