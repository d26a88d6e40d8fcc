"""Requests are sent when they are due, and each is counted once, as served or as failed."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from newleaf.cli.demo.load import HOST, Load
from tests.support.kills import wait_until

GOOD = b"HTTP/1.1 200 OK\r\n\r\nhello"


@contextmanager
def answering(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """A server that does this with each connection, one after another."""

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                if connection.recv(4096) == b"":
                    return
                answer(connection)

    with socket.create_server((HOST, 0), backlog=1024) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            socket.create_connection(listener.getsockname()).close()
            thread.join()


def test_requests_come_at_their_rate_and_their_answers_are_kept() -> None:
    with answering(lambda connection: connection.sendall(GOOD)) as port, Load(port, 100).running() as load:
        began = time.monotonic()
        wait_until(lambda: load.served >= 30, "some answers")
        took = time.monotonic() - began
    assert took > 0.2
    assert load.failed == 0
    assert {answer.body for answer in load.answers} == {b"hello"}
    assert all(earlier.at <= later.at for earlier, later in zip(load.answers, load.answers[1:], strict=False))


def test_server_that_stands_still_is_seen_by_all_whom_it_keeps_waiting() -> None:
    """Those that are due meanwhile wait too, and are sent all the same."""
    once = iter([0.4])

    def answer(connection: socket.socket) -> None:
        time.sleep(next(once, 0.0))
        connection.sendall(GOOD)

    with answering(answer) as port, Load(port, 100).running() as load:
        wait_until(lambda: load.served >= 40, "the answers after the stall")
    assert load.failed == 0
    assert load.longest_seconds >= 0.4
    assert sum(answer.wait_seconds > 0.1 for answer in load.answers) > 20


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"HTTP/1.1 503 Busy\r\n\r\nno", "HTTP/1.1 503 Busy"),
        (b"", "no answer"),
        (b"HTTP", "HTTP"),
    ],
)
def test_what_is_no_200_has_failed(said: bytes, reason: str) -> None:
    with answering(lambda connection: connection.sendall(said)) as port, Load(port, 100).running() as load:
        wait_until(lambda: load.failed >= 2, "failures")
    assert load.served == 0
    assert set(load.failures) == {reason}


def test_nobody_there_is_a_failure_each() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
    with Load(port, 100).running() as load:
        wait_until(lambda: load.failed >= 2, "refusals")
    assert load.failures.keys() == {"ConnectionRefusedError"}
    assert load.longest_seconds == 0.0


def test_in_the_end_nothing_is_under_way_and_who_was_never_answered_has_failed() -> None:
    with socket.create_server((HOST, 0), backlog=1024) as silent:
        load = Load(silent.getsockname()[1], 50, limit_seconds=0.1)
        with load.running():
            time.sleep(0.05)
    assert load.failures.keys() == {"TimeoutError"}
    assert not any(thread.name == "load" for thread in threading.enumerate())
