"""A host's life on a bus that is away, full, emptied or killed; and a host that is killed."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from newleaf.agent.missions.desk import MissionDesk
from newleaf.core.missions.mission_errors import BusUnreachable
from newleaf.core.missions.ports import Entry
from newleaf.core.missions.results import SUCCESS
from tests.support.missions import Counter, Room, consumer, quickly, running
from tests.support.pretended_host import PretendedHost, host, until
from tests.support.redis_server import ENGINES, RedisServer, serve_redis
from tests.support.sentinel import Watched, watched

__all__ = ["host"]

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(params=ENGINES)
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    quickly(monkeypatch)
    with serve_redis(request.param) as made:
        yield made


def run(server: RedisServer | Watched, work: Callable[[Room], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        hq = Room(server.url)
        try:
            async with asyncio.timeout(40):
                return await work(hq)
        finally:
            await hq.room.close()

    return asyncio.run(bounded())


def test_down_at_the_start_then_it_waits_and_goes_on_by_itself(
    host: PretendedHost, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    handler = Counter()

    async def work(hq: Room) -> None:
        made = consumer(host, server.url, [handler])
        task = asyncio.ensure_future(made.run())
        await until(lambda: "cannot be used" in caplog.text)
        await asyncio.sleep(0.3)
        assert caplog.text.count("cannot be used") == 1, "it is said once"
        server.start()
        await until(lambda: made._is_enrolled)
        assert (await hq.report(await hq.publish(kind="app:count"))).status == SUCCESS
        made.stop()
        await task

    run(server, work)


def test_killed_in_the_middle_then_what_was_acknowledged_to_the_publisher_is_done_once(
    host: PretendedHost, server: RedisServer
) -> None:
    """A Redis restarted with its append-only file, while a mission is under way: its result comes later."""
    handler, may_end = Counter(), asyncio.Event()
    handler.ends_with(may_end)

    async def work(hq: Room) -> None:
        async with running(consumer(host, server.url, [handler])):
            orders = [await hq.publish(kind="app:count") for _ in range(3)]
            await until(lambda: handler.done)
            server.kill()
            may_end.set()
            await asyncio.sleep(0.1)
            server.start()
            for order in orders:
                assert (await hq.report(order)).status == SUCCESS
            await hq.settled()
        assert handler.done == orders

    run(server, work)


@pytest.mark.parametrize(
    ("hurt", "heal"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    ],
)
def test_full_or_read_only_then_results_wait_and_nothing_is_lost(
    host: PretendedHost, server: RedisServer, hurt: tuple[str, ...], heal: tuple[str, ...]
) -> None:
    handler = Counter()

    async def work(hq: Room) -> None:
        async with running(consumer(host, server.url, [handler])):
            orders = [await hq.publish(kind="app:count")]
            await hq.report(orders[0])
            orders.append(await hq.publish(kind="app:count"))
            await hq.room._call(*hurt)
            await asyncio.sleep(0.3)
            await hq.room._call(*heal)
            orders.append(await hq.publish(kind="app:count"))
            for order in orders:
                assert (await hq.report(order)).status == SUCCESS
        assert handler.done == orders

    run(server, work)


def test_emptied_then_it_enrolls_again_and_hears_what_was_published_since(
    host: PretendedHost, server: RedisServer
) -> None:
    handler = Counter()

    async def work(hq: Room) -> None:
        async with running(consumer(host, server.url, [handler])):
            first = await hq.publish(kind="app:count", target="*")
            await hq.report(first)
            await hq.room._call("FLUSHALL")
            second = await hq.publish(kind="app:count", target="*")
            assert (await hq.report(second)).status == SUCCESS
        assert handler.done == [first, second]

    run(server, work)


@pytest.mark.parametrize("engine", list(ENGINES)[-1:])
def test_the_primary_dies_then_the_next_one_is_found_by_sentinel_and_nothing_is_done_twice(
    host: PretendedHost, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """A failover is asynchronous: what the new one has not heard of is handed out again, and known."""
    quickly(monkeypatch)
    handler = Counter()

    async def work(hq: Room) -> None:
        async with running(consumer(host, hq.url, [handler])):
            first = await hq.publish(kind="app:count")
            assert (await hq.report(first)).status == SUCCESS
            await asyncio.to_thread(servers.fail_over)
            second = ""
            while not second:
                with contextlib.suppress(BusUnreachable):
                    second = await hq.publish(kind="app:count")
            assert (await hq.report(second)).status == SUCCESS
        assert handler.done == [first, second]

    with watched(engine) as servers:
        run(servers, work)


@pytest.mark.parametrize("engine", list(ENGINES)[:1])
def test_one_entry_meets_a_defect_then_the_others_are_done_and_the_host_is_heard_of(
    host: PretendedHost, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, engine: str
) -> None:
    """Whatever somebody publishes, or writes beside it, costs that and nothing else."""
    quickly(monkeypatch)
    take, status, handler = MissionDesk.take, host.updates.status, Counter()
    failures = iter((RuntimeError("no status"),))

    async def meet(self: MissionDesk, bus: Any, entry: Entry) -> None:
        if entry.fields[b"job_id"] == b"bad":
            raise RuntimeError("a bad entry")
        await take(self, bus, entry)

    async def fail_once() -> dict[str, Any]:
        for failure in failures:
            raise failure
        return await status()

    monkeypatch.setattr(MissionDesk, "take", meet)
    monkeypatch.setattr(host.updates, "status", fail_once)

    async def work(hq: Room) -> None:
        await hq.publish(kind="app:count", job="bad")
        orders = [await hq.publish(kind="app:count") for _ in range(2)]
        async with running(consumer(host, hq.url, [handler])):
            for order in orders:
                assert (await hq.report(order)).status == SUCCESS
            async with asyncio.timeout(10):
                while not await hq.room.registrations():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert await hq.pending() == 1, "it waits for a newleaf that knows better"
        assert handler.done == orders
        assert "a bad entry" in caplog.text
        assert "no status" in caplog.text

    with serve_redis(engine) as made:
        run(made, work)


def start(url: str, state: Path, *deadly: str) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-m", "tests.support.mission_child", url, str(state), *deadly]
    return subprocess.Popen(program, cwd=ROOT)


STEPS = [
    "after accept",
    "after acknowledge",
    "before update",
    "after update",
    "in handler",
    "before report",
    "after report",
]


@pytest.mark.parametrize("step", STEPS)
def test_l29_killed_at_any_step_then_updated_once_and_told_by_the_next_process(
    tmp_path: Path, step: str
) -> None:
    """Between any two of accept, acknowledge, act, restart and report: lessons.md L4, L29; threats.md T27."""
    state = tmp_path / "state"
    state.mkdir()

    async def work(hq: Room) -> None:
        update, count = await hq.publish(), await hq.publish(kind="app:count")
        child = start(hq.url, state, step)
        try:
            assert await asyncio.to_thread(child.wait, 20) == -9, "the step is reached"
            codes = []
            while not (await hq.reports(update) and await hq.reports(count)):
                child = child if child.poll() is None else start(hq.url, state)
                await asyncio.sleep(0.02)
                codes += [child.returncode] if child.poll() is not None else []
            await hq.settled()
        finally:
            child.kill()
            child.wait(10)
        assert set(codes) <= {42}, "it restarts once for its update"
        assert {report.status for report in await hq.reports()} == {SUCCESS}
        assert 1 <= len(await hq.reports(update)) <= 2
        assert '"made": 1' in state.with_name("history.json").read_text(), "one update was made"
        ran = len(state.with_name("done").read_text())
        assert ran == 1 if step != "in handler" else ran <= 2

    with serve_redis("valkey") as made:
        run(made, work)
