from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench import restarts
from bench.ground import Ground
from bench.measure import Absent, DidNotWork
from bench.restarts import PM2, WAYS, Measured, Seen, Way, measure
from bench.web_app import WebApp
from bench.web_keepers import Update

FIGURES = {"served": 1990, "failed": 0, "p50_ms": 2.0, "p99_ms": 60.0, "max_ms": 90.0, "silence_ms": 91.0}


@pytest.fixture
def ground() -> Iterator[Ground]:
    """Below a short path, or the launcher's sockets would not fit."""
    with tempfile.TemporaryDirectory(prefix="nl-") as folder:
        made = Ground.make(Path(folder).resolve(), Path(folder) / "cache")
        yield made
        made.end()


@pytest.mark.parametrize(
    ("way", "change", "met"),
    [
        (WAYS[0], {}, True),
        (WAYS[0], {"failed": 1}, False),
        (WAYS[0], {"p99_ms": 101.0}, False),
        (WAYS[1], {"p99_ms": 700.0}, True),
        (WAYS[1], {"failed": 1}, False),
        (WAYS[2], {"failed": 1}, None),
    ],
)
def test_what_is_asked_of_a_way_is_met_or_not(way: Way, change: dict[str, Any], *, met: bool | None) -> None:
    seen = Seen(way, {**FIGURES, **change})
    assert seen.is_met is met
    assert seen.line()[-1] == {True: "yes", False: "NO", None: ""}[met]
    assert seen.as_record()["met"] is met


def test_a_row_counts_all_requests_and_shows_who_did_not_work() -> None:
    broken, absent = Seen(WAYS[2], {}, "it rained"), Seen(WAYS[3], {}, "no npm", absent=True)
    table = Measured([Seen(WAYS[0], {**FIGURES, "failed": 10}), broken, absent])
    head, *lines = table.lines()
    assert {len(line) for line in lines} == {len(head)}
    assert lines[0][1:6] == ["2,000", "10", "2 ms", "60 ms", "90 ms"]
    assert [lines[1][1], lines[2][1]] == ["FAILED", "absent"]
    assert table.failures == [f"restarts: {WAYS[2].name} did not work: it rained"]
    assert Measured().lines() == []


def test_newleaf_loses_no_request_where_a_stop_and_a_start_do(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarts, "QUICK_UPDATES", 1)
    monkeypatch.setattr(restarts, "PAUSE_SECONDS", 0.1)
    measured = measure(ground, quick=True, ways=(WAYS[0], WAYS[2]))
    assert measured.failures == []
    launched, by_hand = measured.as_record()
    assert launched["updates"] == 1
    assert launched["served"] > 0
    assert launched["failed"] == 0
    assert by_hand["failed"] > 0
    assert all(0 < each["p50_ms"] <= each["p99_ms"] <= each["max_ms"] for each in (launched, by_hand))


def test_what_does_not_work_or_is_absent_leaves_the_others_alone(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def broken(_: WebApp) -> Iterator[Update]:
        raise DidNotWork("it rained")
        yield

    ground.__dict__["pm2"] = Absent("pm2 pull", "npm is not installed")
    first, second = measure(ground, quick=True, ways=(Way("broken", broken), Way(PM2, broken))).seen
    assert (first.failure, first.absent) == ("it rained", False)
    assert (second.failure, second.absent) == ("npm is not installed", True)
