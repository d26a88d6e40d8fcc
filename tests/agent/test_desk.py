"""Orders on their way, from one process to the next. What people are told of them: `integrations`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from newleaf.agent import desk
from newleaf.agent.background import run_in_background
from newleaf.agent.desk import FOLLOWED, Desk, EndedLines
from newleaf.core.errors import CorruptFile
from newleaf.core.orders import Order
from newleaf.core.requests import Request
from newleaf.system.locks import update_lock
from tests.support.pretended_host import COMMITS, PretendedHost, host

__all__ = ["host"]


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(20):
            return await work()

    return asyncio.run(bounded())


async def left(host: PretendedHost) -> Order:
    """An order that a dead process accepted, and no more."""
    accepted = await Desk("http", host.doors(lives=False)).accept("7", "http")
    assert accepted
    (claimed,) = await Desk("http", host.doors()).claim()
    assert claimed == accepted
    return claimed


def test_left_and_nothing_came_of_it_then_the_update_is_asked_for(host: PretendedHost) -> None:
    order = run(lambda: _taken_on(host))
    assert (order.record["outcome"], host.updates.asked) == ("updated", ["http"])


async def _taken_on(host: PretendedHost) -> Order:
    return await Desk("http", host.doors()).take_on(await left(host))


def test_left_and_its_update_has_ended_since_then_that_is_told_and_none_made(host: PretendedHost) -> None:
    async def work() -> Order:
        order = await left(host)
        host.updates.tell_end("rolled_back", None)
        return await Desk("http", host.doors()).take_on(order)

    assert run(work).record["outcome"] == "rolled_back"
    assert host.updates.asked == []


def test_left_while_its_update_runs_on_then_its_end_is_waited_for(host: PretendedHost) -> None:
    """Under a launcher an attempt outlives the daemon that asked for it."""

    async def work() -> Order:
        order = await left(host)
        with update_lock(host.state, "newleaf update", "to move"):
            taking = asyncio.ensure_future(Desk("http", host.doors()).take_on(order))
            await asyncio.sleep(0.1)
            assert not taking.done()
            host.updates.tell_end()
        return await taking

    assert run(work).record["confirmed"] is True
    assert host.updates.asked == []


def test_followed_then_the_final_record_with_the_commits_that_were_known(host: PretendedHost) -> None:
    async def work() -> Order:
        one = Desk("http", host.doors())
        accepted = await one.accept("7", "http")
        assert accepted
        following = asyncio.ensure_future(one.follow(await one.ask(accepted)))
        await asyncio.sleep(0.05)
        assert not following.done()
        host.updates.tell_end()
        return await following

    order = run(work)
    assert (order.record["confirmed"], order.record["commits"]["list"][0]["id"]) == (True, COMMITS[0][0])
    assert host.doors().orders.find(order.id) == order


def test_no_final_word_comes_then_it_is_not_waited_for_for_ever(host: PretendedHost) -> None:
    old = Order("http:7", "i", "http", "http", datetime.now(UTC) - FOLLOWED, record={"outcome": "waiting"})
    assert run(lambda: Desk("http", host.doors()).follow(old)) is old


def test_the_history_cannot_be_read_for_a_while_then_it_is_looked_at_again(host: PretendedHost) -> None:
    broken = True

    def lines() -> list[dict[str, Any]]:
        if broken:
            raise CorruptFile(path="history.jsonl", reason="torn")
        return host.updates.lines

    async def work() -> Order:
        nonlocal broken
        one = Desk("http", replace(host.doors(), lines=lines))
        accepted = await one.accept("7", "http")
        assert accepted
        following = asyncio.ensure_future(one.follow(await one.ask(accepted)))
        await asyncio.sleep(0.05)
        host.updates.tell_end()
        broken = False
        return await following

    assert run(work).record["confirmed"] is True


def test_an_order_of_another_door_then_it_is_not_found(host: PretendedHost) -> None:
    async def work() -> None:
        accepted = await Desk("http", host.doors()).accept("7", "http")
        assert accepted
        assert await Desk("github", host.doors()).find(accepted.id) is None
        assert await Desk("http", host.doors()).find(accepted.id) == accepted

    run(work)


def test_a_flood_of_orders_then_it_is_no_flood_of_threads(
    host: PretendedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = most = 0
    real = run_in_background

    async def counted(work: Callable[[], Any], name: str) -> Any:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            return await real(work, name)
        finally:
            at_once -= 1

    monkeypatch.setattr(desk, "run_in_background", counted)

    async def work() -> None:
        one = Desk("http", host.doors())
        await asyncio.gather(*(one.accept(str(number % 20), "http") for number in range(40)))

    run(work)
    assert most == 1


def test_the_history_is_unchanged_then_it_is_not_read_again(tmp_path: Path) -> None:
    path, reads = tmp_path / "history.jsonl", []

    def read() -> list[dict[str, Any]]:
        reads.append(path.read_text())
        return [{"n": len(reads)}]

    lines = EndedLines(path, read)
    assert lines() == []
    path.write_text("a")
    assert [lines(), lines()] == [[{"n": 1}]] * 2
    path.write_text("ab")
    assert lines() == [{"n": 2}]
    assert reads == ["a", "ab"]


@pytest.mark.parametrize(
    ("second", "told"), [("up_to_date", "first"), ("updated", "second"), ("waiting", "second")]
)
def test_an_older_attempt_was_brought_to_its_end_then_it_is_asked_again(
    host: PretendedHost, second: str, told: str
) -> None:
    """lessons.md L36: whoever ordered is told of the newest target."""
    answers = [
        {"outcome": "updated", "confirmed": True, "attempt": "20000101T000000-000000", "is": "first"},
        {"outcome": second, "confirmed": True, "attempt": "29990101T000000-000000", "is": "second"},
    ]

    class Answering:
        async def request(self, _: Request) -> dict[str, Any]:
            return answers.pop(0)

    async def work() -> Order:
        one = Desk("chat", replace(host.doors(), updates=Answering()))
        accepted = await one.accept("7", "chat")
        assert accepted
        return await one.ask(accepted)

    assert run(work).record["is"] == told
    assert answers == []
