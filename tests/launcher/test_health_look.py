"""One look at a health address: what counts as good, what as wrong, and what as no answer at all."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from newleaf.launcher import health_look
from newleaf.launcher.health_look import SILENT_CODE, look
from tests.support.http_server import Answer, LocalServer, serving

COMMIT = "a" * 40
GOOD = Answer(body=b"fine")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_look, "SECONDS", 0.3)


@pytest.mark.parametrize(
    ("answer", "code", "fault"),
    [
        (GOOD, 0, ""),
        (Answer(status=204), 0, ""),
        (Answer(body=b'{"commit": "' + COMMIT.encode() + b'"}'), 0, ""),
        (Answer(body=b'{"commit": null}'), 0, ""),
        (Answer(body=b'["commit"]'), 0, ""),
        (Answer(body=b"[" * 60_000), 0, ""),
        (Answer(body=b"\xff" * 200_000), 0, ""),
        (Answer(body=b'{"commit": "' + b"b" * 40 + b'"}'), 1, "it answers for commit bbbbbbbbbbbb"),
        (Answer(status=500, body=b"ouch"), 1, "it answers 500"),
        (Answer(status=302, headers={"Location": "/"}), 1, "it answers 302"),
        (Answer(raw=b"nonsense\r\n\r\n"), 1, "BadStatusLine: nonsense\r\n"),
        (Answer(raw=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"), 1, "HTTPException: got more than"),
        (Answer(raw=b""), SILENT_CODE, "no answer"),
        (Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), 1, "its answer is cut off"),
    ],
)
def test_an_answer_is_judged(answer: Answer, code: int, fault: str) -> None:
    with serving(lambda _: answer) as server:
        found = look(f"{server.url}/health?deep=1", COMMIT, None)
    assert (found[0], found[1][: len(fault)]) == (code, fault)
    assert server.received[0].target == "/health?deep=1"


def test_who_hangs_is_silent(listener: socket.socket) -> None:
    assert look(f"http://127.0.0.1:{listener.getsockname()[1]}/", COMMIT, None) == (SILENT_CODE, "no answer")


def test_who_refuses_is_silent(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    assert look(f"http://127.0.0.1:{port}/", COMMIT, None) == (SILENT_CODE, "no answer")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Accepts, and says nothing."""
    one = socket.socket()
    one.bind(("127.0.0.1", 0))
    one.listen()
    yield one
    one.close()


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://127.0.0.1:99999/", "http://127.0.0.1:99999/ is no address"),
        ("http://[::1/", "http://[::1/ is no address"),
        ("http://nonesuch.invalid/", "gaierror"),
        ("http://127.0.0.1:1/a b", "InvalidURL"),
        ("http://127.0.0.1:1/ä", "UnicodeEncodeError"),
    ],
)
def test_an_address_that_is_none_is_a_fault(url: str, fault: str) -> None:
    code, said = look(url, COMMIT, None)
    assert (code, said[: len(fault)]) == (1, fault)


def test_its_own_socket_is_asked_whatever_the_address_says(state: Path) -> None:
    path = str(state / "health.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.bind(path)
        assert look("http://127.0.0.1:1/up", COMMIT, path) == (SILENT_CODE, "no answer"), "nobody listens"
        one.listen()
        assert look("http://127.0.0.1:1/up", COMMIT, path) == (SILENT_CODE, "no answer"), "nobody accepts"
        one.accept()[0].close()
        asked: list[bytes] = []

        def answer() -> None:
            accepted, _ = one.accept()
            with accepted:
                asked.append(accepted.recv(4096))
                accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert look("https://example.org/up?x", COMMIT, path) == (0, "")
        thread.join()
    assert asked[0].startswith(b"GET /up?x HTTP/1.1\r\nHost: localhost\r\n")
    code, said = look("http://127.0.0.1:1/", COMMIT, str(state / "gone.sock"))
    assert (code, said.partition(":")[0]) == (1, "FileNotFoundError")


# --- as a program -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with serving(lambda asked: GOOD if asked.target == "/good" else Answer(status=503)) as running:
        yield running


def call(*arguments: str) -> tuple[int, str, str]:
    argv = [sys.executable, "-I", "-S", health_look.__file__, *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    return done.returncode, done.stdout, done.stderr


def test_its_exit_code_tells_and_its_output_says_why(server: LocalServer) -> None:
    assert call(f"{server.url}/good", COMMIT) == (0, "", "")
    assert call(f"{server.url}/bad", COMMIT) == (1, "it answers 503", "")


def test_a_command_is_run_once_the_address_is_good(server: LocalServer) -> None:
    command = ("--then", "sh", "-c", 'echo "$0"; exit 7', "--then")
    assert call(f"{server.url}/good", COMMIT, *command) == (7, "--then\n", "")
    assert call(f"{server.url}/bad", COMMIT, *command) == (1, "it answers 503", "")
    missing = call(f"{server.url}/good", COMMIT, "--then", "/no/such/program")
    assert missing == (1, "/no/such/program: No such file or directory", "")
