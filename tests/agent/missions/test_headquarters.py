"""Headquarters on a real bus: orders, in flight or over, and who is there."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from newleaf.agent.missions.headquarters import Headquarters, Placed
from newleaf.core.missions.mission_errors import BusUnreachable, NotHeadquarters
from newleaf.core.missions.ops_errors import HostUnknown
from newleaf.core.missions.results import MissionResult
from tests.support.headquarters import DONE, Centre, tell
from tests.support.redis_server import serve_redis


def order(centre: Centre, host: str | None = None) -> Placed:
    placed: Placed = centre.do(lambda made: made.order_update(host))
    return placed


def test_l43_many_order_the_same_at_once_then_one_order_and_all_are_told_of_it(centre: Centre) -> None:
    async def rivals(_: Headquarters) -> list[Placed]:
        makers = [centre.headquarters() for _ in range(6)]
        try:
            return list(await asyncio.gather(*(made.order_update("mini-1") for made in makers)))
        finally:
            await asyncio.gather(*(made.close() for made in makers))

    placed = centre.do(rivals)
    assert sorted(one.is_new for one in placed) == [False] * 5 + [True]
    assert len({one.ordered.job_id for one in placed}) == 1
    assert len(centre.published("mini-1")) == 1


def test_another_process_of_headquarters_orders_then_it_knows_what_is_in_flight(centre: Centre) -> None:
    first = order(centre)
    assert order(centre, "mini-2") == Placed(first.ordered, is_new=False, until=first.until)


def test_l38_a_single_host_that_says_nothing_then_its_order_is_in_flight_until_it_expires(
    centre: Centre,
) -> None:
    first = order(centre, "mini-1")
    centre.later = timedelta(hours=23)
    centre.register("mini-1", ago=-23 * 3600)
    again = order(centre, "mini-1")
    assert (again.ordered.job_id, again.until) == (first.ordered.job_id, first.ordered.expires_at)
    centre.later = timedelta(hours=25)
    assert order(centre, "mini-1").is_new


def test_l41_a_single_host_that_is_away_then_its_order_is_in_flight_for_as_long_as_an_update_may_take(
    centre: Centre,
) -> None:
    """lessons.md L41: a host that died must not hold up its next order for a day."""
    centre.register("away", ago=3600)
    first = order(centre, "away").ordered
    centre.later = timedelta(minutes=14)
    again = order(centre, "away")
    assert (again.ordered.job_id, again.until) == (first.job_id, first.issued_at + timedelta(minutes=15))
    centre.later = timedelta(minutes=16)
    assert order(centre, "away").is_new


def test_l41_of_all_who_is_away_or_falls_silent_then_they_hold_up_nobody(centre: Centre) -> None:
    centre.register("away", ago=3600)
    first = order(centre)
    assert first.ordered.hosts == ("mini-1", "mini-2")
    centre.tell("mini-1", first.ordered.job_id)
    assert not order(centre).is_new
    centre.register("mini-2", ago=3600)
    assert order(centre).is_new


def test_results_are_gone_from_the_stream_then_nothing_is_in_flight_for_ever(centre: Centre) -> None:
    centre.tell("mini-1", order(centre, "mini-1").ordered.job_id)
    second = order(centre, "mini-1")
    assert (second.is_new, second.ordered.since != "0") == (True, True)
    assert not order(centre, "mini-1").is_new
    centre.do(lambda made: made.room._call("DEL", centre.streams.results))
    assert order(centre, "mini-1").is_new


def test_many_results_of_others_then_the_one_that_counts_is_found(centre: Centre) -> None:
    first = order(centre, "mini-1").ordered.job_id

    async def flood(made: Headquarters) -> None:
        for number in range(250):
            await made.room.publish(made.room.streams.results, {"job_id": f"x{number}"})
        await tell(made, "mini-1", first, DONE)
        await tell(made, "mini-1", first, MissionResult("FAILED", "told again"))

    centre.do(flood)
    progress = centre.do(lambda made: made.find(first))
    assert (progress.outcome(), list(progress.reports)) == ("updated", ["mini-1"])
    assert centre.do(lambda made: made.find("another")) is None


def test_a_result_is_told_by_another_host_then_it_ends_nobody_else_s_order(centre: Centre) -> None:
    first = order(centre, "mini-1").ordered.job_id
    centre.tell("mini-2", first)
    assert not order(centre, "mini-1").is_new


def test_not_headquarters_or_a_host_that_nobody_knows_then_no_order(centre: Centre) -> None:
    with pytest.raises(HostUnknown):
        order(centre, "mini-3")
    centre.publishes = False
    with pytest.raises(NotHeadquarters):
        order(centre, "mini-1")
    assert centre.published("mini-1") == []


def test_silent_for_a_week_then_gone_and_headquarters_takes_it_off_the_bus(centre: Centre) -> None:
    centre.register("away", ago=6.9 * 86400)
    centre.register("gone", ago=7.1 * 86400)

    async def look(made: Headquarters) -> tuple[list[str], list[str]]:
        seen = [host.name for host in await made.hosts()]
        return seen, sorted(await made.room.registrations())

    there = ["away", "mini-1", "mini-2"]
    centre.publishes = False
    assert centre.do(look) == (there, ["away", "gone", "mini-1", "mini-2"]), "who looks writes nothing"
    centre.publishes = True
    with pytest.raises(HostUnknown):
        order(centre, "gone")
    assert centre.do(look) == (there, there)
    centre.register("gone")
    assert order(centre, "gone").is_new


def test_hosts_and_an_announcement_then_the_fleet(centre: Centre) -> None:
    centre.register("mini-1", commit="a" * 40)
    centre.register("mini-2", commit="b" * 40)
    centre.announce("a" * 40)
    centre.announce("b" * 40)
    fleet = centre.do(lambda made: made.fleet())
    assert [(host.registration.name, host.drifts) for host in fleet.hosts] == [
        ("mini-1", True),
        ("mini-2", False),
    ]
    for name in ("mini-1", "mini-2"):
        centre.register(name, commit="c" * 40, status="deployed", since="2999-01-01T00:00:00Z")
    fleet = centre.do(lambda made: made.fleet())
    assert [host.drifts for host in fleet.hosts] == [False, False]


def test_the_bus_is_away_then_no_order_is_said_to_be_given() -> None:
    with serve_redis(appendonly="no") as server:
        centre = Centre(server.url)
        server.kill()
        with pytest.raises(BusUnreachable):
            order(centre)
