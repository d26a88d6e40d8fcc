"""What the launcher itself says: heard, or lost; never waited for."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from newleaf.launcher.own_output import MAX_LINE_BYTES, say_on_stderr
from tests.support.kills import run_in_child


def said_to(act: Callable[[], object]) -> bytes:
    """What `act` says, in a process whose standard error is a pipe."""
    source, sink = os.pipe()

    def say() -> None:
        os.dup2(sink, 2)
        act()

    assert run_in_child(say) == 0
    os.close(sink)
    with os.fdopen(source, "rb") as file:
        return file.read()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("ready", b"newleaf: ready\n"),
        ("ä \udcff", b"newleaf: \xc3\xa4 \\udcff\n"),
        ("x" * 9000, b"newleaf: " + b"x" * (MAX_LINE_BYTES - 9) + b"\n"),
    ],
)
def test_a_line_is_heard(text: str, line: bytes) -> None:
    assert said_to(lambda: say_on_stderr(text)) == line


@pytest.mark.timeout(20)
def test_who_has_stopped_reading_is_not_waited_for() -> None:
    def flood() -> None:
        for _ in range(100):
            say_on_stderr("x" * 3000)

    heard = said_to(flood)
    assert 0 < len(heard) < 100 * 3000
    assert heard.endswith(b"x\n"), "no line is cut"


def test_nobody_is_there_then_it_is_lost() -> None:
    def say() -> None:
        source, sink = os.pipe()
        os.close(source)
        os.dup2(sink, 2)
        say_on_stderr("nobody hears this")
        os.close(2)
        say_on_stderr("nor this")

    assert run_in_child(say) == 0
