"""Lines to a launcher, against a small real server on a unix socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from newleaf.core.launch.launcher_errors import LauncherLost, LauncherRefused, NoLauncher
from newleaf.system.control_socket import CONTROL, ask_launcher, connect, is_answered, line_to
from tests.support.answering import Answering


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Answering]:
    with Answering.at(tmp_path / CONTROL) as answering:
        yield answering


def test_an_order_is_one_line_and_its_answers_come_in_order(server: Answering, tmp_path: Path) -> None:
    server.answers = [b'{"event": "accepted"}\n{"event": "conf', b'irmed", "reason": ""}\n']
    with line_to(tmp_path) as line:
        line.say("handover", attempt="a", commit="c")
        assert [line.hear()["event"] for _ in range(2)] == ["accepted", "confirmed"]
    assert server.orders == [{"do": "handover", "attempt": "a", "commit": "c"}]


def test_a_refusal_is_raised_with_its_reason(server: Answering, tmp_path: Path) -> None:
    server.answers = [b'{"event": "refused", "reason": "another handover is under way"}\n']
    with line_to(tmp_path) as line:
        line.say("reload")
        with pytest.raises(LauncherRefused, match="another handover"):
            line.hear()


@pytest.mark.parametrize(
    "said", [b"", b"no json\n", b"[]\n", b'{"word": 1}\n', b'{"event": 3}\n', b"[" * 90_000]
)
def test_what_no_launcher_says_is_a_launcher_that_is_lost(
    server: Answering, tmp_path: Path, said: bytes
) -> None:
    server.answers = [said]
    server.hangs_up = True
    with line_to(tmp_path) as line:
        line.say("status")
        with pytest.raises(LauncherLost):
            line.hear()


def test_silence_is_waited_for_no_longer_than_was_said(server: Answering, tmp_path: Path) -> None:
    with line_to(tmp_path) as line:
        line.say("status")
        with pytest.raises(LauncherLost):
            line.hear(0.05)


def test_the_end_of_a_launcher_is_told_from_its_silence(server: Answering, tmp_path: Path) -> None:
    with line_to(tmp_path) as line:
        line.say("stop")
        assert not line.await_end(0.05)
        server.hang_up()
        assert line.await_end(5.0)


def test_where_nobody_answers_no_launcher_runs(tmp_path: Path) -> None:
    assert not is_answered(tmp_path)
    assert ask_launcher(tmp_path) is None
    left_behind = socket.socket(socket.AF_UNIX)
    left_behind.bind(str(tmp_path / CONTROL))
    left_behind.close()
    assert not is_answered(tmp_path)
    with pytest.raises(NoLauncher, match=r"control\.sock"):
        connect(tmp_path)


def test_what_is_no_socket_is_not_spoken_to(tmp_path: Path) -> None:
    (tmp_path / CONTROL).write_text("")
    assert not is_answered(tmp_path)


def test_a_launcher_tells_what_it_knows(server: Answering, tmp_path: Path) -> None:
    server.answers = [json.dumps({"event": "status", "pid": 17}).encode() + b"\n"]
    assert ask_launcher(tmp_path) == {"pid": 17}
