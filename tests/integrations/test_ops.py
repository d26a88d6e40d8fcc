"""The operator's endpoint, served by a real uvicorn over a real bus: every answer that it has."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI

from newleaf.core.missions.envelope import Envelope, read_envelope, read_fields
from newleaf.core.missions.results import MissionResult
from newleaf.core.records import moment
from newleaf.integrations import http_gate, http_messages, ops
from newleaf.integrations.ops import OpsApi
from tests.support.headquarters import FACTORY, OPS, Centre, token
from tests.support.missions import STREAMS, consumer, quickly, running
from tests.support.pretended_host import THERE, PretendedHost
from tests.support.redis_server import RedisServer, serve_redis
from tests.support.served import Heartbeat, Reply, Served, served

UPDATE, REGISTRATIONS = "/api/v1/ops/factory/update", "/api/v1/factory/registrations"
LONG_HEADERS = 4 * 1024 * 1024
GUARDED = [("POST", UPDATE), ("GET", "/api/v1/ops/orders/x"), ("GET", REGISTRATIONS), ("POST", REGISTRATIONS)]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with serve_redis(appendonly="no") as server:
        yield server


@pytest.fixture
def centre(redis: RedisServer) -> Centre:
    """Headquarters with two hosts."""
    return Centre.with_hosts(redis.url, "mini-1", "mini-2")


class Changing:
    """One server for many endpoints, one after another: starting one takes longer than what is tried here."""

    def __init__(self) -> None:
        self.api: OpsApi | None = None
        self._known: OpsApi | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._known not in (None, self.api):
            await self._known.end()
        self._known = self.api
        if self.api:
            await self.api(scope, receive, send)
        else:
            await http_messages.live(receive, send, self._begin, self._end)

    async def _begin(self) -> None:
        pass

    async def _end(self) -> None:
        if self._known:
            await self._known.end()


@pytest.fixture(scope="module")
def changing() -> Iterator[tuple[Changing, Served]]:
    app = Changing()
    with served(app, http="h11", h11_max_incomplete_event_size=LONG_HEADERS) as made:
        yield app, made


@pytest.fixture
def opened(centre: Centre, changing: tuple[Changing, Served]) -> Served:
    """The endpoint of the two."""
    app, server = changing
    app.api = OpsApi(centre.operations())
    return server


def order(
    server: Served, host: str | None = None, given: str | bytes = f"Bearer {OPS}", **said: Any
) -> Reply:
    body = {**({"target_factory_id": host} if host else {}), **said}
    return server.ask("POST", UPDATE, json.dumps(body).encode(), Authorization=given)


def register(server: Served, name: str = "mini-1", given: str = FACTORY, **said: Any) -> Reply:
    body = json.dumps({"name": name, **said}).encode()
    return server.ask("POST", REGISTRATIONS, body, Authorization=f"Bearer {given}")


def look(server: Served, path: str = REGISTRATIONS, given: str = OPS) -> Reply:
    return server.ask("GET", path, Authorization=f"Bearer {given}")


def envelope_of(fields: Any) -> Envelope:
    return read_envelope(read_fields(fields))


# --- orders -----------------------------------------------------------------------------------


def test_a_host_is_ordered_to_update_then_202_and_the_order_lies_on_its_stream(
    centre: Centre, opened: Served
) -> None:
    reply = order(opened, "mini-1", branch="main")
    (entry,) = centre.published("mini-1")
    made = envelope_of(entry.fields)
    assert (reply.status, reply.record) == (
        202,
        {"ok": True, "job_id": made.job_id, "branch": "main", "target_factory_id": "mini-1"},
    )
    assert (made.mission_kind, made.target.text) == ("system:update_factory", "mini-1")
    assert made.context == {"branch": "main"}
    assert centre.published() == []


def test_all_are_ordered_to_update_then_202_and_each_follows_its_own_branch(
    centre: Centre, opened: Served
) -> None:
    reply = order(opened)
    (entry,) = centre.published()
    made = envelope_of(entry.fields)
    assert (reply.status, reply.record) == (
        202,
        {"ok": True, "job_id": made.job_id, "branch": "main", "target_factory_id": None},
    )
    assert (made.target.text, made.context) == ("*", {})


def test_the_token_comes_in_a_header_of_its_own_then_it_is_heard_too(opened: Served) -> None:
    assert opened.ask("POST", UPDATE, b"{}", x_ua_ops_token=OPS).status == 202
    reply = opened.ask("GET", REGISTRATIONS, Authorization="Basic b3RoZXI6eA==", x_ua_ops_token=OPS)
    assert reply.status == 200


def test_a_host_that_nobody_knows_then_404(centre: Centre, opened: Served) -> None:
    assert order(opened, "mini-3").status == 404
    assert centre.published("mini-3") == []


def test_another_node_than_headquarters_then_403(redis: RedisServer) -> None:
    centre = Centre(redis.url, publishes=False)
    centre.register("mini-1")
    with served(OpsApi(centre.operations())) as server:
        reply = order(server, "mini-1")
        assert (reply.status, "headquarters" in reply.record["error"]) == (403, True)
        assert look(server).status == 200
    assert centre.published("mini-1") == []


def test_t24_an_update_for_it_is_in_flight_then_409_with_its_job_id_until_it_is_over(
    centre: Centre, opened: Served
) -> None:
    first = order(opened, "mini-1").record["job_id"]
    reply = order(opened, "mini-1")
    assert (reply.status, reply.record["job_id"]) == (409, first)
    day = moment(reply.record["until"]) - centre.now()
    assert timedelta(hours=23) < day < timedelta(days=1), "it says when it will be over at the latest"
    assert order(opened, "mini-2").status == 202
    centre.tell("mini-1", first)
    assert order(opened, "mini-1").status == 202
    assert len(centre.published("mini-1")) == 2


def test_t24_an_update_of_all_is_in_flight_then_409_until_each_has_told(
    centre: Centre, opened: Served
) -> None:
    first = order(opened).record["job_id"]
    for host in (None, "mini-1", "mini-2"):
        reply = order(opened, host)
        assert (reply.status, reply.record["job_id"]) == (409, first)
    centre.tell("mini-1", first)
    assert order(opened).status == 409
    assert order(opened, "mini-1").status == 202
    centre.tell("mini-2", first)
    assert order(opened).status == 202


def test_an_order_is_asked_for_then_what_came_of_it_so_far(centre: Centre, opened: Served) -> None:
    first = order(opened).record["job_id"]
    path = f"/api/v1/ops/orders/{first}"
    record = look(opened, path).record
    assert (record["outcome"], record["final"], record["missing"]) == ("waiting", False, ["mini-1", "mini-2"])
    centre.tell("mini-1", first)
    centre.tell("mini-2", first, MissionResult("FAILED", "rolled_back", {"outcome": "rolled_back"}))
    record = look(opened, path).record
    assert (record["outcome"], record["final"], record["missing"]) == ("rolled_back", True, [])
    assert [(said["host"], said["status"]) for said in record["results"]] == [
        ("mini-1", "SUCCESS"),
        ("mini-2", "FAILED"),
    ]
    assert look(opened, "/api/v1/ops/orders/another").status == 404


def test_an_order_has_expired_then_who_told_nothing_has_failed(centre: Centre, opened: Served) -> None:
    first = order(opened, "mini-1").record["job_id"]
    centre.later = timedelta(days=2)
    record = look(opened, f"/api/v1/ops/orders/{first}").record
    assert (record["outcome"], record["final"]) == ("failed", True)
    assert order(opened, "mini-1").status == 202


# --- who is let in ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "status"),
    [("", 401), ("Bearer ", 401), ("Bearer wrong", 401), (OPS, 401), (f"Bearer {OPS}x", 401),
     (b"Bearer \xff\xfe", 401), ("Bearer gehéim".encode(), 401), (f"Bearer {'x' * 1_000_000}", 413)],
    ids=["none", "empty", "wrong", "no scheme", "longer", "no text", "not ASCII", "1 MB"],
)  # fmt: skip
def test_t23_another_token_then_401_and_a_long_one_413(
    centre: Centre, opened: Served, given: str | bytes, status: int
) -> None:
    reply = order(opened, "mini-1", given)
    assert reply.status == status
    if status == 401:
        assert reply.headers["www-authenticate"] == "Bearer"
    assert centre.published("mini-1") == []


def test_t23_the_eleventh_failure_in_a_minute_then_429_with_retry_after_also_with_the_token(
    opened: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses = [order(opened, "mini-1", "Bearer wrong").status for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    reply = order(opened, "mini-1")
    assert reply.status == 429
    assert 50 <= int(reply.headers["retry-after"]) <= 60
    later = time.monotonic() + 61
    monkeypatch.setattr(http_gate, "monotonic", lambda: later)
    assert order(opened, "mini-1").status == 202


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_l40_no_token_is_known_then_503_whatever_is_given(
    centre: Centre, opened: Served, method: str, path: str
) -> None:
    centre.tokens.clear()
    for given in (f"Bearer {OPS}", "Bearer ", ""):
        reply = opened.ask(method, path, b"{}" if method == "POST" else None, Authorization=given)
        assert (reply.status, reply.record["error"]) == (503, "ops API disabled")
    assert centre.published() == []


def test_t32_a_factory_s_token_is_used_for_the_ops_api_then_403(centre: Centre, opened: Served) -> None:
    assert order(opened, "mini-1", f"Bearer {FACTORY}").status == 403
    assert look(opened, given=FACTORY).status == 403
    assert look(opened, "/api/v1/ops/orders/x", FACTORY).status == 403
    assert centre.published("mini-1") == []


def test_t32_a_factory_s_token_is_used_for_another_host_s_name_then_403(
    centre: Centre, opened: Served
) -> None:
    assert register(opened, "mini-2", status="deployed").status == 403
    assert register(opened, "mini-9").status == 403
    known = {host["name"]: host["status"] for host in look(opened).record["registrations"]}
    assert known == {"mini-1": "", "mini-2": ""}


def test_a_token_is_revoked_then_it_is_refused_at_once(centre: Centre, opened: Served) -> None:
    centre.tokens.append(token("another"))
    assert look(opened, given="another").status == 200
    centre.tokens.pop()
    assert look(opened, given="another").status == 401


# --- what is said -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"x" * 2_000_000, 413), (b"[" * 500_000, 422), (b"", 422), (b"{", 422), (b"[]", 422), (b"null", 422),
     (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 422), (b'{"url": "http://x"}', 422),
     (b'{"target_factory_id": "*"}', 422), (b'{"target_factory_id": ""}', 422),
     (b'{"target_factory_id": "mini-1\\n"}', 422), (b'{"target_factory_id": ["mini-1"]}', 422),
     (b'{"target_factory_id": "mini-1", "branch": "--upload-pack=x"}', 422), (b'{"branch": 1}', 422)],
)  # fmt: skip
def test_t24_a_body_that_is_long_deep_or_says_anything_else_then_nothing_is_ordered(
    centre: Centre, opened: Served, body: bytes, status: int
) -> None:
    reply = opened.ask("POST", UPDATE, body, Authorization=f"Bearer {OPS}")
    assert reply.status == status
    assert centre.published() == centre.published("mini-1") == []


def test_so_many_orders_in_a_minute_then_429_with_retry_after(
    centre: Centre, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "MAX_ORDERS", 3)
    with served(OpsApi(centre.operations())) as server:
        assert [order(server, "mini-1").status for _ in range(4)] == [202, 409, 409, 429]
        assert int(order(server, "mini-2").headers["retry-after"]) <= 60
        assert look(server).status == 200
        assert [register(server).status for _ in range(4)] == [200, 200, 200, 429]
        # Hosts that share a token are no burden to each other, nor to orders.
        assert [register(server, "mini-2", OPS).status for _ in range(4)] == [200, 200, 200, 429]
        assert register(server, "mini-3", OPS).status == 200


# --- registrations ----------------------------------------------------------------------------


def test_a_factory_registers_then_it_is_known_with_what_it_runs_and_when_it_was_heard(
    centre: Centre, opened: Served
) -> None:
    said: dict[str, Any] = {
        "labels": {"role": "worker"},
        "capabilities": ["gpu"],
        "version": "1.0.0",
        "commit": "a" * 40,
    }
    reply = register(opened, **said, status="deployed")
    assert (reply.status, reply.record) == (200, {"ok": True, "name": "mini-1", "interval_seconds": 15.0})
    centre.later = timedelta(seconds=20)
    first = look(opened).record["registrations"][0]
    assert {name: first[name] for name in said} == said
    assert (first["name"], first["status"], first["silent"]) == ("mini-1", "deployed", False)
    assert 20 <= first["age_seconds"] < 40
    centre.later = timedelta(seconds=60)
    assert [host["silent"] for host in look(opened).record["registrations"]] == [True, True]


def test_an_operator_s_token_registers_then_any_host_as_it_may_order_any(opened: Served) -> None:
    """The contract knows one credential for all of the endpoint."""
    assert [register(opened, name, OPS).status for name in ("mini-1", "mini-9")] == [200, 200]
    known = [host["name"] for host in look(opened).record["registrations"]]
    assert known == ["mini-1", "mini-2", "mini-9"]


@pytest.mark.parametrize(
    "said",
    [{"labels": ["a"]}, {"labels": {"a b": "c"}}, {"labels": {"a": 1}}, {"capabilities": "gpu"},
     {"capabilities": ["a b"]}, {"capabilities": ["a"] * 65}, {"commit": "main"}, {"version": ""},
     {"status": "all is well"}, {"at": "2030-01-01T00:00:00Z"}, {"url": "http://x"},
     {"labels": {f"{'k' * 96}{n}": "x" * 100 for n in range(64)}, "capabilities": ["y" * 99] * 64},
     {"name": "mini 1"}, {"name": None}],
)  # fmt: skip
def test_a_registration_that_says_anything_else_then_422(opened: Served, said: dict[str, Any]) -> None:
    assert register(opened, **said).status == 422


# --- what is open -----------------------------------------------------------------------------


def test_health_and_version_then_an_answer_without_a_token_and_no_secret(opened: Served) -> None:
    health, version = opened.ask("GET", "/api/v1/health"), opened.ask("GET", "/api/v1/version")
    assert (health.status, health.record) == (
        200,
        {"schema": 1, "ok": True, "bus": "up", "headquarters": True},
    )
    assert version.record == {
        "schema": 1,
        "newleaf": "9.9.9",
        "app": "sessions",
        "channel": "alpha",
        "version": "1.0.0",
        "commit": "a" * 40,
    }


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", UPDATE, 405), ("PUT", REGISTRATIONS, 405), ("POST", "/api/v1/health", 405), ("GET", "/", 404),
     ("GET", "/api/v1/", 404), ("GET", "/api/v1/ops", 404), ("POST", "/ops/factory/update", 404),
     ("GET", "/openapi.json", 200), ("GET", "/api/v1/openapi.json", 200)],
)  # fmt: skip
def test_another_path_or_method_then_404_or_405(opened: Served, method: str, path: str, status: int) -> None:
    reply = opened.ask(method, path)
    assert reply.status == status
    assert (status != 405) or reply.headers["allow"]


@pytest.mark.parametrize(("mount", "before"), [("/", ""), ("/fleet", "/fleet"), ("/api/v1", "")])
def test_mounted_in_another_app_then_the_same_answers(centre: Centre, mount: str, before: str) -> None:
    api = OpsApi(centre.operations())

    @contextlib.asynccontextmanager
    async def live(_: FastAPI) -> AsyncIterator[None]:
        yield
        await api.end()

    app = FastAPI(lifespan=live)
    app.mount(mount, api)
    with served(app) as server:
        assert server.ask("GET", f"{before}/api/v1/health").status == 200
        body = b'{"target_factory_id": "mini-1"}'
        reply = server.ask("POST", f"{before}{UPDATE}", body, Authorization=f"Bearer {OPS}")
        assert reply.status == 202
        job = reply.record["job_id"]
        assert look(server, f"{before}/api/v1/ops/orders/{job}").record["job_id"] == job


# --- the bus ----------------------------------------------------------------------------------


def test_the_bus_is_down_then_503_and_again_202_when_it_is_back() -> None:
    with serve_redis() as server:
        centre = Centre(server.url)
        centre.register("mini-1")
        with served(OpsApi(centre.operations())) as endpoint:
            assert look(endpoint).status == 200
            server.kill()
            replies = [order(endpoint, "mini-1"), look(endpoint), register(endpoint)]
            assert [reply.status for reply in replies] == [503] * 3
            assert all(reply.headers["retry-after"] for reply in replies)
            health = endpoint.ask("GET", "/api/v1/health")
            assert (health.status, health.record["bus"]) == (503, "down")
            assert endpoint.ask("GET", "/api/v1/version").status == 200
            server.start()
            assert order(endpoint, "mini-1").status == 202
        assert len(centre.published("mini-1")) == 1


def test_l30_a_long_list_of_tokens_and_hosts_then_the_loop_is_never_held_up(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    centre.tokens[:0] = [token(f"t{number}", f"h{number}") for number in range(1000)]
    centre.register(*(f"h{number}" for number in range(200)))
    api, heart = OpsApi(centre.operations()), Heartbeat()

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            beating = asyncio.ensure_future(heart.beat())
            await api(scope, receive, send)
            beating.cancel()
        else:
            await api(scope, receive, send)

    with served(watched) as server:
        assert [look(server).status for _ in range(3)] == [200] * 3
        assert order(server).status == 202
    assert heart.longest_seconds < 0.05


async def later(ask: Callable[[], Reply], is_right: Callable[[Reply], bool]) -> Reply:
    """The first reply that is right, the loop going on meanwhile."""
    while not is_right(reply := await asyncio.to_thread(ask)):  # noqa: ASYNC110 - it is the server's
        await asyncio.sleep(0.02)
    return reply


def test_a_host_takes_missions_then_it_is_known_and_an_order_is_followed_to_what_runs(
    host: PretendedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    quickly(monkeypatch)
    host.updates.confirmed = True
    with serve_redis(appendonly="no") as redis:
        centre = Centre(redis.url, streams=STREAMS)
        with served(OpsApi(centre.operations())) as server:

            async def life() -> Reply:
                async with asyncio.timeout(20), running(consumer(host, redis.url)):
                    reply = await later(lambda: order(server, "mini-1"), lambda reply: reply.status != 404)
                    path = f"/api/v1/ops/orders/{reply.record['job_id']}"
                    return await later(lambda: look(server, path), lambda reply: reply.record["final"])

            record = asyncio.run(life()).record
            (known,) = look(server).record["registrations"]
    assert (record["outcome"], record["results"][0]["result"]["updated_to"]) == ("updated", THERE.commit)
    assert (known["name"], known["commit"], known["silent"]) == ("mini-1", "a" * 40, False)
    assert host.updates.made == 1
