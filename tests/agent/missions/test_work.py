"""Accepted missions: taken on by the next process, begun again, given up. On a bus: `integrations`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from newleaf.agent.jobs import Busy
from newleaf.agent.missions.door import MissionDoor
from newleaf.agent.missions.work import GAVE_UP, PAUSED, UNKNOWN_KIND, MissionWork
from newleaf.core.errors import DiskFull, NewleafError
from newleaf.core.missions.dead_letters import DeadLetter
from newleaf.core.missions.envelope import read_envelope
from newleaf.core.missions.judging import Receiver
from newleaf.core.missions.kept import DOOR, Kept, kept_of, key_of
from newleaf.core.missions.kinds import PAUSE, UPDATE
from newleaf.core.missions.mission_errors import BusUnreachable
from newleaf.core.missions.results import FAILED, SUCCESS, MissionResult, Report
from newleaf.core.orders import OVER, TELLING, Order
from newleaf.system.orders import Orders
from tests.support.missions import Counter, fields_of, quickly
from tests.support.pretended_host import PretendedHost, host, until

__all__ = ["host"]


class Outbox:
    """Takes results; `fails` is how often it does not."""

    def __init__(self, fails: int = 0) -> None:
        self.reports: list[Report] = []
        self.letters: list[DeadLetter] = []
        self.fails = fails

    async def report(self, fields: Mapping[str, str]) -> None:
        if self.fails:
            self.fails -= 1
            raise BusUnreachable(url="u", reason="away")
        found = Report.read({name.encode(): value.encode() for name, value in fields.items()})
        assert found
        self.reports.append(found)

    async def bury(self, fields: Mapping[str, str]) -> None:
        found = DeadLetter.read({name.encode(): value.encode() for name, value in fields.items()})
        assert found
        self.letters.append(found)

    async def register(self, name: str, registration: str) -> None:
        raise NotImplementedError


def no_bus(_: str) -> Any:
    raise AssertionError


def left(
    host: PretendedHost, fields: dict[str, str], tries: int = 0, ago: float = 0.0, **changes: Any
) -> Order:
    """An order that a dead process has left."""
    orders = Orders(host.state)
    orders._owner = (2**22 + 1, "gone")
    envelope = read_envelope(fields)
    order = Order(
        key_of(envelope), envelope.job_id, DOOR, DOOR, datetime.now(UTC) - timedelta(seconds=ago),
        mission=Kept(fields, "t:all/1-0", tries, changes.pop("result", None)).as_record(), **changes,
    )  # fmt: skip
    assert orders.accept(order)
    orders.close()
    return order


def taken_on(
    host: PretendedHost,
    outbox: Outbox,
    *handlers: Counter,
    then: Callable[[MissionWork], Awaitable[Any]] | None = None,
    job: Callable[[str], Any] | None = None,
) -> list[str]:
    """A process that takes on what was left, until it is told; what it has said."""
    said: list[str] = []

    async def work() -> None:
        door = MissionDoor(
            Receiver("mini-1", "t"),
            lambda _: pytest.fail("no bus"),
            job or (lambda name: Busy(host.state, name)),
        )
        made = MissionWork(host.doors(), door, {each.mission_kind: each for each in handlers}, said.append)
        telling = asyncio.ensure_future(made.tell(outbox))
        async with asyncio.timeout(10):
            await made.begin()
            await made.take_on()
            while await tried(made):
                pass
            await (then(made) if then else until(lambda: outbox.reports))
            await made.end(1.0)
        telling.cancel()

    asyncio.run(work())
    return said


async def tried(work: MissionWork) -> bool:
    """Whether there may be more to do; as who reads missions calls it, again and again."""
    try:
        return await work.work()
    except NewleafError:
        return True


def refusing(
    monkeypatch: pytest.MonkeyPatch, name: str, is_meant: Callable[..., bool], times: int = 2
) -> None:
    """A disk that is full, so many times, for what is meant."""
    plainly, left_to_refuse = getattr(Orders, name), [times]

    def refuse(self: Orders, *given: Any) -> Any:
        if left_to_refuse[0] and is_meant(*given):
            left_to_refuse[0] -= 1
            raise DiskFull(path="state", free="0", needed="1")
        return plainly(self, *given)

    monkeypatch.setattr(Orders, name, refuse)


def raising(error: Exception) -> Callable[[Any], Any]:
    def does(_: Any) -> Any:
        raise error

    return does


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quickly(monkeypatch)


def test_l29_left_before_it_began_then_done_and_told(host: PretendedHost) -> None:
    """lessons.md L29"""
    outbox, handler = Outbox(), Counter()
    order = left(host, fields_of("app:count"))
    taken_on(host, outbox, handler)
    assert [(each.job_id, each.status) for each in outbox.reports] == [(order.id, SUCCESS)]
    found = Orders(host.state).find(order.id)
    assert found is not None
    assert (found.stage, kept_of(found).tries) == (OVER, 1)


def test_l4_left_with_its_result_then_only_told(host: PretendedHost) -> None:
    """lessons.md L4"""
    outbox, handler = Outbox(), Counter()
    left(host, fields_of("app:count"), 1, stage=TELLING, result=MissionResult(SUCCESS, None, {"n": 1}))
    taken_on(host, outbox, handler)
    assert (handler.done, outbox.reports[0].result) == ([], {"n": 1})


@pytest.mark.parametrize(
    ("tries", "retries", "done"), [(1, 1, True), (2, 1, False), (1, 0, False), (3, 3, True)]
)
def test_l39_cut_off_then_begun_again_as_often_as_it_allows_then_a_dead_letter(
    host: PretendedHost, tries: int, retries: int, done: bool
) -> None:
    """lessons.md L39"""
    outbox, handler = Outbox(), Counter()
    order = left(host, fields_of("app:count", max_retries=retries), tries)
    taken_on(host, outbox, handler)
    assert bool(handler.done) is done
    assert outbox.reports[0].rule == ("" if done else GAVE_UP)
    assert [letter.rule for letter in outbox.letters] == ([] if done else [GAVE_UP])
    if not done:
        envelope = outbox.letters[0].envelope
        assert envelope is not None
        assert (envelope.job_id, outbox.letters[0].stream) == (order.id, "t:all")


def test_its_handler_is_gone_then_a_failure_that_says_so(host: PretendedHost) -> None:
    outbox = Outbox()
    left(host, fields_of("app:count"))
    taken_on(host, outbox)
    assert (outbox.reports[0].status, outbox.reports[0].rule) == (FAILED, UNKNOWN_KIND)


def test_l4_an_update_was_made_before_the_kill_then_its_end_is_told_and_none_is_made(
    host: PretendedHost,
) -> None:
    """lessons.md L4, L29"""
    outbox = Outbox()
    order = left(host, fields_of(UPDATE))
    host.updates.tell_end(confirmed=True)
    taken_on(host, outbox)
    assert (outbox.reports[0].job_id, outbox.reports[0].status) == (order.id, SUCCESS)
    assert host.updates.asked == []


def test_l1_an_update_was_over_and_its_time_too_then_its_end_is_told_and_not_that_it_is_owed(
    host: PretendedHost,
) -> None:
    """lessons.md L1: a restart may take longer than the mission allows."""
    outbox = Outbox()
    left(host, fields_of(UPDATE, timeout_seconds=1), ago=60)
    host.updates.tell_end(confirmed=True)
    taken_on(host, outbox)
    assert (outbox.reports[0].status, outbox.reports[0].error) == (SUCCESS, "")


def test_the_bus_is_away_then_the_result_is_told_when_it_is_back(host: PretendedHost) -> None:
    outbox = Outbox(fails=3)
    left(host, fields_of("app:count"))
    taken_on(host, outbox, Counter())
    assert len(outbox.reports) == 1


def test_l29_the_disk_is_full_when_a_result_is_kept_then_it_is_kept_later_and_nothing_is_done_again(
    host: PretendedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lessons.md L29"""
    outbox, handler = Outbox(), Counter()
    refusing(monkeypatch, "note", lambda order: order.stage == TELLING)
    order = left(host, fields_of("app:count"))
    said = taken_on(host, outbox, handler)
    assert handler.done == [order.id]
    assert [(each.job_id, each.status) for each in outbox.reports] == [(order.id, SUCCESS)]
    assert "a mission's result was not kept" in said[0]


def test_l26_done_then_its_result_is_kept_before_a_restart_may_come(host: PretendedHost) -> None:
    """lessons.md L26: what has no result would be done again by the next process."""
    kept: list[Any] = []

    @contextlib.asynccontextmanager
    async def job(_: str) -> AsyncIterator[None]:
        yield
        found = await asyncio.to_thread(lambda: Orders(host.state).find(order.id))
        kept.append(found and kept_of(found).result)

    order = left(host, fields_of("app:count"))
    taken_on(host, Outbox(), Counter(), job=job)
    assert kept == [MissionResult(SUCCESS, None, {"counted": True})]


def test_a_pause_cannot_be_kept_then_it_has_failed_and_what_else_was_left_is_done(
    host: PretendedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox, handler = Outbox(), Counter()
    refusing(monkeypatch, "keep", lambda facts: PAUSED in facts)
    orders = [left(host, fields_of(kind)).id for kind in (PAUSE, "app:count")]

    async def told(work: MissionWork) -> None:
        await until(lambda: len(outbox.reports) == 2)
        assert work.paused is None

    taken_on(host, outbox, handler, then=told)
    assert [(each.job_id, each.status) for each in outbox.reports] == list(
        zip(orders, (FAILED, SUCCESS), strict=True)
    )


def test_the_disk_is_full_when_an_update_ends_then_what_came_of_it_is_told_once_there_is_room(
    host: PretendedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox, host.updates.confirmed = Outbox(), True
    refusing(monkeypatch, "note", lambda order: order.record is not None)
    order = left(host, fields_of(UPDATE))
    taken_on(host, outbox)
    assert [(each.job_id, each.status) for each in outbox.reports] == [(order.id, SUCCESS)]
    assert host.updates.made == 1


def test_a_result_meets_a_defect_then_the_next_one_is_told_all_the_same(
    host: PretendedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox, handler = Outbox(), Counter()
    plainly = outbox.report

    async def report(fields: Mapping[str, str]) -> None:
        if fields["job_id"] == first.id:
            raise RuntimeError("a defect")
        await plainly(fields)

    monkeypatch.setattr(outbox, "report", report)
    first, second = (left(host, fields_of("app:count")) for _ in range(2))
    said = taken_on(host, outbox, handler)
    assert [each.job_id for each in outbox.reports] == [second.id]
    assert "a defect" in said[0]
    found = Orders(host.state).find(first.id)
    assert found
    assert found.stage == TELLING, "the next process tells it"


@pytest.mark.parametrize(
    ("does", "status"),
    [
        (raising(OSError("no file caf\udce9")), FAILED),
        (lambda _: MissionResult(FAILED, "no file caf\udce9"), FAILED),
        (lambda _: MissionResult(SUCCESS, None, {"at": datetime.now(UTC)}), SUCCESS),
    ],
    ids=["an error that is no text", "a reason that is none", "a result that is kept as what JSON says"],
)
def test_it_makes_what_is_hard_to_publish_then_it_is_told_and_so_is_the_next(
    host: PretendedHost, does: Callable[[Any], Any], status: str
) -> None:
    outbox, handler = Outbox(), Counter(does=does)
    orders = [left(host, fields_of("app:count")).id for _ in range(2)]

    async def told(_: MissionWork) -> None:
        await until(lambda: len(outbox.reports) == 2)

    taken_on(host, outbox, handler, then=told)
    assert [(each.job_id, each.status) for each in outbox.reports] == [(order, status) for order in orders]


def test_l39_paused_then_what_waits_for_its_turn_waits(host: PretendedHost) -> None:
    """lessons.md L39"""
    outbox, handler = Outbox(), Counter()
    left(host, fields_of("app:count"))
    Orders(host.state).keep({"missions.paused": "2026-11-20T12:00:00Z"})

    async def look(work: MissionWork) -> None:
        assert work.paused
        assert work.is_idle

    taken_on(host, outbox, handler, then=look)
    assert (handler.done, outbox.reports) == ([], [])


def test_what_was_kept_is_no_mission_then_it_is_over(host: PretendedHost) -> None:
    order = left(host, fields_of("app:count"))
    orders = Orders(host.state)
    orders.note(replace(order, mission={"fields": {}}))

    async def nothing(_: MissionWork) -> None:
        pass

    taken_on(host, Outbox(), then=nothing)
    found = orders.find(order.id)
    assert found is not None
    assert found.stage == OVER
