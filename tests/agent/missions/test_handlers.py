"""An app's handler raises, hangs, or gives back nonsense: a failure with its reason, in time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from newleaf.agent.missions import handlers as mission_handlers
from newleaf.agent.missions.handlers import by_kind, limit_seconds, run_handler
from newleaf.core.missions.envelope import Envelope, read_envelope
from newleaf.core.missions.results import FAILED, SUCCESS, MissionResult
from tests.support.missions import Counter, fields_of


def envelope(**said: Any) -> Envelope:
    return read_envelope(fields_of("app:count", **said))


def made_of(does: Callable[[Envelope], Any], seconds: float = 5.0) -> MissionResult:
    async def bounded() -> MissionResult:
        async with asyncio.timeout(10):
            return await run_handler(Counter(does=does), envelope(context={"n": 1}), seconds)

    return asyncio.run(bounded())


def test_a_result_then_it_is_the_missions() -> None:
    assert made_of(lambda said: MissionResult(SUCCESS, None, dict(said.context))).result == {"n": 1}


async def _hang(_: object) -> MissionResult:
    await asyncio.sleep(3600)
    raise AssertionError


async def _hang_on(_: object) -> MissionResult:
    for _ in range(200):
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            continue
    return MissionResult(SUCCESS)


def _raise(error: BaseException) -> Callable[[Envelope], Any]:
    def does(_: Envelope) -> Any:
        raise error

    return does


@pytest.mark.parametrize(
    ("does", "said"),
    [
        (_raise(KeyError("width")), "the handler failed: KeyError: 'width'"),
        (_raise(SystemExit(3)), "the handler failed: SystemExit: 3"),
        (_raise(ValueError("token=canary")), "the handler failed: ValueError: token=****"),
        (_raise(asyncio.CancelledError()), "the handler cancelled itself"),
        (lambda _: None, "the handler gave back no MissionResult but NoneType"),
        (lambda _: {"status": "SUCCESS"}, "the handler gave back no MissionResult but dict"),
        (lambda _: MissionResult(SUCCESS, None, object()), "nothing that JSON can say"),
    ],
)
def test_it_raises_or_gives_back_nonsense_then_a_failure_with_its_reason(
    does: Callable[[Envelope], Any], said: str
) -> None:
    found = made_of(does)
    assert found.status == FAILED
    assert said in (found.error or "")


@pytest.mark.parametrize(("does", "more"), [(_hang, ""), (_hang_on, ", and does not end when it is told to")])
def test_l22_it_hangs_then_it_is_left_behind_in_time(
    monkeypatch: pytest.MonkeyPatch, does: Callable[[Envelope], Any], more: str
) -> None:
    """lessons.md L22"""
    monkeypatch.setattr(mission_handlers, "GRACE_SECONDS", 0.05)
    assert made_of(does, 0.1).error == f"the handler did not end within 0.1 s{more}"


@pytest.mark.parametrize(("said", "own", "limit"), [(0, 60, 60), (5, 60, 5), (600, 60, 60), (0.5, 60, 0.5)])
def test_l22_its_limit_is_the_missions_and_never_longer_than_the_hosts(
    said: float, own: float, limit: float
) -> None:
    """lessons.md L22"""
    assert limit_seconds(envelope(timeout_seconds=said), own) == limit


def test_two_of_a_kind_or_one_of_newleafs_then_an_error_at_once() -> None:
    assert list(by_kind([Counter("a"), Counter("b")])) == ["a", "b"]
    with pytest.raises(ValueError, match="two handlers"):
        by_kind([Counter("a"), Counter("a")])
    for kind in ("a b", "", "x" * 65):
        with pytest.raises(ValueError, match="can be no kind"):
            by_kind([Counter(kind)])
    with pytest.raises(ValueError, match="newleaf's own"):
        by_kind([Counter("system:update_factory")])


def test_the_host_ends_then_so_does_the_handler() -> None:
    ended = []

    async def hang(_: object) -> MissionResult:
        try:
            return await _hang(_)
        finally:
            ended.append(sys.exc_info()[0])

    async def work() -> None:
        task = asyncio.ensure_future(run_handler(Counter(does=hang), envelope(), 60))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.02)

    asyncio.run(work())
    assert ended == [asyncio.CancelledError]
