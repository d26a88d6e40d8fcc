"""Signals held back for a moment: none is lost, and none comes too early."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from newleaf.system.interruption import ENDING, held_back


class Told(BaseException):
    """A signal came through."""


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    def tell(number: int, _: object) -> None:
        raise Told(number)

    before = {number: signal.signal(number, tell) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING)
def test_comes_in_the_block_then_it_is_heeded_at_its_end_once(number: signal.Signals) -> None:
    reached = []

    def work() -> None:
        with held_back():
            signal.raise_signal(number)
            reached.append("the end")

    with pytest.raises(Told, match=str(int(number))):
        work()
    assert reached == ["the end"]
    with held_back():
        pass


def test_came_before_it_is_let_through_then_it_is_heeded_there() -> None:
    reached = []
    with held_back() as let_through:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Told), let_through():
            reached.append("too far")
        signal.raise_signal(signal.SIGTERM)
        reached.append("held back again")
        with pytest.raises(Told), let_through():
            pass
    assert reached == ["held back again"]


def test_comes_while_it_is_let_through_then_at_once() -> None:
    with held_back() as let_through, pytest.raises(Told), let_through():
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(Told):
        signal.raise_signal(signal.SIGTERM)


def test_ignored_or_without_a_handler_then_that_is_left_as_it_is() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with held_back():
        signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_in_another_thread_then_nothing_is_held_back() -> None:
    answers = []

    def work() -> None:
        with held_back() as let_through, let_through():
            answers.append("ran")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert answers == ["ran"]
