"""What an ASGI server hands over: bodies within bounds, and in time."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

import pytest

from newleaf.integrations import http_messages
from newleaf.integrations.http_messages import (
    DRAINED_BYTES,
    MAX_BODY_BYTES,
    Unread,
    choose,
    header,
    inner_path,
    last_word,
    live,
    read_body,
    refusal,
    send_answer,
)


def read(*messages: dict[str, Any]) -> tuple[bytes, int]:
    """The body, and how many messages were left."""
    waiting = [{"type": "http.request", **message} for message in messages]

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    return asyncio.run(read_body(receive)), len(waiting)


def refused(*messages: dict[str, Any]) -> int:
    with pytest.raises(Unread) as caught:
        read(*messages)
    return int(caught.value.answer.status)


def test_several_pieces_then_one_body() -> None:
    assert read({"body": b"a", "more_body": True}, {"more_body": True}, {"body": b"b"}) == (b"ab", 0)


def test_t24_as_long_as_it_may_be_then_read_and_a_byte_more_is_413() -> None:
    assert len(read({"body": b"x" * MAX_BODY_BYTES})[0]) == MAX_BODY_BYTES
    assert refused({"body": b"x" * MAX_BODY_BYTES, "more_body": True}, {"body": b"x"}) == 413


def test_t24_without_an_end_then_it_is_not_read_to_it() -> None:
    piece = {"body": b"x" * MAX_BODY_BYTES, "more_body": True}
    assert refused(*[piece] * (DRAINED_BYTES // MAX_BODY_BYTES + 1)) == 413


def test_it_does_not_come_then_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_messages, "BODY_SECONDS", 0.02)
    assert refused({"body": b"x", "more_body": True}) == 408


def test_the_caller_is_gone_then_400() -> None:
    assert refused({"type": "http.disconnect"}) == 400


def test_a_header_then_the_first_of_its_name() -> None:
    scope = {"headers": [(b"X-A", b"1"), (b"x-a", b"2")]}
    assert (header(scope, b"x-a"), header(scope, b"x-b")) == (b"1", b"")


def test_an_answer_then_json_that_no_cache_keeps() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    refused = refusal(HTTPStatus.TOO_MANY_REQUESTS, "wait", Retry_After="7")
    asyncio.run(send_answer({"method": "GET"}, send, refused))
    headers = dict(sent[0]["headers"])
    assert sent[0]["status"] == 429
    assert (headers[b"retry-after"], headers[b"cache-control"]) == (b"7", b"no-store")
    assert int(headers[b"content-length"]) == len(sent[1]["body"])
    assert json.loads(sent[1]["body"]) == {"schema": 1, "error": "wait"}
    asyncio.run(send_answer({"method": "HEAD"}, send, refused))
    assert sent[2] == sent[0]
    assert sent[3]["body"] == b""


async def handler(_scope: Any, _receive: Any) -> Any:
    raise AssertionError


@pytest.mark.parametrize(
    ("known", "asked", "allowed"),
    [
        ({"GET": handler}, "GET", None),
        ({"GET": handler}, "HEAD", None),
        ({"POST": handler}, "HEAD", "POST"),
        ({"GET": handler, "POST": handler}, "PUT", "GET, HEAD, POST"),
    ],
)
def test_a_method_then_who_answers_with_it_and_head_is_as_get(
    known: dict[str, Any], asked: str, allowed: str | None
) -> None:
    if allowed is None:
        assert choose(known, {"method": asked}) is handler
        return
    with pytest.raises(Unread) as caught:
        choose(known, {"method": asked})
    assert (caught.value.answer.status, caught.value.answer.headers["Allow"]) == (405, allowed)


@pytest.mark.parametrize("path", ["/x/orders/1", "/x/orders/1/"])
def test_a_path_then_what_it_names(path: str) -> None:
    assert last_word({"path": path}) == "1"


@pytest.mark.parametrize(
    ("path", "root", "found"),
    [
        ("/api/x", "", ("/x", True)),
        ("/api/x/", "", ("/x", True)),
        ("/fleet/api/x/", "/fleet", ("/x", True)),
        ("/api/x//", "", ("/x/", True)),
        ("/api", "", ("/api", False)),
        ("/apix", "", ("/apix", False)),
        ("/fleet/api/x", "/fleet", ("/x", True)),
        ("/api/x", "/fleet", ("/x", True)),
        ("/api/x", "/api", ("/x", True)),
        ("/fleet/api/x", "/fleet/api/", ("/x", True)),
        ("/fleet/x", "/fleet", ("/x", False)),
    ],
)
def test_a_path_then_what_is_below_the_prefix_wherever_it_is_mounted(
    path: str, root: str, found: tuple[str, bool]
) -> None:
    assert inner_path({"path": path, "root_path": root}, "/api") == found


def test_a_server_begins_and_ends_then_so_does_the_app() -> None:
    said: list[str] = []
    waiting = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        said.append(message["type"])

    async def work(word: str) -> None:
        said.append(word)

    asyncio.run(live(receive, send, lambda: work("begin"), lambda: work("end")))
    assert said == ["begin", "lifespan.startup.complete", "end", "lifespan.shutdown.complete"]
