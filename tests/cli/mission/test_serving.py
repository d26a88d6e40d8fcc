"""`mission serve`: the endpoint as a process, from its first word to its last."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.deployment import NEWLEAF, Deployment
from tests.support.headquarters import Centre
from tests.support.redis_server import RedisServer, serve_redis
from tests.support.served import Served
from tests.support.socket_parent import SocketParent
from tests.support.terminal import Terminal


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with serve_redis(appendonly="no") as server:
        yield server


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, redis: RedisServer) -> Deployment:
    made = Deployment.make(tmp_path_factory.mktemp("hq"))
    sit(made, Centre(redis.url))
    return made


def sit(host: Deployment, centre: Centre, more: str = "headquarters = true") -> None:
    fleet = f'redis_url = "{centre.url}"\nstream_prefix = "{centre.streams.prefix}"\n{more}'
    host.host_settings(f'[fleet]\n{fleet}\nops_tokens_file = "~/.sessions/ops-tokens.json"\n')


@contextlib.contextmanager
def serving(host: Deployment, *words: str) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """The process, where it says that it listens, and what it said before."""
    process = host.start("mission", "serve", *(words or ("--listen", "127.0.0.1:0")))
    assert process.stderr is not None
    try:
        said: list[str] = []
        while " listens on " not in (line := process.stderr.readline()):
            assert line, said
            said.append(line)
        yield process, line.strip().rpartition(" ")[2], said
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=20)


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def stopped(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, float]:
    """The exit code, and how long it took."""
    begun = time.monotonic()
    process.send_signal(number)
    return process.wait(20), time.monotonic() - begun


def test_it_is_served_then_its_answers_and_each_token_counts_from_its_making_to_its_end(
    host: Deployment, terminal: Terminal
) -> None:
    with serving(host) as (process, url, said):
        assert "the ops API is disabled" in said[0]
        server = Served(port_of(url))
        assert server.ask("GET", "/api/v1/health").record["bus"] == "up"
        assert server.ask("GET", "/api/v1/factory/registrations").status == 503
        made = terminal.run("mission", "token", "create").record
        assert server.ask("GET", "/api/v1/factory/registrations", x_ua_ops_token=made["token"]).status == 200
        long = server.ask("GET", "/api/v1/factory/registrations", x_ua_ops_token="x" * 1_000_000)
        assert long.status == 413, "threats.md T23"
        other = terminal.run("mission", "token", "create").record
        terminal.run("mission", "token", "revoke", made["id"])
        assert server.ask("GET", "/api/v1/factory/registrations", x_ua_ops_token=made["token"]).status == 401
        terminal.run("mission", "token", "revoke", other["id"])
        assert server.ask("GET", "/api/v1/factory/registrations").status == 503
        assert stopped(process)[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_l30_a_connection_is_kept_open_and_a_request_half_sent_then_it_ends_within_2_seconds(
    host: Deployment, terminal: Terminal, number: int
) -> None:
    made = terminal.run("mission", "token", "create", "--factory", "mini-1").record
    with serving(host) as (process, url, _):
        kept = http.client.HTTPConnection("127.0.0.1", port_of(url), timeout=10)
        kept.request("GET", "/api/v1/version")
        assert kept.getresponse().read()
        with socket.create_connection(("127.0.0.1", port_of(url))) as half:
            # With a token, so that the rest of it is waited for.
            named = f"Host: x\r\nx-ua-ops-token: {made['token']}\r\nContent-Length: 9"
            half.sendall(f"POST /api/v1/factory/registrations HTTP/1.1\r\n{named}\r\n\r\n{{".encode())
            time.sleep(0.1)
            code, seconds = stopped(process, number)
        kept.close()
    terminal.run("mission", "token", "revoke", made["id"])
    assert (code, seconds < 2) == (0, True), seconds


def test_a_caller_says_that_it_is_somebody_else_each_time_then_it_is_believed_behind_a_proxy_alone(
    host: Deployment, terminal: Terminal
) -> None:
    """threats.md T23"""
    token = terminal.run("mission", "token", "create").record["id"]

    def statuses(*words: str) -> set[int]:
        with serving(host, "--listen", "127.0.0.1:0", *words) as (_, url, _said):
            server = Served(port_of(url))
            path = "/api/v1/factory/registrations"
            return {server.ask("GET", path, X_Forwarded_For=f"10.0.0.{n}").status for n in range(12)}

    assert statuses() == {401, 429}
    assert statuses("--behind-proxy") == {401}
    terminal.run("mission", "token", "revoke", token)


def test_a_path_to_listen_on_then_only_its_user_may_and_one_that_is_left_over_is_no_hindrance(
    host: Deployment, tmp_path: Path
) -> None:
    path = tmp_path / "ops.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with serving(host, "--listen", f"unix:{path}") as (process, _, _said):
        assert path.stat().st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        second = host.run("mission", "serve", "--listen", f"unix:{path}")
        assert (second.code, second.record["errors"][0]["code"]) == (1, "cannot_listen")
        assert stopped(process)[0] == 0
    assert not path.exists()


def test_an_order_is_given_then_it_is_told_who_gave_it_and_no_secret(
    host: Deployment, terminal: Terminal, redis: RedisServer
) -> None:
    centre = Centre(redis.url)
    sit(host, centre)
    centre.register("mini-1")
    made = terminal.run("mission", "token", "create").record
    with serving(host) as (process, url, _):
        path, body = "/api/v1/ops/factory/update", b'{"target_factory_id": "mini-1"}'
        replies = [Served(port_of(url)).ask("POST", path, body, x_ua_ops_token=made["token"]) for _ in "12"]
        assert stopped(process)[0] == 0
        said = process.stderr.read() if process.stderr else ""
    job = replies[0].record["job_id"]
    assert said == f"newleaf mission serve: the token {made['id']} orders {job}: an update of mini-1\n"
    terminal.run("mission", "token", "revoke", made["id"])


def test_somebody_listens_there_already_then_it_says_so(terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answer = terminal.run("mission", "serve", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert (answer.code, answer.record["errors"][0]["code"]) == (1, "cannot_listen")


def test_it_is_started_with_sockets_then_it_serves_those_and_says_that_it_is_ready(
    host: Deployment, tmp_path: Path
) -> None:
    words = (*NEWLEAF, "mission", "serve")
    with (
        contextlib.closing(SocketParent(tmp_path)) as parent,
        parent.child(*words, env=host.variables, cwd=host.app) as child,
    ):
        assert parent.heard() == "READY=1"
        server = Served(parent.tcp.getsockname()[1])
        assert server.ask("GET", "/api/v1/health").status == 200
        assert stopped(child.process)[0] == 0


@pytest.mark.parametrize(
    ("missing", "code"), [("uvicorn", "server_missing"), ("redis.asyncio", "redis_missing")]
)
def test_a_library_is_missing_then_it_says_how_to_install_it(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, missing: str, code: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    answer = terminal.run("mission", "serve", "--listen", "127.0.0.1:0")
    assert (answer.code, answer.record["errors"][0]["code"]) == (2, code)
    assert "uv tool install" in answer.record["errors"][0]["cure"]


@pytest.mark.parametrize("words", [("--listen", "8080"), ("--listen", "127.0.0.1:99999"), ("now",)])
def test_wrong_use_then_it_is_said(terminal: Terminal, words: tuple[str, ...]) -> None:
    assert terminal.run("mission", "serve", *words).outcome == "usage"


def test_no_bus_is_configured_then_it_says_so(tmp_path: Path) -> None:
    answer = Deployment.make(tmp_path).run("mission", "serve")
    assert (answer.code, answer.record["errors"][0]["code"]) == (2, "bus_unconfigured")
