"""HTTP on a host: an ASGI app of its own, to mount in any other, or to stand before one.

`GET /newleaf/status`, `POST /newleaf/update`, `GET /newleaf/update/ID`, `POST /newleaf/webhook/github`.

Rules: a door without a configured secret is shut and answers 503, never open (lessons.md L40); status alone
asks for none, and holds none. Nothing that a caller sends is a target, an argument or a path: it asks for the
target that the host's own settings choose. An order is kept before it is answered with 202; who asks while an
update runs shares its outcome (L36). The event loop is never held up (L30).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import msgspec

from newleaf.agent.desk import Desk, Doors
from newleaf.core.credentials import is_same, is_signed, read_bearer
from newleaf.core.errors import NewleafError
from newleaf.core.orders import OVER, Order, is_final
from newleaf.core.records import EXIT_CODES
from newleaf.core.releases.webhooks import judge_delivery, read_payload
from newleaf.core.secrets import mask_text
from newleaf.integrations.http_gate import Gate, too_long
from newleaf.integrations.http_messages import (
    Answer,
    App,
    Handler,
    Receive,
    Scope,
    Send,
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

__all__ = ["HttpDoors"]

PREFIX = "/newleaf"
MAX_DELIVERY_CHARACTERS = 100
MAX_WAIT_SECONDS = 600.0
_STATUS_OF_EXIT = {0: HTTPStatus.OK, 4: HTTPStatus.ACCEPTED, 5: HTTPStatus.CONFLICT, 6: HTTPStatus.CONFLICT}

_log = logging.getLogger("newleaf")


class HttpDoors:
    """The ASGI app. `beside` gets every request that is not for newleaf, where this one stands before it."""

    def __init__(self, doors: Doors, beside: App | None = None) -> None:
        self._doors = doors
        self._beside = beside
        self._http = Desk("http", doors)
        self._github = Desk("github", doors)
        self._gate = Gate()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._has_begun = False
        self._handlers: dict[str, dict[str, Handler]] = {
            "/status": {"GET": self._status},
            "/update": {"POST": self._update},
            "/webhook/github": {"POST": self._webhook},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handlers = self._find(scope) if scope["type"] == "http" else None
        if handlers is None and self._beside:
            await self._beside(scope, receive, send)
        elif scope["type"] == "lifespan":
            await live(receive, send, self.begin, self.end)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            await send_answer(scope, send, await self._answer(handlers, scope, receive))

    async def begin(self) -> None:
        """Takes on what the last process has left; the first request does it, where nobody calls this."""
        if self._has_begun:
            return
        self._has_begun = True
        try:
            for desk in (self._http, self._github):
                for order in await desk.claim():
                    self._go_on(self._carry_out(desk, desk.take_on(order)))
        except NewleafError as error:
            _log.warning("orders by HTTP are not taken on: %s %s", error.message, error.advice)

    async def end(self) -> None:
        """Leaves what is under way to the next process."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _find(self, scope: Scope) -> dict[str, Handler] | None:
        """What answers at the path, below wherever this is mounted, with `/newleaf` or at it."""
        inner, is_below = inner_path(scope, PREFIX)
        if not is_below and self._beside:
            return None
        if inner.startswith("/update/"):
            return {"GET": self._order}
        return self._handlers.get(inner)

    async def _answer(self, handlers: dict[str, Handler] | None, scope: Scope, receive: Receive) -> Answer:
        if handlers is None:
            return refusal(HTTPStatus.NOT_FOUND, "there is nothing here")
        try:
            handler = choose(handlers, scope)
            await self.begin()
            return await handler(scope, receive)
        except Unread as error:
            return error.answer
        except NewleafError as error:
            _log.warning("a request was refused: %s %s", error.message, error.advice)
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, error.code)

    # --- status ---------------------------------------------------------------------------

    async def _status(self, _scope: Scope, _receive: Receive) -> Answer:
        record = await self._doors.updates.status()
        return Answer(HTTPStatus.OK if "status" in record else HTTPStatus.SERVICE_UNAVAILABLE, record)

    # --- update ---------------------------------------------------------------------------

    async def _update(self, scope: Scope, receive: Receive) -> Answer:
        refused = await self._judge_token(scope)
        if refused:
            return refused
        body = await read_body(receive)
        if body.strip() and not _is_empty_object(body):
            return refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "an update takes no fields")
        wait_seconds = _wait_seconds(scope)
        if wait_seconds is None:
            return refusal(HTTPStatus.UNPROCESSABLE_ENTITY, f"wait is 0 to {MAX_WAIT_SECONDS:g} seconds")
        identity = self._doors.new_id()
        order = await self._http.accept(identity, "http")
        assert order
        asking = self._go_on(self._http.ask(order))
        self._go_on(self._carry_out(self._http, asking))
        if wait_seconds:
            done, _ = await asyncio.wait({asking}, timeout=wait_seconds)
            if done:
                return _told(asking.result())
        return _told(order)

    async def _order(self, scope: Scope, _receive: Receive) -> Answer:
        refused = await self._judge_token(scope)
        if refused:
            return refused
        order = await self._http.find(last_word(scope))
        return _told(order) if order else refusal(HTTPStatus.NOT_FOUND, "no such order is known")

    async def _judge_token(self, scope: Scope) -> Answer | None:
        """Why the caller is not heard; None when it holds the token (threats.md T23)."""
        token = await self._gate.read(self._doors.token)
        if token is None:
            return _shut("http.token_file")
        given = header(scope, b"authorization")
        return too_long(given) or self._gate.judge(
            scope, lambda: is_same(token, read_bearer(given)), WWW_Authenticate="Bearer"
        )

    # --- webhook --------------------------------------------------------------------------

    async def _webhook(self, scope: Scope, receive: Receive) -> Answer:
        secret = await self._gate.read(self._doors.webhook_secret)
        if secret is None:
            return _shut("http.webhook_secret_file")
        body = await read_body(receive)
        signature = header(scope, b"x-hub-signature-256")
        refused = self._gate.judge(scope, lambda: is_signed(secret, body, signature))
        if refused:
            return refused
        delivery, event = (
            header(scope, name).decode("latin-1") for name in (b"x-github-delivery", b"x-github-event")
        )
        if not _is_name(delivery):
            return refusal(HTTPStatus.BAD_REQUEST, "X-GitHub-Delivery names no delivery")
        payload = read_payload(body, header(scope, b"content-type").decode("latin-1"))
        if payload is None:
            return refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "the body is no event of GitHub's")
        ignored = judge_delivery(event, payload, self._doors.rule)
        if ignored:
            return Answer(HTTPStatus.OK, {"schema": 1, "outcome": "ignored", "reason": ignored.reason})
        order = await self._github.accept(delivery, "webhook")
        if order is None:
            return Answer(HTTPStatus.OK, {"schema": 1, "outcome": "ignored", "reason": "it was seen before"})
        self._go_on(self._github.ask(order, stage=OVER))
        return _told(order)

    # --- what goes on behind the answer -----------------------------------------------------

    @staticmethod
    async def _carry_out(desk: Desk, asking: Awaitable[Order]) -> None:
        await desk.end(await desk.follow(await asking))

    def _go_on(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error:
            _log.warning("an order by HTTP was left: %s: %s", type(error).__name__, mask_text(str(error)))


def _told(order: Order) -> Answer:
    """An order, and what is known of its update so far."""
    record = {"schema": 1, "order": order.id, "outcome": "accepted", "final": False}
    if order.record is None:
        return Answer(HTTPStatus.ACCEPTED, record)
    outcome = str(order.record.get("outcome"))
    status = _STATUS_OF_EXIT.get(EXIT_CODES.get(outcome, 1), HTTPStatus.INTERNAL_SERVER_ERROR)
    return Answer(status, {**record, **order.record, "final": is_final(order.record)})


def _shut(key: str) -> Answer:
    return refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"this door is shut: {key} names no secret")


def _is_name(delivery: str) -> bool:
    return 0 < len(delivery) <= MAX_DELIVERY_CHARACTERS and delivery.isascii() and delivery.isprintable()


def _is_empty_object(body: bytes) -> bool:
    try:
        return bool(msgspec.json.decode(body) == {})
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False


def _wait_seconds(scope: Scope) -> float | None:
    """How long the caller waits; None when what is said is no such number."""
    said = parse_qs(bytes(scope.get("query_string", b"")).decode("latin-1")).get("wait", ["0"])[0]
    try:
        seconds = float(said)
    except ValueError:
        return None
    return seconds if 0 <= seconds <= MAX_WAIT_SECONDS else None
