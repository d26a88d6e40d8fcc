"""The loop: who waits for a descriptor is called, signals are collected, time passes."""

from __future__ import annotations

import os
import signal
import time

import pytest

from newleaf.launcher.loop import SIGNALS, Loop
from tests.support.kills import run_in_child


@pytest.fixture
def pipe() -> tuple[int, int]:
    return os.pipe()


def test_what_can_be_read_is_told_until_it_was_read(loop: Loop, pipe: tuple[int, int]) -> None:
    source, sink = pipe
    seen: list[bytes] = []
    loop.watch(source, lambda: seen.append(os.read(source, 1)))
    os.write(sink, b"ab")
    for _ in range(3):
        assert loop.wait(0.0) == []
    assert seen == [b"a", b"b"]
    os.close(sink)
    loop.wait(5.0)
    assert seen[-1] == b"", "an end is told as well"
    loop.forget(source)
    loop.wait(0.0)
    assert len(seen) == 3
    os.close(source)


def test_one_that_is_forgotten_in_the_same_turn_is_not_called(loop: Loop) -> None:
    pipes = [os.pipe() for _ in range(2)]
    called: list[int] = []

    def forget_all(own: int) -> None:
        called.append(own)
        for source, _ in pipes:
            loop.forget(source)

    for source, sink in pipes:
        loop.watch(source, lambda own=source: forget_all(own))  # type: ignore[misc]
        os.write(sink, b"x")
    loop.wait(0.0)
    assert len(called) == 1
    for pair in pipes:
        for descriptor in pair:
            os.close(descriptor)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_wait_and_is_told_once(loop: Loop, number: signal.Signals) -> None:
    began = time.monotonic()
    os.kill(os.getpid(), number)
    assert loop.wait(10.0) == [number]
    assert loop.wait(0.0) == []
    assert time.monotonic() - began < 5.0


def test_a_flood_of_signals_is_no_harm(loop: Loop) -> None:
    for _ in range(2000):
        os.kill(os.getpid(), signal.SIGCHLD)
    found = [loop.wait(0.0) for _ in range(3)]
    assert found[0]
    assert found[-1] == []


def test_blocked_while_it_was_loaded_then_a_signal_comes_afterwards() -> None:
    def check() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        os.kill(os.getpid(), signal.SIGTERM)
        assert Loop().wait(5.0) == [signal.SIGTERM]

    assert run_in_child(check) == 0


@pytest.mark.parametrize("seconds", [0.05, 0.0, -1.0])
def test_nothing_happens_then_it_waits_so_long(loop: Loop, seconds: float) -> None:
    began = time.monotonic()
    assert loop.wait(seconds) == []
    assert seconds <= time.monotonic() - began < 5.0


def test_unknown_descriptors_are_forgotten_without_a_word(loop: Loop) -> None:
    loop.forget(12345)
