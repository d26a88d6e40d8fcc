"""An order followed on a real bus, whatever becomes of the bus meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from newleaf.agent.missions import following
from newleaf.agent.missions.headquarters import Headquarters
from tests.support.headquarters import DONE, Centre, tell
from tests.support.redis_server import serve_redis


def test_an_order_is_followed_then_results_as_they_come_once_each_until_all_have_told(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.1)

    async def follow(made: Headquarters) -> list[str]:
        ordered = (await made.order_update(None)).ordered
        heard = []
        await tell(made, "mini-2", ordered.job_id, DONE)
        async for report in made.follow(ordered, 10):
            heard.append(report.host)
            for _ in range(2):
                await tell(made, "mini-2" if len(heard) == 2 else "mini-1", ordered.job_id, DONE)
        return heard

    assert centre.do(follow) == ["mini-2", "mini-1"]


def test_nobody_tells_then_following_ends_at_its_time(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.05)

    async def follow(made: Headquarters) -> list[Any]:
        ordered = (await made.order_update(None)).ordered
        return [report async for report in made.follow(ordered, 0.2)]

    assert centre.do(follow) == []


def test_the_bus_is_lost_while_an_order_is_followed_then_its_results_come_after_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(following, "AGAIN_SECONDS", 0.05)
    with serve_redis() as server:
        centre = Centre(server.url)
        centre.register("mini-1")

        async def follow(made: Headquarters) -> list[str]:
            ordered = (await made.order_update("mini-1")).ordered
            server.kill()

            async def return_and_tell() -> None:
                await asyncio.sleep(0.2)
                await asyncio.to_thread(server.start)
                other = centre.headquarters()
                await tell(other, "mini-1", ordered.job_id, DONE)
                await other.close()

            telling = asyncio.ensure_future(return_and_tell())
            heard = [report.host async for report in made.follow(ordered, 15)]
            await telling
            return heard

        assert centre.do(follow) == ["mini-1"]
