"""The operator's endpoint: an ASGI app, to mount in any other, or served by `newleaf mission serve`.

`POST /api/v1/ops/factory/update`, `GET /api/v1/ops/orders/ID`, `POST` and `GET
/api/v1/factory/registrations`, `GET /api/v1/health`, `GET /api/v1/version`, `GET /api/v1/openapi.json`.

Rules: without tokens the endpoint answers 503 and is never open (lessons.md L40); health and version alone
ask for none, and hold no secret. An operator's token does everything; a factory's registers the one host that
it is bound to, and nothing else (threats.md T32). Nothing that a caller sends becomes an
address, a path or an argument (T26). An order is on the bus before it is answered with 202; who orders what
is in flight is told so (T24, L36).
"""

from __future__ import annotations

import asyncio
import json
import logging
from http import HTTPStatus
from time import monotonic
from typing import Any

from msgspec import Struct

from newleaf.agent.missions.headquarters import Operations, Placed
from newleaf.core.credentials import Recent, read_bearer
from newleaf.core.errors import NewleafError
from newleaf.core.missions.mission_errors import BusUnreachable, NotHeadquarters
from newleaf.core.missions.ops_errors import HostUnknown
from newleaf.core.missions.ops_requests import Unfit, read_order, read_registration_of
from newleaf.core.missions.registration import INTERVAL_SECONDS
from newleaf.core.missions.update_orders import Progress
from newleaf.core.ops_tokens import Token, find_token
from newleaf.core.records import short_stamp
from newleaf.integrations.http_gate import Gate, too_long, too_often
from newleaf.integrations.http_messages import (
    Answer,
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
from newleaf.integrations.ops_openapi import describe

__all__ = ["OpsApi"]

PREFIX = "/api/v1"
ORDERS = "/ops/orders/"
MAX_ORDERS = 60
"""That one token may give in a minute; and as many registrations of each host."""
HEALTH_SECONDS = 2.0
RETRY_SECONDS = 5
DISABLED = "ops API disabled"

_log = logging.getLogger("newleaf")


class Admitted(Struct, frozen=True):
    """Who was let in, or what is answered instead."""

    token: Token | None = None
    refused: Answer | None = None


class OpsApi:
    """The ASGI app. `operations` is what `newleaf.operations()` makes of the settings."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._headquarters = operations.headquarters
        self._gate = Gate()
        self._recent = Recent(MAX_ORDERS)
        self._said = ""
        self._handlers: dict[str, dict[str, Handler]] = {
            "/ops/factory/update": {"POST": self._order},
            "/factory/registrations": {"GET": self._list, "POST": self._register},
            "/health": {"GET": self._health},
            "/version": {"GET": self._version},
            "/openapi.json": {"GET": self._openapi},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await live(receive, send, self.begin, self.end)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            await send_answer(scope, send, await self._answer(scope, receive))

    async def begin(self) -> None:
        """There is nothing to begin with: the bus is asked when somebody asks for something."""

    async def end(self) -> None:
        """Lets go of the connections; for who mounts this in an app that does not pass its end on."""
        await self._headquarters.close()

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        handlers = self._find(scope)
        if handlers is None:
            return refusal(HTTPStatus.NOT_FOUND, "there is nothing here")
        try:
            return await choose(handlers, scope)(scope, receive)
        except Unread as error:
            return error.answer
        except Unfit as error:
            return refusal(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        except NewleafError as error:
            return self._failed(error)

    def _find(self, scope: Scope) -> dict[str, Handler] | None:
        inner, is_below = inner_path(scope, PREFIX)
        if not is_below:
            return self._handlers[inner] if inner == "/openapi.json" else None
        if inner.startswith(ORDERS):
            return {"GET": self._progress}
        return self._handlers.get(inner)

    def _failed(self, error: NewleafError) -> Answer:
        if isinstance(error, HostUnknown):
            return refusal(HTTPStatus.NOT_FOUND, "no such host has made itself known")
        if isinstance(error, NotHeadquarters):
            return refusal(HTTPStatus.FORBIDDEN, "only headquarters may order updates")
        if error.message != self._said:
            self._said = error.message
            _log.warning("the operator's endpoint: %s %s", error.message, error.advice)
        reason = "the bus is away" if isinstance(error, BusUnreachable) else error.code
        return refusal(HTTPStatus.SERVICE_UNAVAILABLE, reason, Retry_After=str(RETRY_SECONDS))

    # --- who is let in --------------------------------------------------------------------

    async def _admit(self, scope: Scope, *, factories: bool = False) -> Admitted:
        """Lets in who holds an operator's token, or, where those are meant too, a factory's (T23, T32)."""
        tokens = await self._gate.read(self._operations.tokens)
        if not tokens:
            return Admitted(refused=refusal(HTTPStatus.SERVICE_UNAVAILABLE, DISABLED))
        given = read_bearer(header(scope, b"authorization")) or header(scope, b"x-ua-ops-token")
        refused = too_long(given)
        if refused:
            return Admitted(refused=refused)
        token = find_token(tokens, given)
        refused = self._gate.judge(scope, lambda: token is not None, WWW_Authenticate="Bearer")
        if refused or token is None:
            return Admitted(refused=refused)
        if not (token.is_operators or factories):
            return Admitted(refused=refusal(HTTPStatus.FORBIDDEN, "this token is a factory's"))
        return Admitted(token)

    def _pace(self, token: Token, host: str = "") -> Answer | None:
        who = f"{token.id} {host}"
        refused = too_often(self._recent, who, f"{MAX_ORDERS} in a minute are enough")
        if refused is None:
            self._recent.note(who, monotonic())
        return refused

    # --- orders ---------------------------------------------------------------------------

    async def _order(self, scope: Scope, receive: Receive) -> Answer:
        admitted = await self._admit(scope)
        if admitted.token is None:
            return _of(admitted)
        if not self._headquarters.office.publishes:
            raise NotHeadquarters
        host, branch = read_order(await read_body(receive))
        refused = self._pace(admitted.token)
        if refused:
            return refused
        placed = await self._headquarters.order_update(host, branch)
        if placed.is_new:
            said = placed.ordered
            _log.info("the token %s orders %s: an update of %s", admitted.token.id, said.job_id, said.target)
        return self._told_of(placed, host)

    def _told_of(self, placed: Placed, host: str | None) -> Answer:
        ordered = placed.ordered
        if not placed.is_new:
            said = {"error": "an update for it is in flight", "until": short_stamp(placed.until)}
            return Answer(HTTPStatus.CONFLICT, {"schema": 1, **said, "job_id": ordered.job_id})
        branch = ordered.branch or self._headquarters.office.branch
        record = {"ok": True, "job_id": ordered.job_id, "branch": branch, "target_factory_id": host}
        return Answer(HTTPStatus.ACCEPTED, record)

    async def _progress(self, scope: Scope, _receive: Receive) -> Answer:
        admitted = await self._admit(scope)
        if admitted.token is None:
            return _of(admitted)
        found = await self._headquarters.find(last_word(scope))
        if found is None:
            return refusal(HTTPStatus.NOT_FOUND, "it is not the last order of any host, nor of all")
        return Answer(HTTPStatus.OK, _progress_record(found, is_over=self._is_over(found)))

    def _is_over(self, found: Progress) -> bool:
        return self._headquarters.office.now() >= found.ordered.expires_at

    # --- registrations --------------------------------------------------------------------

    async def _register(self, scope: Scope, receive: Receive) -> Answer:
        admitted = await self._admit(scope, factories=True)
        if admitted.token is None:
            return _of(admitted)
        office = self._headquarters.office
        registration = read_registration_of(await read_body(receive), office.app, office.now())
        if admitted.token.host not in (None, registration.name):
            return refusal(HTTPStatus.FORBIDDEN, "this token is bound to another host")
        # Of one token each host's are counted by themselves, and apart from its orders.
        refused = self._pace(admitted.token, registration.name)
        if refused:
            return refused
        await self._headquarters.register(registration)
        record = {"ok": True, "name": registration.name, "interval_seconds": INTERVAL_SECONDS}
        return Answer(HTTPStatus.OK, record)

    async def _list(self, scope: Scope, _receive: Receive) -> Answer:
        admitted = await self._admit(scope)
        if admitted.token is None:
            return _of(admitted)
        fleet = (await self._headquarters.fleet()).as_record()
        record = {"schema": 1, "target": fleet["target"], "registrations": fleet["hosts"]}
        return Answer(HTTPStatus.OK, record)

    # --- what is open to all ----------------------------------------------------------------

    async def _health(self, _scope: Scope, _receive: Receive) -> Answer:
        bus = "up"
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                await self._headquarters.room.ping()
        except (NewleafError, TimeoutError):
            bus = "down"
        status = HTTPStatus.OK if bus == "up" else HTTPStatus.SERVICE_UNAVAILABLE
        publishes = self._headquarters.office.publishes
        return Answer(status, {"schema": 1, "ok": bus == "up", "bus": bus, "headquarters": publishes})

    async def _version(self, _scope: Scope, _receive: Receive) -> Answer:
        status = await self._operations.updates.status()
        running: Any = status.get("running") or {}
        said = {"version": running.get("version"), "commit": running.get("commit")}
        known = {"app": self._headquarters.office.app, "channel": status.get("channel"), **said}
        return Answer(HTTPStatus.OK, {"schema": 1, "newleaf": self._operations.version, **known})

    async def _openapi(self, _scope: Scope, _receive: Receive) -> Answer:
        # Through JSON, so that nobody changes the document of the next one.
        return Answer(HTTPStatus.OK, json.loads(json.dumps(describe(self._operations.version))))


def _of(admitted: Admitted) -> Answer:
    return admitted.refused or refusal(HTTPStatus.UNAUTHORIZED, "that is not the secret")


def _progress_record(found: Progress, *, is_over: bool) -> dict[str, Any]:
    final = is_over or (bool(found.reports) and not found.missing)
    return {"schema": 1, "outcome": found.outcome(is_over=is_over), "final": final, **found.as_record()}
