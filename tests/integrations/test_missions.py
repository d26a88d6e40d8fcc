"""Missions on a real bus: each done once, told by who has done it; whatever the bus and the process do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from newleaf.agent.missions import consumer as missions
from newleaf.core.missions.kinds import PAUSE, RESUME, ROLLBACK
from newleaf.core.missions.mission_errors import MissionKeysUnusable
from newleaf.core.missions.registration import Registration, read_registration
from newleaf.core.missions.results import FAILED, SUCCESS, MissionResult
from newleaf.core.missions.signatures import MissionKey
from newleaf.system import busy_lock
from newleaf.system.redis.bus import RedisBus
from newleaf.system.restarts import clear_flag, raise_flag
from tests.support.missions import (
    CLERK,
    HQ,
    KEYS,
    STREAMS,
    Counter,
    Room,
    ago,
    consumer,
    fields_of,
    quickly,
    running,
)
from tests.support.pretended_host import THERE, PretendedHost, until
from tests.support.redis_server import ENGINES, RedisServer, serve_redis


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with serve_redis(request.param) as server:
        yield server


@pytest.fixture
def server(engine: RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    quickly(monkeypatch)

    run(engine, lambda hq: hq.room._call("FLUSHALL"))
    return engine


def run(server: RedisServer, work: Callable[[Room], Awaitable[Any]]) -> Any:
    """Does some work beside headquarters."""

    async def bounded() -> Any:
        hq = Room(server.url)
        try:
            async with asyncio.timeout(25):
                return await work(hq)
        finally:
            await hq.room.close()

    return asyncio.run(bounded())


def job(number: int) -> Counter:
    """A handler of a kind of its own."""
    return Counter(f"app:kind{number}")


class Updater:
    """Of this process."""

    restart_wanted = False


# --- one order, its hosts, its result -----------------------------------------------------------


def test_an_update_is_ordered_then_it_is_made_once_and_told_with_what_runs(
    host: PretendedHost, server: RedisServer
) -> None:
    host.updates.confirmed = True

    async def work(hq: Room) -> None:
        async with running(consumer(host, server.url)):
            report = await hq.report(await hq.publish(context={"branch": "main"}))
            await hq.settled()
        assert (report.status, report.host, report.result["branch"]) == (SUCCESS, "mini-1", "main")
        assert report.result["updated_to"] == THERE.commit
        assert host.updates.asked == ["mission"]

    run(server, work)


def test_l1_installed_and_not_reported_then_the_result_waits_for_the_new_process(
    host: PretendedHost, server: RedisServer
) -> None:
    """lessons.md L1, L4"""

    async def work(hq: Room) -> None:
        async with running(consumer(host, server.url)):
            order = await hq.publish()
            await until(lambda: host.updates.made)
            await asyncio.sleep(0.1)
            assert not await hq.reports()
            host.updates.tell_end(confirmed=True)
            report = await hq.report(order)
        assert (report.status, report.result["updated_to"]) == (SUCCESS, THERE.commit)

    run(server, work)


def test_its_time_is_over_then_a_failure_that_says_what_it_waits_for(
    host: PretendedHost, server: RedisServer
) -> None:
    """lessons.md L22, L27: the update itself stays owed."""

    async def work(hq: Room) -> None:
        async with running(consumer(host, server.url)):
            report = await hq.report(await hq.publish(timeout_seconds=0.2))
        assert report.status == FAILED
        assert "not over within 0.2 s" in report.error
        assert "no process has reported" in report.error

    run(server, work)


def test_a_rollback_is_ordered_then_it_is_made(host: PretendedHost, server: RedisServer) -> None:
    host.updates.confirmed = True

    async def work(hq: Room) -> None:
        async with running(consumer(host, server.url)):
            report = await hq.report(await hq.publish(kind=ROLLBACK))
        assert (report.status, host.updates.asked) == (SUCCESS, ["rollback"])

    run(server, work)


def test_l37_for_all_then_each_host_does_it_and_a_target_only_itself(
    tmp_path: Path, server: RedisServer
) -> None:
    """lessons.md L37, L39"""
    hosts = [PretendedHost(tmp_path / name) for name in ("mini-1", "mini-2", "mini-3")]
    for each in hosts:
        each.state.mkdir()
    handlers = [Counter() for _ in hosts]
    labels = [{"role": "worker"}, {"role": "worker"}, {"role": "boss"}]

    async def work(hq: Room) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for each, handler, label in zip(hosts, handlers, labels, strict=True):
                made = consumer(each, server.url, [handler], name=each.state.name, labels=label)
                await stack.enter_async_context(running(made))
            everybody = await hq.publish(kind="app:count", target="*")
            workers = await hq.publish(kind="app:count", target="role=worker")
            one = await hq.publish(kind="app:count", target="mini-3")
            await hq.report(everybody, 3)
            await hq.report(workers, 2)
            await hq.report(one)
            for each in hosts:
                await hq.settled(each.state.name)
            assert len(await hq.reports()) == 6
        assert [handler.done for handler in handlers] == [
            [everybody, workers],
            [everybody, workers],
            [everybody, one] if handlers[2].done[0] == everybody else [one, everybody],
        ]

    run(server, work)


def test_l38_offline_at_the_time_then_it_does_on_its_return_what_still_holds(
    host: PretendedHost, server: RedisServer
) -> None:
    """lessons.md L38"""
    handler = Counter()

    async def work(hq: Room) -> None:
        never_seen = await hq.publish(kind="app:count", target="*")
        early = await hq.publish(kind="app:count")
        async with running(consumer(host, server.url, [handler])):
            await hq.report(early)
        missed = await hq.publish(kind="app:count", target="*")
        late = await hq.publish(fields_of("app:count", at=ago(days=2)))
        async with running(consumer(host, server.url, [handler])):
            await hq.report(missed)
            assert (await hq.report(late)).rule == "expired"
        # What was for everybody before it ever enrolled is not for it.
        assert handler.done == [early, missed]
        assert never_seen not in handler.done

    run(server, work)


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "stream", "rule"),
    [
        ({"target": "mini-2"}, STREAMS.host("mini-1"), "not_for_this_host"),
        ({"target": "mini-2"}, STREAMS.all, "not_for_this_host"),
        ({"kind": "system:delete_factory"}, "", "unknown_kind"),
        ({"kind": "app:unheard-of"}, "", "unknown_kind"),
        ({"context": {"url": "https://evil"}}, "", "unknown_context"),
        ({"context": {"command": "rm -rf /"}}, "", "unknown_context"),
        ({"context": {"branch": "other"}}, "", "another_branch"),
        ({"at": ago(days=7), "life": timedelta(days=1)}, "", "expired"),
        ({"at": ago(days=-1)}, "", "from_the_future"),
    ],
)
def test_t26_an_order_that_is_not_to_be_obeyed_then_refused_by_its_rule(
    host: PretendedHost, server: RedisServer, said: dict[str, Any], stream: str, rule: str
) -> None:
    """threats.md T26, T27; lessons.md L39."""

    async def work(hq: Room) -> None:
        async with running(consumer(host, server.url, [Counter()])):
            report = await hq.report(await hq.publish(fields_of(**said), stream))
            await hq.settled()
        assert (report.status, report.rule) == (FAILED, rule)
        assert not host.updates.asked

    run(server, work)


@pytest.mark.parametrize(
    ("key", "target", "rule"),
    [
        (None, "mini-1", "unsigned"),
        (CLERK, "*", "may_not_broadcast"),
        (MissionKey("hq", b"x" * 32), "mini-1", "bad_signature"),
        (MissionKey("boss", b"h" * 32), "mini-1", "unknown_key"),
        (HQ, "*", ""),
        (CLERK, "mini-1", ""),
    ],
)
def test_t27_signed_by_nobody_who_may_then_refused_where_keys_are_configured(
    host: PretendedHost, server: RedisServer, key: MissionKey | None, target: str, rule: str
) -> None:
    """lessons.md L40; threats.md T26, T27."""
    host.updates.confirmed = True

    async def work(hq: Room) -> None:
        async with running(consumer(host, server.url, keys=KEYS)):
            report = await hq.report(await hq.publish(key=key, target=target))
        assert (report.status, report.rule) == (FAILED if rule else SUCCESS, rule)
        assert len(host.updates.asked) == (0 if rule else 1)

    run(server, work)


def test_t27_reordered_then_the_older_one_is_refused_and_other_targets_are_not(
    host: PretendedHost, server: RedisServer
) -> None:
    """threats.md T27"""
    handler = Counter()

    async def work(hq: Room) -> None:
        older = fields_of("app:count", key=HQ, at=ago(seconds=2))
        async with running(consumer(host, server.url, [handler], keys=KEYS)):
            newer = await hq.publish(fields_of("app:count", key=HQ, at=ago(seconds=1)))
            await hq.report(newer)
            assert (await hq.report(await hq.publish(older))).rule == "older_in_sequence"
            other = await hq.publish(fields_of("app:count", "*", key=HQ, at=ago(seconds=2)))
            assert (await hq.report(other)).status == SUCCESS
        assert handler.done == [newer, other]

    run(server, work)


def test_the_keys_cannot_be_read_then_nothing_is_taken_and_nothing_is_lost(
    host: PretendedHost, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """lessons.md L40"""
    handler, has_keys = Counter(), asyncio.Event()

    def keys() -> dict[str, MissionKey]:
        if not has_keys.is_set():
            raise MissionKeysUnusable(path="keys.toml", reason="it is gone")
        return KEYS

    async def work(hq: Room) -> None:
        async with running(consumer(host, server.url, [handler], keys=keys)):
            order = await hq.publish(kind="app:count", key=HQ)
            await until(lambda: "it is gone" in caplog.text)
            assert not await hq.reports()
            has_keys.set()
            assert (await hq.report(order)).status == SUCCESS

    run(server, work)


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        ({"job_id": "x", "payload": "x" * 2_000_000}, "too_large"),
        ({"hello": "world"}, "unknown_field"),
        ({"job_id": "j"}, "missing_field"),
        (fields_of() | {"payload": "[" * 50_000}, "payload"),
        (fields_of() | {"target": "a b"}, "target"),
    ],
)
def test_t24_malformed_or_oversized_then_a_dead_letter_and_the_next_one_is_done(
    host: PretendedHost, server: RedisServer, entry: dict[str, str], rule: str
) -> None:
    """threats.md T24, T26"""
    handler = Counter()

    async def work(hq: Room) -> None:
        async with running(consumer(host, server.url, [handler])):
            await hq.publish(entry, STREAMS.host("mini-1"))
            await hq.report(await hq.publish(kind="app:count"))
            await hq.settled()
            assert [letter.rule for letter in await hq.dead()] == [rule]
        assert len(handler.done) == 1

    run(server, work)


# --- again, and once ----------------------------------------------------------------------------


def test_t27_replayed_then_the_stored_result_is_told_again_and_nothing_is_done_again(
    host: PretendedHost, server: RedisServer
) -> None:
    """threats.md T27; lessons.md L29. By another consumer too, a process later."""
    handler = Counter()

    async def work(hq: Room) -> None:
        fields = fields_of("app:count")
        async with running(consumer(host, server.url, [handler])):
            first = await hq.report(await hq.publish(fields))
            again = await hq.report(await hq.publish(fields), 2)
        async with running(consumer(host, server.url, [handler])):
            await hq.report(await hq.publish(fields), 3)
        assert (first.status, first.result) == (again.status, again.result)
        assert len(handler.done) == 1

    run(server, work)


def test_one_idempotency_key_then_done_once_and_each_job_is_told(
    host: PretendedHost, server: RedisServer
) -> None:
    """What is ordered while the first is under way is told as well, when that is over."""
    handler, may_end = Counter(), asyncio.Event()
    handler.ends_with(may_end)

    async def work(hq: Room) -> None:
        async with running(consumer(host, server.url, [handler])):
            orders = [await hq.publish(kind="app:count", idempotency_key="once") for _ in range(2)]
            await until(lambda: handler.done)
            may_end.set()
            orders.append(await hq.publish(kind="app:count", idempotency_key="once"))
            for order in orders:
                assert (await hq.report(order)).status == SUCCESS
            await hq.settled()
            assert len(await hq.reports()) == 3
        assert handler.done == orders[:1]

    run(server, work)


def test_l39_ordered_while_one_is_under_way_then_they_coalesce_and_each_is_told(
    host: PretendedHost, server: RedisServer
) -> None:
    """lessons.md L36, L39: what stacks up shares updates."""
    host.updates.confirmed, host.updates.seconds = True, 0.2

    async def work(hq: Room) -> None:
        async with running(consumer(host, server.url)):
            orders = [await hq.publish() for _ in range(5)]
            reports = [await hq.report(order) for order in orders]
        assert {report.status for report in reports} == {SUCCESS}
        assert host.updates.made == 1

    run(server, work)


# --- paused, and away ---------------------------------------------------------------------------


def test_l39_paused_then_work_stays_unread_until_it_is_resumed(
    host: PretendedHost, server: RedisServer
) -> None:
    """lessons.md L39: also across a restart of the host."""
    handler = Counter()

    async def work(hq: Room) -> None:
        async with running(consumer(host, server.url, [handler])) as made:
            assert (await hq.report(await hq.publish(kind=PAUSE))).result == {"paused": True}
            assert made.paused
            orders = [await hq.publish(kind="app:count", target=target) for target in ("*", "mini-1")]
            await asyncio.sleep(0.15)
            assert await hq.unread(STREAMS.all) + await hq.unread(STREAMS.host("mini-1")) == 2
        async with running(consumer(host, server.url, [handler])) as made:
            await asyncio.sleep(0.15)
            assert (made.paused, handler.done) == (True, [])
            resumed = await hq.publish(kind=RESUME)
            await hq.report(resumed)
            for order in orders:
                assert (await hq.report(order)).status == SUCCESS
            await hq.settled()
            assert len(await hq.reports(resumed)) == 1
        assert sorted(handler.done) == sorted(orders)

    run(server, work)


def test_l39_paused_in_the_middle_of_what_was_handed_out_then_the_rest_is_kept_too(
    host: PretendedHost, server: RedisServer
) -> None:
    """lessons.md L39"""
    handler = Counter()

    async def work(hq: Room) -> None:
        async with running(consumer(host, server.url, [handler])):
            pass
        orders = [
            await hq.publish(kind=kind, max_retries=0)
            for kind in ("app:count", PAUSE, "app:count", "app:count")
        ]
        async with running(consumer(host, server.url, [handler])) as made:
            await until(lambda: made.paused)
            await asyncio.sleep(0.3)
            await hq.report(await hq.publish(kind=RESUME))
            for order in orders:
                assert (await hq.report(order)).status == SUCCESS
            assert not await hq.dead()
        assert sorted(handler.done) == sorted([orders[0], *orders[2:]])

    run(server, work)


def test_a_signed_pause_is_ended_only_by_who_may(host: PretendedHost, server: RedisServer) -> None:
    async def work(hq: Room) -> None:
        async with running(consumer(host, server.url, keys=KEYS)) as made:
            await hq.report(await hq.publish(kind=PAUSE, key=HQ))
            assert (await hq.report(await hq.publish(kind=RESUME))).rule == "unsigned"
            assert made.paused
            await hq.report(await hq.publish(kind=RESUME, key=HQ))
            assert not made.paused

    run(server, work)


def test_l39_a_dead_consumers_entries_are_claimed_and_given_up_after_enough_tries(
    host: PretendedHost, server: RedisServer
) -> None:
    """lessons.md L39"""
    handler = Counter()

    async def work(hq: Room) -> None:
        async with running(consumer(host, server.url, [handler])):
            pass
        own, group = STREAMS.host("mini-1"), "host:mini-1"
        kept, poison = await hq.publish(kind="app:count"), await hq.publish(kind="app:count", max_retries=1)
        found = await hq.room._call("XREADGROUP", "GROUP", group, "dead", "STREAMS", own, ">")
        ids = [identity for identity, _ in found[0][1]]
        await hq.room._call("XCLAIM", own, group, "dead", 0, ids[1], "RETRYCOUNT", 2)
        async with running(consumer(host, server.url, [handler])):
            assert (await hq.report(kept)).status == SUCCESS
            assert (await hq.report(poison)).rule == "too_many_deliveries"
            await hq.settled()
            assert [(each.rule, each.host) for each in await hq.dead()] == [("too_many_deliveries", "mini-1")]
        assert handler.done == [kept]

    run(server, work)


async def until_waiting(hq: Room, readers: int) -> None:
    """Returns once so many readers of the bus wait for news."""
    told = f"blocked_clients:{readers}\r".encode()
    while told not in await hq.room._call("INFO", "clients"):  # noqa: ASYNC110 - the server tells no event
        await asyncio.sleep(0.01)


def test_it_waits_long_for_news_then_what_a_dead_consumer_left_is_claimed_in_time(
    host: PretendedHost, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missions, "READ_SECONDS", 60.0)

    async def work(hq: Room) -> None:
        await hq.room._call("XGROUP", "CREATE", STREAMS.host("mini-1"), "host:mini-1", "0", "MKSTREAM")
        order = await hq.publish(kind="app:count")
        own = STREAMS.host("mini-1")
        await hq.room._call("XREADGROUP", "GROUP", "host:mini-1", "dead", "STREAMS", own, ">")
        async with running(consumer(host, server.url, [Counter()])):
            assert (await hq.report(order, seconds=8)).status == SUCCESS

    run(server, work)


def test_it_waits_long_for_news_then_it_hears_at_once_of_them_and_of_its_own_end_and_soon_of_a_restart(
    host: PretendedHost, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes in between is not lost: it is handed out again."""
    monkeypatch.setattr(missions, "READ_SECONDS", 60.0)
    monkeypatch.setattr(missions, "RETAKE_SECONDS", 60.0)
    updater, handler = Updater(), Counter()

    async def work(hq: Room) -> None:
        async with asyncio.timeout(10), running(consumer(host, server.url, [handler], restarts=updater)):
            first = await hq.publish(kind="app:count")
            await hq.report(first)
            await until_waiting(hq, 1)
            updater.restart_wanted = True
            await until_waiting(hq, 0)
            second = await hq.publish(kind="app:count")
            await asyncio.sleep(0.1)
            assert await hq.unread(STREAMS.host("mini-1")) == 1, "it does not read any more"
            updater.restart_wanted = False
            await hq.report(second)
            await hq.publish(kind="system:pause_factory")
            await hq.publish(kind="system:resume_factory")
            await hq.report(await hq.publish(kind="app:count"))
        assert len(handler.done) == 3

    run(server, work)


def test_two_under_one_name_then_it_is_said_and_each_mission_is_done_once(
    tmp_path: Path, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """lessons.md L39"""
    handler = Counter()
    twins = [PretendedHost(tmp_path / name) for name in ("one", "two")]
    for each in twins:
        each.state.mkdir()

    async def work(hq: Room) -> None:
        async with (
            running(consumer(twins[0], server.url, [handler])),
            running(consumer(twins[1], server.url, [handler])),
        ):
            orders = [await hq.publish(kind="app:count") for _ in range(10)]
            for order in orders:
                await hq.report(order)
            await until(lambda: "another process takes missions as mini-1" in caplog.text)
        assert sorted(handler.done) == sorted(orders)

    run(server, work)


def test_two_processes_of_one_state_directory_then_one_takes_over_from_the_other(
    host: PretendedHost, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Counter()

    async def work(hq: Room) -> None:
        first = consumer(host, server.url, [handler])
        second = consumer(host, server.url, [handler])
        async with running(first):
            waiting = asyncio.ensure_future(second.run())
            await until(lambda: "another process" in caplog.text)
            assert not second._is_enrolled
        await until(lambda: second._is_enrolled)
        assert (await hq.report(await hq.publish(kind="app:count"))).status == SUCCESS
        second.stop()
        await waiting

    run(server, work)


# --- handlers -----------------------------------------------------------------------------------


def test_priority_then_the_higher_one_of_those_that_wait_goes_first(
    host: PretendedHost, server: RedisServer
) -> None:
    handler = Counter()

    async def work(hq: Room) -> None:
        async with running(consumer(host, server.url, [handler])):
            pass
        orders = [await hq.publish(kind="app:count", priority=priority) for priority in (0, 5, -5, 5)]
        async with running(consumer(host, server.url, [handler])):
            for order in orders:
                await hq.report(order)
        assert handler.done == [orders[1], orders[3], orders[0], orders[2]]

    run(server, work)


def test_l26_a_restart_is_wanted_then_the_mission_ends_and_none_begins(
    host: PretendedHost, server: RedisServer
) -> None:
    """lessons.md L3, L26: none is lost, and the status says that the daemon leaves."""
    handler, may_end, said = Counter(), asyncio.Event(), list[object]()

    async def wait(_: object) -> MissionResult:
        await may_end.wait()
        return MissionResult(SUCCESS)

    handler.does = wait

    async def work(hq: Room) -> None:
        made = consumer(host, server.url, [handler], lives=False)
        made._door = replace(made._door, say_restarting=said.append)
        task = asyncio.ensure_future(made.run())
        await until(lambda: made._is_enrolled)
        orders = [await hq.publish(kind="app:count") for _ in range(3)]
        await until(lambda: handler.done)
        assert busy_lock.is_job_running(host.state)
        raise_flag(host.state, 1, ago(seconds=-1))
        await until(lambda: made.restart_requested)
        may_end.set()
        await task
        assert (await hq.report(orders[0])).status == SUCCESS
        assert (handler.done, len(said)) == (orders[:1], 1)
        clear_flag(host.state)
        async with running(consumer(host, server.url, [handler])):
            for order in orders[1:]:
                assert (await hq.report(order)).status == SUCCESS
        assert sorted(handler.done) == sorted(orders)

    run(server, work)


def test_an_updater_wants_a_restart_then_nothing_begins_until_it_has_changed_its_mind(
    host: PretendedHost, server: RedisServer
) -> None:
    updater, handler = Updater(), Counter()

    async def work(hq: Room) -> None:
        async with running(consumer(host, server.url, [handler], restarts=updater)) as made:
            updater.restart_wanted = True
            await asyncio.sleep(0.1)
            order = await hq.publish(kind="app:count", max_retries=0)
            await asyncio.sleep(0.2)
            assert (handler.done, made.restart_requested) == ([], True)
            updater.restart_wanted = False
            assert (await hq.report(order)).status == SUCCESS

    run(server, work)


def test_l37_not_enrolled_yet_then_not_known_either(host: PretendedHost, server: RedisServer) -> None:
    """lessons.md L37: whoever is counted on has a place in everybody's stream."""

    def held_up(bus: RedisBus, may_enroll: asyncio.Event) -> RedisBus:
        enroll = bus.enroll

        async def later(*, is_known: bool) -> None:
            await may_enroll.wait()
            await enroll(is_known=is_known)

        bus.enroll = later  # type: ignore[method-assign]
        return bus

    async def work(hq: Room) -> None:
        may_enroll = asyncio.Event()
        made = consumer(host, server.url, bus=lambda bus: held_up(bus, may_enroll))
        task = asyncio.ensure_future(made.run())
        await asyncio.sleep(0.3)
        assert await hq.room.registrations() == {}
        may_enroll.set()
        async with asyncio.timeout(10):
            while not await hq.room.registrations():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        made.stop()
        await task

    run(server, work)


def test_l30_an_update_goes_on_for_long_then_the_host_is_heard_of_all_the_while(
    host: PretendedHost, server: RedisServer
) -> None:
    """lessons.md L30"""
    host.updates.seconds, host.updates.confirmed = 0.6, True

    async def work(hq: Room) -> None:
        async with running(consumer(host, server.url, [Counter()], labels={"role": "worker"})):
            order = await hq.publish()
            await until(lambda: host.updates.asked)
            seen: dict[bytes, Registration | None] = {}
            while not await hq.reports(order):
                known = (await hq.room.registrations())["mini-1"]
                seen[known] = read_registration(known)
                await asyncio.sleep(0.05)
        registration = seen.popitem()[1]
        assert registration is not None
        assert (registration.capabilities, registration.labels) == (("gpu",), {"role": "worker"})
        assert "app:count" in registration.kinds
        assert (registration.version, registration.app) == ("1.0.0", "bridge")

    run(server, work)
