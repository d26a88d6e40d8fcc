"""Missions: publishing, delivery to a thousand hosts, what an idle host costs, the way of an order.

Rules: beside each stands what people write first, plain redis-py and one group for all, in the same run on
the same server; Valkey writes its append-only file, and syncs it each second, as production does. A delivery
is counted from publishing to when the host has read it, by the one clock of this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from bench.embedded import DAY_SECONDS, MIB, Daemon, publish_daemon
from bench.facts import NUMBERS, Fact, Facts, measure_all
from bench.ground import Ground, newleaf_program
from bench.measure import DidNotWork
from bench.web_app import wait_until
from examples.stage.redis_server import RedisServer, serve_redis
from newleaf.core.missions.publishing import Wish, make_order
from newleaf.core.missions.streams import Streams
from newleaf.system.redis.bus import RedisRoom

NAME = "missions"
HEAD = "missions on Redis Streams"
HOSTS = Path(__file__).with_name("mission_hosts.py")
PROCESSES = 2

__all__ = ["HEAD", "NAME", "NUMBERS", "Measured", "measure"]


@dataclass(frozen=True)
class Scale:
    """How many, how often, and for how long."""

    missions: int
    hosts: int
    times: int
    idle_seconds: float


FULL, QUICK = Scale(5000, 1000, 20, 60.0), Scale(200, 50, 3, 5.0)


class Measured(Facts):
    """What came of it."""

    head = HEAD


def measure(ground: Ground, *, quick: bool) -> Measured:
    """Measures one after another, on one server."""
    scale = QUICK if quick else FULL
    publish_daemon(ground)
    with serve_redis("valkey", appendfsync="everysec") as server:
        kinds = (_published, _delivered, _costs, _ways)
        return Measured(*measure_all(NAME, [partial(kind, ground, server, scale) for kind in kinds]))


# --- publishing -------------------------------------------------------------------------


def _published(_: Ground, server: RedisServer, scale: Scale) -> list[Fact]:
    """One publisher, one mission after another; each is made, checked as its receivers will, and added."""
    return [
        Fact("missions published a second, one publisher", asyncio.run(_publish(server, scale.missions)), ""),
        Fact("plain XADD a second, redis-py", asyncio.run(_publish_plainly(server, scale.missions)), ""),
    ]


async def _publish(server: RedisServer, count: int) -> float:
    room = RedisRoom(server.url, Streams("bench:published"))
    began = time.monotonic()
    for number in range(count):
        await _order(room, f"host-{number}")
    took = time.monotonic() - began
    await room.close()
    return count / took


async def _order(room: RedisRoom, target: str) -> None:
    """Orders an update."""
    wish = Wish(target=target, context={})
    made = make_order(wish, uuid.uuid4().hex, datetime.now(UTC), room.streams.prefix, None)
    await room.publish(room.streams.towards(made.envelope.target), made.fields)


async def _publish_plainly(server: RedisServer, count: int) -> float:
    client = AsyncRedis.from_url(server.url)
    fields = {"payload": json.dumps({"context": {}}), "mission_kind": "update"}
    began = time.monotonic()
    for number in range(count):
        await client.xadd(f"bench:plain:{number}", fields)
    took = time.monotonic() - began
    await client.aclose()
    return count / took


# --- delivery ---------------------------------------------------------------------------


def _delivered(_: Ground, server: RedisServer, scale: Scale) -> list[Fact]:
    """One mission for everybody, again and again."""
    before = _memory(server)
    with _hosts(server, "newleaf", scale) as hosts:
        a_host = (_memory(server) - before) / scale.hosts
        took = [_broadcast(server, hosts, scale.hosts) for _ in range(scale.times)]
    with _hosts(server, "naive", scale) as hosts:
        naive = [_broadcast(server, hosts, 1) for _ in range(scale.times)]
    every = sorted(seconds for each in took for seconds in each)
    return [
        Fact(f"of {scale.hosts:,} hosts, reached by a mission for all", min(map(len, took)), "", None),
        Fact("the same with one group for all", max(map(len, naive)), ""),
        Fact("delivery, p50", 1000 * every[len(every) // 2], "ms"),
        Fact("delivery, p99", 1000 * every[len(every) * 99 // 100], "ms"),
        Fact("to the last host, longest", 1000 * every[-1], "ms"),
        Fact("of the server's memory, a host with its connection", a_host / 1024, "KiB"),
    ]


@contextlib.contextmanager
def _hosts(server: RedisServer, kind: str, scale: Scale) -> Iterator[Sequence[subprocess.Popen[str]]]:
    """All hosts, in a few processes, from when they wait for news."""
    count = scale.hosts // PROCESSES
    with contextlib.ExitStack() as stack:
        processes = []
        for number in range(PROCESSES):
            words = (server.url, f"bench:{kind}", str(number * count), str(count), kind)
            process = stack.enter_context(_started((sys.executable, str(HOSTS), *words)))
            processes.append(process)
        for process in processes:
            if _line(process) != "ready":
                raise DidNotWork("the hosts do not start")
        yield processes


@contextlib.contextmanager
def _started(argv: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    path = {"PYTHONPATH": str(Path(__file__).parents[1])}
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True, env=path) as process:
        try:
            yield process
        finally:
            process.kill()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def _broadcast(server: RedisServer, hosts: Sequence[subprocess.Popen[str]], wanted: int) -> list[float]:
    """How long each host waited for a mission for all."""
    stream = f"bench:{'newleaf' if wanted > 1 else 'naive'}:all"
    payload = json.dumps({"context": {"at": time.time()}})
    with Redis.from_url(server.url) as client:
        client.xadd(stream, {"payload": payload})
    found: list[float] = []

    def all_have_it() -> bool:
        for host in hosts:
            assert host.stdin
            host.stdin.write("tell\n")
            host.stdin.flush()
            found.extend(json.loads(_line(host)))
        return len(found) >= wanted

    time.sleep(0.2)
    wait_until(all_have_it, "a mission has not reached everybody")
    return found


def _memory(server: RedisServer) -> int:
    with Redis.from_url(server.url) as client:
        return int(_info(client)["used_memory"])


def _info(client: Redis) -> dict[str, Any]:
    return dict(client.info())  # type: ignore[arg-type]


# --- an idle host -----------------------------------------------------------------------


def _costs(ground: Ground, server: RedisServer, scale: Scale) -> list[Fact]:
    """What taking missions takes while there are none: beside the same daemon with its updater alone."""
    bus = {"NEWLEAF_FLEET__REDIS_URL": server.url}
    with (
        Daemon.running(ground, "missions", "missions", **bus) as taking,
        Daemon.running(ground, "updater", "without-missions") as plain,
        Redis.from_url(server.url) as client,
    ):
        time.sleep(3.0)
        before, first = [each.cost() for each in (taking, plain)], _moved(client)
        # To ask is on the wire as well.
        second = _moved(client)
        time.sleep(scale.idle_seconds)
        after, moved = [each.cost() for each in (taking, plain)], _moved(client) - second - (second - first)
    a_day = DAY_SECONDS / scale.idle_seconds
    spent = [(later[0] - earlier[0]) * a_day for earlier, later in zip(before, after, strict=True)]
    return [
        Fact("an idle consumer, a day", spent[0] - spent[1], "CPU-s"),
        Fact("an idle consumer, resident", (after[0][1] - after[1][1]) / MIB, "MiB"),
        Fact("an idle consumer, on the wire, a day", moved * a_day / MIB, "MiB"),
    ]


def _moved(client: Redis) -> int:
    """Bytes that the server has had and sent."""
    told = _info(client)
    return int(told["total_net_input_bytes"]) + int(told["total_net_output_bytes"])


# --- an order's way ---------------------------------------------------------------------


def _ways(ground: Ground, server: RedisServer, scale: Scale) -> list[Fact]:
    """From a call of the endpoint to `restarting`; the plain consumer is gone by then, whatever it did."""
    bus = {"NEWLEAF_FLEET__REDIS_URL": server.url, "NEWLEAF_APP__COMPUTER_NAME": "bench"}
    took, naive = [], []
    with (
        Daemon.running(ground, "missions", "way", **bus) as daemon,
        _headquarters(ground, server) as order_update,
    ):
        for _ in range(scale.times):
            time.sleep(0.5)
            ground.publish()
            began = time.time()
            order_update()
            daemon.await_restart()
            took.append(daemon.entered("restart") - began)
    for number in range(scale.times):
        with Daemon.running(ground, "naive", f"naive-{number}", **bus) as daemon:
            ground.publish()
            began = time.time()
            with Redis.from_url(server.url) as client:
                client.xadd("naive:updates", {"do": "update"})
            naive.append(daemon.await_end() - began)
            with Redis.from_url(server.url) as client:
                client.delete("naive:updates")
    return [
        Fact("a call of the endpoint to `restarting`, median", statistics.median(took), "s"),
        Fact("plain redis-py, git pull, uv sync, exit, median", statistics.median(naive), "s"),
    ]


@contextlib.contextmanager
def _headquarters(ground: Ground, server: RedisServer) -> Iterator[Callable[[], None]]:
    """`newleaf mission serve`, and what calls it, again where the last order is in flight still."""
    checkout, address = ground.clone("headquarters", synced=True), ground.folder / "ops.sock"
    environment = ground.deployed(checkout) | {
        "NEWLEAF_FLEET__REDIS_URL": server.url,
        "NEWLEAF_FLEET__HEADQUARTERS": "true",
        "NEWLEAF_FLEET__OPS_TOKENS_FILE": str(ground.folder / "ops-tokens.json"),
    }
    call = (*newleaf_program(), "mission")
    token = subprocess.run(
        (*call, "token", "create"),
        cwd=checkout.path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    argv = (*call, "serve", "--listen", f"unix:{address}")
    with subprocess.Popen(argv, cwd=checkout.path, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(address.exists, "the endpoint does not listen")
            yield lambda: wait_until(lambda: _ordered(address, token), "the endpoint takes no order")
        finally:
            process.terminate()


def _ordered(address: Path, token: str) -> bool:
    """Whether the endpoint has taken an order. Raises: DidNotWork for an answer that is none."""
    with socket.socket(socket.AF_UNIX) as connected:
        connected.connect(str(address))
        body = b'{"target_factory_id": "bench"}'
        head = f"POST /api/v1/ops/factory/update HTTP/1.1\r\nAuthorization: Bearer {token}\r\n"
        head += f"Host: bench\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        connected.sendall(head.encode() + body)
        answer = b"".join(iter(lambda: connected.recv(4096), b""))
    status = answer.split(b" ", 2)[1]
    if status not in (b"202", b"409"):
        raise DidNotWork(f"the endpoint answers {answer.decode(errors='replace')}")
    return status == b"202"
