"""What an ASGI server hands over and takes back: a body within bounds, an answer in JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any

from msgspec import Struct

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Work = Callable[[], Awaitable[None]]
Handler = Callable[[Scope, Receive], Awaitable["Answer"]]

MAX_BODY_BYTES = 1024 * 1024
DRAINED_BYTES = 4 * MAX_BODY_BYTES
"""Of what is too long: read and dropped, because who is still sending would not see the answer."""
BODY_SECONDS = 10.0


class Answer(Struct, frozen=True):
    """What is answered."""

    status: HTTPStatus
    record: Mapping[str, Any]
    headers: Mapping[str, str] = {}


class Unread(Exception):
    """A request that is not even read, and what is answered."""

    def __init__(self, status: HTTPStatus, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.answer = refusal(status, reason, **headers)


def refusal(status: HTTPStatus, reason: str, **headers: str) -> Answer:
    """Why nothing is done."""
    return Answer(
        status, {"schema": 1, "error": reason}, {k.replace("_", "-"): v for k, v in headers.items()}
    )


def header(scope: Scope, name: bytes) -> bytes:
    """The first header of this name, as it came; empty when there is none."""
    return next((bytes(value) for key, value in scope["headers"] if key.lower() == name), b"")


def inner_path(scope: Scope, prefix: str) -> tuple[str, bool]:
    """The path below `prefix`, wherever this is mounted, with the prefix or at it; whether it is there.

    With a slash at its end it is the same path.
    """
    path = str(scope["path"]).removesuffix("/")
    root = str(scope.get("root_path", "")).rstrip("/")
    is_mounted = bool(root) and path.startswith(root + "/")
    inner = path[len(root) :] if is_mounted else path
    if inner.startswith(prefix + "/"):
        return inner[len(prefix) :], True
    return inner, is_mounted and root.endswith(prefix)


def last_word(scope: Scope) -> str:
    """What a path names at its end."""
    return str(scope["path"]).removesuffix("/").rpartition("/")[2]


def choose(handlers: Mapping[str, Handler], scope: Scope) -> Handler:
    """Who answers with this method; HEAD gets what GET would, and `send_answer` keeps the body back.

    Raises: Unread.
    """
    method = "GET" if _is_head(scope) else scope["method"]
    if method not in handlers:
        allowed = ", ".join(f"{name}, HEAD" if name == "GET" else name for name in handlers)
        raise Unread(HTTPStatus.METHOD_NOT_ALLOWED, "another method is meant", Allow=allowed)
    return handlers[method]


def _is_head(scope: Scope) -> bool:
    return bool(scope["method"] == "HEAD")


async def live(receive: Receive, send: Send, begin: Work, end: Work) -> None:
    """An app that is served by itself begins and ends with its server."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await begin()
            await send({"type": "lifespan.startup.complete"})
        else:
            await end()
            await send({"type": "lifespan.shutdown.complete"})
            return


async def read_body(receive: Receive) -> bytes:
    """The whole body. Raises: Unread."""
    body, length = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Unread(HTTPStatus.BAD_REQUEST, "the body ended before its end")
                chunk = message.get("body", b"")
                length += len(chunk)
                if length <= MAX_BODY_BYTES:
                    body += chunk
                if not message.get("more_body") or length > DRAINED_BYTES:
                    break
    except TimeoutError as error:
        raise Unread(HTTPStatus.REQUEST_TIMEOUT, "the body did not come in time") from error
    if length > MAX_BODY_BYTES:
        raise Unread(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body holds {MAX_BODY_BYTES} bytes at most")
    return bytes(body)


async def send_answer(scope: Scope, send: Send, answer: Answer) -> None:
    """Sends it, for this one caller and no cache."""
    body = json.dumps(answer.record).encode() + b"\n"
    fixed = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
    }
    headers = [(name.lower().encode(), value.encode()) for name, value in {**fixed, **answer.headers}.items()]
    await send({"type": "http.response.start", "status": int(answer.status), "headers": headers})
    await send({"type": "http.response.body", "body": b"" if _is_head(scope) else body})
