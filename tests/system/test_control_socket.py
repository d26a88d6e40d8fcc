"""Speaking with a launcher: what it says is taken as it is meant, and rubbish is no answer."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from newleaf.core.launch.launcher_errors import LauncherLost, LauncherRefused, LauncherSilent, NoLauncher
from newleaf.system.control_socket import (
    CONTROL,
    MAX_LINE_BYTES,
    ask_launcher,
    connect,
    is_answered,
    line_to,
)
from tests.support.launchers import state_directory

Talk = Callable[[socket.socket], object]


@pytest.fixture
def state() -> Iterator[Path]:
    with state_directory() as folder:
        yield folder


@pytest.fixture
def launcher(state: Path) -> Iterator[Callable[[Talk], None]]:
    """A launcher that says to whoever calls what it is told to."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(state / CONTROL))
    listener.listen()
    talks: list[Talk] = []

    def answer() -> None:
        while True:
            one, _ = listener.accept()
            with one:
                if not talks:
                    return
                one.settimeout(10)
                with contextlib.suppress(OSError):
                    talks[-1](one)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield talks.append
    talks.clear()
    with socket.socket(socket.AF_UNIX) as last:
        last.connect(str(state / CONTROL))
    thread.join(10)
    listener.close()


def saying(text: bytes) -> Talk:
    """To every order; who only wants to know whether somebody is there gives none."""

    def talk(one: socket.socket) -> None:
        if one.recv(4096):
            one.sendall(text)

    return talk


def test_an_order_and_its_answers_go_by_lines(state: Path, launcher: Callable[[Talk], None]) -> None:
    heard: list[bytes] = []

    def talk(one: socket.socket) -> None:
        heard.append(one.recv(4096))
        for text in (b'{"event": "accep', b'ted"}\n{"event"', b': "running", "x": 1}\n'):
            one.sendall(text)
            time.sleep(0.02)

    launcher(talk)
    with line_to(state) as line:
        line.say("handover", attempt="a1", commit="ä")
        assert line.hear() == {"event": "accepted"}
        assert line.hear(None) == {"event": "running", "x": 1}
        with pytest.raises(LauncherLost):
            line.hear()
    assert json.loads(heard[0]) == {"do": "handover", "attempt": "a1", "commit": "ä"}
    assert heard[0].endswith(b"\n")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"half of",
        b"\n",
        b"[]\n",
        b"null\n",
        b"{}\n",
        b'{"event": 7}\n',
        b"\xff\xfe\n",
        b"[" * 60_000 + b"\n",
        b"x" * (MAX_LINE_BYTES + 70_000),
    ],
)
def test_what_no_launcher_says_is_no_answer(
    state: Path, launcher: Callable[[Talk], None], said: bytes
) -> None:
    launcher(saying(said))
    with line_to(state) as line:
        line.say("status")
        with pytest.raises(LauncherLost):
            line.hear()
    assert ask_launcher(state) is None


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b'{"event": "refused", "reason": "not now"}\n', "not now"),
        (b'{"event": "refused"}\n', "it did not say why"),
        (b'{"event": "refused", "reason": null}\n', "it did not say why"),
    ],
)
def test_a_refusal_is_told_with_its_reason(
    state: Path, launcher: Callable[[Talk], None], said: bytes, reason: str
) -> None:
    launcher(saying(said))
    with line_to(state) as line:
        line.say("status")
        with pytest.raises(LauncherRefused) as refused:
            line.hear()
    assert refused.value.facts == {"reason": reason}
    assert ask_launcher(state) is None


def test_silence_ends_in_time(state: Path, launcher: Callable[[Talk], None]) -> None:
    launcher(lambda one: one.recv(1))
    began = time.monotonic()
    with line_to(state) as line:
        with pytest.raises(LauncherSilent):
            line.hear(0.1)
        assert not line.await_end(0.1)
    assert time.monotonic() - began < 5.0


def test_its_end_is_waited_for(state: Path, launcher: Callable[[Talk], None]) -> None:
    launcher(saying(b'{"event": "stopped"}\n'))
    with line_to(state) as line:
        line.say("stop")
        assert line.await_end(5.0)


def test_who_has_gone_cannot_be_ordered(state: Path, launcher: Callable[[Talk], None]) -> None:
    launcher(lambda one: one.close())
    with line_to(state) as line:
        assert line.await_end(5.0)
        with pytest.raises(LauncherLost):
            line.say("status")


def test_what_it_knows_is_told_without_the_event(state: Path, launcher: Callable[[Talk], None]) -> None:
    launcher(saying(b'{"event": "status", "pid": 7}\n'))
    assert ask_launcher(state) == {"pid": 7}
    assert is_answered(state)


@pytest.mark.parametrize("kind", ["nothing", "stale", "file", "symlink to nothing", "too long"])
def test_nobody_answers_then_no_launcher_runs(state: Path, kind: str) -> None:
    path = state / CONTROL
    if kind == "stale":
        one = socket.socket(socket.AF_UNIX)
        one.bind(str(path))
        one.close()
    elif kind == "file":
        path.write_text("kept")
    elif kind == "symlink to nothing":
        path.symlink_to("nowhere")
    elif kind == "too long":
        state /= "x" * 100
        state.mkdir()
    assert not is_answered(state)
    assert ask_launcher(state) is None
    with pytest.raises(NoLauncher):
        connect(state)
