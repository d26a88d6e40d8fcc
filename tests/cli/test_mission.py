"""`mission publish`, `listen` and `dead`, as people and programs call them."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from newleaf.compose import missions
from newleaf.core.missions.kinds import PAUSE
from newleaf.core.missions.mission_errors import RedisMissing
from tests.support.buses import on_bus, write_keys
from tests.support.deployment import Deployment, wait_until
from tests.support.redis_server import ENGINES, RedisServer, serve_redis
from tests.support.terminal import Terminal


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with serve_redis(request.param) as server:
        yield server


@pytest.fixture
def server(engine: RedisServer, host: Deployment) -> RedisServer:
    on_bus(host, engine.url)
    return engine


@contextlib.contextmanager
def listening(host: Deployment) -> Iterator[Any]:
    process = host.start("mission", "listen")
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (0, ""), errors


def test_published_and_listened_to_then_updated_and_its_result_is_the_exit_code(
    host: Deployment, terminal: Terminal, server: RedisServer
) -> None:
    commit = host.release("1.1.0")
    with listening(host):
        answer = terminal.run("mission", "publish", "--target", "mini-1", "--wait", "40", "--timeout", "4s")
        # Nothing reports what runs here (`restart.mode` none): that is no success, and the reason is said.
        assert host.head() == commit
        assert (answer.code, answer.outcome, answer.record["silent"]) == (1, "failed", [])
        [result] = answer.record["results"]
        assert (result["host"], result["status"]) == ("mini-1", "FAILED")
        assert result["job_id"] == answer.record["job_id"]
        assert "no process has reported it" in result["error"]
        again = terminal.run("mission", "publish", "--target", "*", "--wait", "40s", "--key", "x")
        assert (again.code, again.outcome) == (2, "usage")
        again = terminal.run("mission", "publish", "--target", "*", "--wait", "40s")
        assert (again.code, again.record["results"][0]["result"]["outcome"]) == (1, "up_to_date"), again
        pause = terminal.run("mission", "publish", "--target", "*", "--kind", PAUSE, "--wait", "40s")
        assert (pause.code, pause.outcome) == (0, "ok"), pause


def test_nobody_listens_then_it_is_published_and_with_wait_the_silent_are_named(
    terminal: Terminal, server: RedisServer
) -> None:
    answer = terminal.run("mission", "publish", "--target", "mini-1", "--context", '{"version": "1.0.0"}')
    assert (answer.code, answer.outcome) == (0, "ok")
    assert answer.record["stream"] == "newleaf:sessions:missions:host:mini-1"
    waited = terminal.run("mission", "publish", "--target", "mini-9", "--wait", "0.1")
    assert (waited.code, waited.outcome, waited.record["silent"]) == (4, "waiting", ["mini-9"])
    code, output, errors = terminal.text("mission", "publish", "--target", "role=x", "--wait", "0.1")
    assert (code, errors) == (4, "")
    assert "nobody is known that is meant" in output


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["publish"], 2, "--target"),
        (["publish", "--target", "a b"], 5, "target"),
        (["publish", "--target", "x", "--kind", "a b"], 5, "mission_kind"),
        (["publish", "--target", "x", "--context", "{"], 2, "no JSON"),
        (["publish", "--target", "x", "--context", "[]"], 2, "object"),
        (["publish", "--target", "x", "--context", "[" * 50_000], 2, "no JSON"),
        (["publish", "--target", "x", "--context", json.dumps({"x": "y" * 70_000})], 5, "too_large"),
        (["publish", "--target", "x", "--expires", "30 days"], 5, "expires_at"),
        (["publish", "--target", "x", "--timeout", "soon"], 2, "number of seconds"),
        (["publish", "--target", "x", "--key", "nobody"], 2, "no key nobody"),
        (["dead", "--requeue", "1-0", "--drop", "1-0"], 2, "exclude"),
        (["dead", "--requeue", "1-0"], 2, "no dead letter 1-0"),
        (["dead", "--drop", "nonsense"], 2, "no dead letter nonsense"),
        (["unheard-of"], 2, "unheard-of"),
        ([], 2, "Missing command"),
    ],
)
def test_wrong_use_then_said_and_nothing_is_published(
    terminal: Terminal, server: RedisServer, arguments: list[str], code: int, said: str
) -> None:
    answer = terminal.run("mission", *arguments)
    assert answer.code == code, answer
    assert said in answer.record["errors"][0]["message"]


def test_this_is_not_headquarters_then_it_may_not_publish(
    host: Deployment, terminal: Terminal, engine: RedisServer
) -> None:
    host.host_settings(f'[fleet]\nredis_url = "{engine.url}"\n')
    answer = terminal.run("mission", "publish", "--target", "*")
    assert (answer.code, answer.outcome) == (5, "refused")
    assert terminal.run("mission", "dead", "--requeue", "1-0").outcome == "refused"
    assert terminal.run("mission", "dead").outcome == "ok"


@pytest.mark.parametrize("verb", [["publish", "--target", "*"], ["listen"], ["dead"]])
def test_no_bus_is_configured_or_redis_is_not_installed_or_it_is_down_then_said_with_the_cure(
    host: Deployment, terminal: Terminal, monkeypatch: pytest.MonkeyPatch, verb: list[str]
) -> None:
    host.host_settings("[fleet]\nheadquarters = true\n")
    answer = terminal.run("mission", *verb)
    assert (answer.code, answer.record["errors"][0]["code"]) == (2, "bus_unconfigured")
    on_bus(host, "unix:///nowhere/redis.sock")
    if verb != ["listen"]:
        answer = terminal.run("mission", *verb)
        assert (answer.code, answer.record["errors"][0]["code"]) == (1, "bus_unreachable")

    def missing() -> None:
        raise RedisMissing

    monkeypatch.setattr(missions, "_require_redis", missing)
    answer = terminal.run("mission", *verb)
    assert (answer.code, answer.record["errors"][0]["code"]) == (2, "redis_missing")


def test_it_has_keys_then_it_is_signed_and_a_dead_letter_is_ordered_once_more_or_dropped(
    host: Deployment, terminal: Terminal, engine: RedisServer, tmp_path: Path
) -> None:
    on_bus(host, engine.url, f'mission_keys = "{write_keys(tmp_path)}"\nstream_prefix = "{tmp_path.name}"\n')
    with listening(host):
        answer = terminal.run("mission", "publish", "--target", "mini-1", "--kind", "app:x", "--wait", "20")
        assert answer.record["results"][0]["rule"] == "unknown_kind", "signed: else it were unsigned"
        stream = f"{tmp_path.name}:host:mini-1"
        _redis(host, engine, "XADD", stream, "*", "hello", "world")
        [letter] = wait_until(lambda: terminal.run("mission", "dead").record["dead"])
    assert (letter["rule"], letter["host"], letter["kind"]) == ("unknown_field", "mini-1", None)
    assert letter["id"] in terminal.text("mission", "dead")[1]
    refused = terminal.run("mission", "dead", "--requeue", letter["id"])
    assert (refused.code, refused.outcome) == (5, "refused")
    assert terminal.run("mission", "dead", "--drop", letter["id"]).outcome == "ok"
    assert terminal.lines("mission", "dead") == ["there is no dead letter"]


def _redis(host: Deployment, server: RedisServer, *words: str) -> None:
    from redis import Redis

    with contextlib.closing(Redis.from_url(server.url, protocol=2)) as client:
        client.execute_command(*words)  # type: ignore[no-untyped-call]
