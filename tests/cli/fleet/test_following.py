"""What is said of an update of a fleet; `test_fleet.py` follows one on a real bus."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from newleaf.agent.missions.headquarters import Placed
from newleaf.cli.fleet.following import order_and_follow
from newleaf.cli.invocation import Invocation
from newleaf.core.missions.results import Report
from newleaf.core.missions.update_orders import Ordered

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ALL = Ordered(job_id="j1", target="*", issued_at=NOW, expires_at=NOW, since="0")


class Pretended:
    """Headquarters where nobody tells anything."""

    def __init__(self, placed: Placed) -> None:
        self.placed = placed

    async def order_update(self, *_: Any) -> Placed:
        return self.placed

    async def follow(self, *_: Any) -> Any:
        for report in list[Report]():
            yield report


def said(placed: Placed, seconds: float, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    made: Any = Pretended(placed)
    code = asyncio.run(order_and_follow(Invocation(), made, (None, None), seconds))
    return code, capsys.readouterr().out.splitlines()


def test_nobody_is_there_then_it_is_said_and_counts_as_failure(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = said(Placed(ALL, is_new=True, until=NOW), 1, capsys)
    assert (code, lines) == (
        1,
        ["ordered j1: an update of all hosts", "  nobody was there to answer; who returns will hear of it"],
    )


def test_one_is_named_then_it_is_called_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    one = replace(ALL, target="mini-1", hosts=("mini-1",))
    assert said(Placed(one, is_new=True, until=NOW), 0, capsys) == (0, ["ordered j1: an update of mini-1"])
    assert said(Placed(one, is_new=False, until=NOW), 1, capsys) == (
        1,
        [
            "an update of mini-1 is in flight already, until 2026-11-20T12:00:00Z at most: j1",
            "  mini-1: no answer",
        ],
    )
