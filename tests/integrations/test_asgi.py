"""HTTP on a host, served by a real uvicorn: alone, in FastAPI, in Starlette, and before any app."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from newleaf.agent.desk import Doors
from newleaf.core.orders import OVER
from newleaf.core.releases.channels import Rule
from newleaf.integrations import http_gate
from newleaf.integrations.asgi import HttpDoors
from tests.support.pretended_host import PretendedHost, until
from tests.support.served import Heartbeat, Reply, Served, served

TOKEN, SECRET = "t0ken-canary-3f9a1c", "s3cret-canary-3f9a1c"
BEARER = f"Bearer {TOKEN}"
PUSH = json.dumps({"ref": "refs/heads/main"}).encode()
LONG_HEADERS = 4 * 1024 * 1024


@pytest.fixture
def opened(host: PretendedHost) -> Iterator[Served]:
    """A host whose doors are open, and its server."""
    host.token, host.webhook_secret, host.updates.confirmed = TOKEN, SECRET, True
    with served(HttpDoors(host.doors()), h11_max_incomplete_event_size=LONG_HEADERS) as made:
        yield made


def update(server: Served, body: bytes = b"", token: str | bytes = BEARER, query: str = "") -> Reply:
    return server.ask("POST", f"/newleaf/update{query}", body, Authorization=token)


def webhook(
    server: Served, body: bytes = PUSH, delivery: str = "d1", event: str = "push", signed: bytes | None = None
) -> Reply:
    made = hmac.new(SECRET.encode(), body if signed is None else signed, hashlib.sha256).hexdigest()
    return server.ask(
        "POST",
        "/newleaf/webhook/github",
        body,
        X_Hub_Signature_256=f"sha256={made}",
        X_GitHub_Delivery=delivery,
        X_GitHub_Event=event,
        Content_Type="application/json",
    )


def wait(condition: Callable[[], Any]) -> Any:
    return asyncio.run(until(condition))


# --- status -----------------------------------------------------------------------------------


def test_status_then_the_record_without_a_secret(host: PretendedHost) -> None:
    with served(HttpDoors(host.doors())) as server:
        reply = server.ask("GET", "/newleaf/status")
        assert server.ask("GET", "/newleaf/status/").record == reply.record
        assert server.ask("HEAD", "/newleaf/status").status == 200
    assert (reply.status, reply.record["status"]) == (200, "deployed")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/newleaf/status", 405), ("GET", "/newleaf/update", 405),
     ("GET", "/newleaf/webhook/github", 405), ("GET", "/newleaf/", 404), ("GET", "/", 404),
     ("HEAD", "/newleaf/update", 405), ("GET", "/x/newleaf/status", 404)],
)  # fmt: skip
def test_anything_else_then_404_or_405(opened: Served, method: str, path: str, status: int) -> None:
    assert opened.ask(method, path).status == status


# --- update -----------------------------------------------------------------------------------


def test_the_token_then_202_with_an_order_whose_outcome_is_told_when_asked_for(
    opened: Served, host: PretendedHost
) -> None:
    host.updates.seconds = 0.1
    reply = update(opened)
    assert (reply.status, reply.record["outcome"]) == (202, "accepted")
    path = f"/newleaf/update/{reply.record['order']}"
    assert opened.ask("GET", path).status == 401
    assert opened.ask("GET", path, Authorization=BEARER).status == 202
    wait(lambda: opened.ask("GET", path, Authorization=BEARER).status == 200)
    found = opened.ask("GET", path, Authorization=BEARER).record
    assert (found["outcome"], found["final"], found["order"]) == ("updated", True, reply.record["order"])
    assert opened.ask("GET", "/newleaf/update/nobody", Authorization=BEARER).status == 404


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("updated", 200),
        ("waiting", 202),
        ("refused", 409),
        ("rolled_back", 409),
        ("failed", 500),
        ("inconsistent", 500),
    ],
)
def test_it_waits_for_the_outcome_then_the_status_says_how_it_ended(
    opened: Served, host: PretendedHost, outcome: str, status: int
) -> None:
    """lessons.md L2"""
    host.updates.outcome = outcome
    reply = update(opened, query="?wait=10", body=b" {} ")
    assert (reply.status, reply.record["outcome"]) == (status, outcome)


def test_the_outcome_does_not_come_in_time_then_202(opened: Served, host: PretendedHost) -> None:
    host.updates.seconds = 1.0
    assert update(opened, query="?wait=0.05").status == 202


def test_t23_no_token_is_configured_then_503_whatever_is_given(opened: Served, host: PretendedHost) -> None:
    """lessons.md L40"""
    host.token = None
    for token in (BEARER, "", "Bearer ", "Bearer None"):
        assert update(opened, token=token).status == 503
    assert host.updates.asked == []


@pytest.mark.parametrize(
    ("token", "status"),
    [("Bearer wrong", 401), ("", 401), ("Bearer ", 401), (TOKEN, 401), (f"Basic {TOKEN}", 401),
     ("Bearer t\u00f6ken".encode(), 401), (b"Bearer \xff\xfe", 401), ("Bearer " + "x" * 1_000_000, 413)],
)  # fmt: skip
def test_t23_another_token_then_401_and_a_long_one_413(
    opened: Served, host: PretendedHost, token: str | bytes, status: int
) -> None:
    reply = update(opened, token=token)
    assert reply.status == status
    assert host.updates.asked == []


def test_t23_the_eleventh_failure_in_a_minute_then_429_with_retry_after_also_with_the_token(
    opened: Served, host: PretendedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [update(opened, token="Bearer wrong").status for _ in range(11)] == [401] * 10 + [429]
    reply = update(opened)
    assert reply.status == 429
    assert 50 <= int(reply.headers["retry-after"]) <= 60
    assert host.updates.asked == []
    later = time.monotonic() + 61
    monkeypatch.setattr(http_gate, "monotonic", lambda: later)
    assert update(opened).status == 202


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"x" * 2_000_000, 413), (b"[" * 500_000, 422), (b"{", 422), (b"[]", 422), (b'{"branch": "x"}', 422),
     (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 422)],
)  # fmt: skip
def test_t24_a_body_that_is_long_deep_or_says_anything_then_nothing_is_done(
    opened: Served, host: PretendedHost, body: bytes, status: int
) -> None:
    assert update(opened, body).status == status
    assert host.updates.asked == []


@pytest.mark.parametrize("said", ["x", "-1", "1e9", "nan", "inf"])
def test_no_number_of_seconds_then_422(opened: Served, said: str) -> None:
    assert update(opened, query=f"?wait={said}").status == 422


def test_t24_a_second_update_while_one_runs_then_both_get_an_outcome(
    opened: Served, host: PretendedHost
) -> None:
    """How they share one, `agent.asking` decides."""
    host.updates.seconds = 0.05
    with ThreadPoolExecutor(2) as pool:
        replies = list(pool.map(lambda _: update(opened, query="?wait=10"), range(2)))
    assert [reply.status for reply in replies] == [200, 200]
    assert host.updates.made == 1


# --- webhook ----------------------------------------------------------------------------------


def test_a_push_to_the_branch_then_202_and_an_update(opened: Served, host: PretendedHost) -> None:
    assert webhook(opened).status == 202
    wait(lambda: host.updates.asked == ["webhook"])


def test_t25_one_byte_is_altered_then_401(opened: Served, host: PretendedHost) -> None:
    altered = PUSH[:-2] + b"\x22 }"
    assert webhook(opened, altered, signed=PUSH).status == 401
    assert opened.ask("POST", "/newleaf/webhook/github", PUSH).status == 401
    assert host.updates.asked == []


def test_t25_no_secret_is_configured_then_503(opened: Served, host: PretendedHost) -> None:
    host.webhook_secret = None
    assert webhook(opened).status == 503
    assert host.updates.asked == []


def test_t25_a_delivery_is_seen_again_then_200_and_nothing_done_after_a_restart_too(
    opened: Served, host: PretendedHost
) -> None:
    assert webhook(opened).status == 202
    for server in (opened, None):
        if server:
            reply = webhook(server)
        else:
            with served(HttpDoors(host.doors())) as restarted:
                reply = webhook(restarted)
        assert (reply.status, reply.record["reason"]) == (200, "it was seen before")
    wait(lambda: host.updates.asked == ["webhook"])


def test_t23_signed_wrongly_ten_times_then_429(opened: Served) -> None:
    assert [webhook(opened, signed=b"other").status for _ in range(11)] == [401] * 10 + [429]


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"x" * 2_000_000, 413), (b'{"ref":' + b"[" * 900_000, 422), (b"", 422), (b"[]", 422)],
)
def test_t24_a_webhook_that_is_long_or_deep_then_413_or_422(
    opened: Served, host: PretendedHost, body: bytes, status: int
) -> None:
    assert webhook(opened, body).status == status
    assert host.updates.asked == []


@pytest.mark.parametrize("delivery", ["", "x" * 101, "a\tb"])
def test_no_delivery_is_named_then_400(opened: Served, delivery: str) -> None:
    assert webhook(opened, delivery=delivery).status == 400


def test_what_the_channel_does_not_follow_then_200_and_why(host: PretendedHost) -> None:
    host.rule, host.webhook_secret = Rule(channel="stable", pinned_minor="1.2"), SECRET
    with served(HttpDoors(host.doors())) as server:
        assert "follows stable" in webhook(server).record["reason"]
        for tag, status in (("v1.3.0", 200), ("v1.2.9", 202)):
            body = json.dumps({"action": "published", "release": {"tag_name": tag}}).encode()
            assert webhook(server, body, delivery=tag, event="release").status == status


def test_a_thousand_webhooks_in_a_second_then_the_loop_goes_on(host: PretendedHost) -> None:
    """How many updates that makes, `agent.asking` decides; each is kept, and each once."""
    host.webhook_secret, host.updates.seconds = SECRET, 0.2
    made = hmac.new(SECRET.encode(), PUSH, hashlib.sha256).hexdigest().encode()
    door, statuses, heart = HttpDoors(host.doors()), [], Heartbeat()

    async def deliver(number: int) -> None:
        headers = [
            (b"x-hub-signature-256", b"sha256=" + made),
            (b"x-github-delivery", str(number).encode()),
            (b"x-github-event", b"push"),
        ]
        scope = {"type": "http", "method": "POST", "path": "/newleaf/webhook/github", "headers": headers}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": PUSH}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await door(scope, receive, send)

    async def work() -> None:
        beating = asyncio.ensure_future(heart.beat())
        for count in (1000, 100):
            for part in range(0, count, 50):
                await asyncio.gather(*(deliver(number) for number in range(part, part + 50)))
        await until(lambda: not door._tasks, 30)
        beating.cancel()

    # What the tests before have left would be looked through meanwhile.
    gc.collect()
    gc.freeze()
    try:
        asyncio.run(work())
    finally:
        gc.unfreeze()
    assert sorted(statuses) == [200] * 100 + [202] * 1000
    assert host.updates.made == 1
    assert threading.active_count() < 20
    assert heart.longest_seconds < 0.05


# --- where it is mounted ------------------------------------------------------------------------


async def other(scope: Any, receive: Any, send: Any) -> None:
    """An app of no framework."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send(
        {"type": "http.response.start", "status": 418, "headers": [(b"content-type", b"application/json")]}
    )
    await send({"type": "http.response.body", "body": b"{}"})


def in_fastapi(door: HttpDoors) -> Any:
    app = FastAPI()
    app.mount("/newleaf", door)

    @app.get("/tea")
    async def tea() -> dict[str, str]:
        return {}

    return app


MOUNTED: dict[str, tuple[Callable[[HttpDoors, Doors], Any], str, int]] = {
    "alone": (lambda door, _: door, "/newleaf", 404),
    "in FastAPI": (lambda door, _: in_fastapi(door), "/newleaf", 200),
    "in Starlette below a prefix": (
        lambda door, _: Starlette(routes=[Mount("/api", door)]),
        "/api/newleaf",
        404,
    ),
    "in Starlette at the root": (lambda door, _: Starlette(routes=[Mount("/", door)]), "/newleaf", 404),
    "before an app of no framework": (lambda _, doors: HttpDoors(doors, other), "/newleaf", 418),
}


@pytest.mark.parametrize("way", MOUNTED)
def test_mounted_then_each_door_answers_and_the_app_its_own(host: PretendedHost, way: str) -> None:
    host.token, host.webhook_secret, host.updates.confirmed = TOKEN, SECRET, True
    make, prefix, tea = MOUNTED[way]
    doors = host.doors()
    with served(make(HttpDoors(doors), doors), lifespan="auto") as server:
        assert server.ask("GET", f"{prefix}/status").record["status"] == "deployed"
        assert server.ask("POST", f"{prefix}/update?wait=10", b"", Authorization=BEARER).record["final"]
        assert server.ask("POST", f"{prefix}/webhook/github", PUSH).status == 401
        assert server.ask("GET", "/tea").status == tea


# --- across a restart -----------------------------------------------------------------------------


def test_l4_a_restart_in_the_middle_then_the_next_process_knows_the_outcome(host: PretendedHost) -> None:
    host.token = TOKEN
    with served(HttpDoors(host.doors(lives=False))) as server:
        order = update(server, query="?wait=10").record
        assert (order["outcome"], order["confirmed"], order["final"]) == ("updated", None, False)
    host.updates.tell_end()
    with served(HttpDoors(host.doors())) as server:
        path = f"/newleaf/update/{order['order']}"
        wait(lambda: server.ask("GET", path, Authorization=BEARER).record["final"])
        found = server.ask("GET", path, Authorization=BEARER)
    assert (found.status, found.record["confirmed"]) == (200, True)
    assert host.updates.asked == ["http"]
    kept = host.doors().orders.find(order["order"])
    assert kept
    assert kept.stage == OVER


def test_killed_before_the_update_then_the_next_process_makes_it(host: PretendedHost) -> None:
    host.token, host.updates.confirmed = TOKEN, True
    host.updates.seconds = 20
    with served(HttpDoors(host.doors(lives=False))) as server:
        update(server)
    host.updates.seconds = 0
    with served(HttpDoors(host.doors())):
        wait(lambda: host.updates.made)


def test_orders_cannot_be_kept_then_503_and_nothing_is_done(host: PretendedHost) -> None:
    (host.state / "orders.sqlite").write_bytes(b"broken" * 1000)
    host.token = TOKEN
    with served(HttpDoors(host.doors())) as server:
        reply = update(server)
        assert server.ask("GET", "/newleaf/status").status == 200
    assert (reply.status, reply.record["error"]) == (503, "corrupt_file")
    assert host.updates.asked == []
