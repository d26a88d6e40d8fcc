"""A few words with real servers, and with those that are in trouble."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from newleaf.core.errors import FailedError
from newleaf.core.redis_address import parse_redis_url
from newleaf.core.redis_errors import RedisRefuses, RedisSilent
from newleaf.system.redis.line import MAX_ANSWER_BYTES, RedisLine
from tests.support.redis_server import ENGINES, RedisServer, serve_redis
from tests.support.redis_trouble import HANG, answering

CANARY = "hunter2canary"


@pytest.fixture(scope="module", params=sorted(ENGINES))
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with serve_redis(request.param, requirepass="open sesame") as made:
        yield made


def line(url: str, seconds: float = 2.0) -> RedisLine:
    return RedisLine(parse_redis_url(url), "redis://shown", seconds=seconds)


def at(server: RedisServer, password: str = "open%20sesame", database: int = 0) -> RedisLine:
    return line(f"unix://:{password}@{server.socket}?db={database}")


def test_word_is_set_and_read_in_its_database(server: RedisServer) -> None:
    one, other = at(server), at(server, database=3)
    one.set("key", '{"text": "größer\r\n$5"}')
    other.set("key", "another")
    assert one.get("key") == '{"text": "größer\r\n$5"}'
    assert other.get("key") == "another"
    assert one.get("absent") is None


@pytest.mark.parametrize("size", [0, 1, 20_000, MAX_ANSWER_BYTES - 2])
def test_answer_of_any_size_is_read_whole(server: RedisServer, size: int) -> None:
    at(server).set("long", "x" * size)
    assert at(server).get("long") == "x" * size


def test_wrong_password_is_refused_and_not_told(server: RedisServer) -> None:
    with pytest.raises(RedisRefuses) as refused:
        at(server, CANARY).set("key", "word")
    assert "WRONGPASS" in refused.value.message
    assert CANARY not in repr(refused.value.as_record())


def test_missing_password_is_refused(server: RedisServer) -> None:
    with pytest.raises(RedisRefuses, match="NOAUTH"):
        line(server.url).set("key", "word")


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_server_that_takes_no_more_and_one_that_is_only_read_refuse(engine: str) -> None:
    with serve_redis(engine) as server:
        speak = line(server.url)
        speak.ask(("CONFIG", "SET", "maxmemory", "1"))
        with pytest.raises(RedisRefuses, match="OOM"):
            speak.set("key", "word")
        speak.ask(("CONFIG", "SET", "maxmemory", "0"))
        speak.ask(("REPLICAOF", "127.0.0.1", "1"))
        with pytest.raises(RedisRefuses, match="READONLY"):
            speak.set("key", "word")


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (b"-LOADING it is loading\r\n", RedisRefuses, "LOADING it is loading"),
        (f"-ERR unknown command, with args: '{CANARY}'\r\n".encode(), RedisRefuses, "with args: '****'"),
        (b"-" + b"x" * 1000 + b"\r\n", RedisRefuses, "refuses: xxx"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", RedisSilent, "does not answer as a Redis"),
        (b"$nonsense\r\n", RedisSilent, "does not answer as a Redis"),
        (b"$9999999999\r\n", RedisSilent, "does not answer as a Redis"),
        (b"x" * (2 * MAX_ANSWER_BYTES), RedisSilent, "does not answer as a Redis"),
        (b"", RedisSilent, "hangs up"),
        (b"+OK", RedisSilent, "hangs up"),
        (b"$5\r\nwo", RedisSilent, "hangs up"),
    ],
)
def test_trouble_is_told_and_the_password_never(answer: bytes, kind: type[FailedError], said: str) -> None:
    with (
        answering(answer, f"ada:{CANARY}@") as other,
        pytest.raises(kind) as failed,
    ):
        line(other.url).get("key")
    assert CANARY.encode() in other.told[0]
    assert said in failed.value.message
    assert CANARY not in failed.value.message
    assert len(failed.value.message) < 300


def test_server_that_never_answers_is_left_in_time() -> None:
    began = time.monotonic()
    with answering(HANG) as other, pytest.raises(RedisSilent, match=r"within 0\.2 s"):
        line(other.url, seconds=0.2).set("key", "word")
    assert time.monotonic() - began < 5


def test_nobody_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RedisSilent, match="cannot be reached: No such file"):
        line(f"unix://{tmp_path}/s").set("key", "word")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(RedisSilent, match="cannot be reached: Connection refused"):
        line(f"redis://127.0.0.1:{port}").set("key", "word")
