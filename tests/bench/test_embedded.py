"""bench/embedded.py: what is read of the journal, and what is said of a daemon that does not work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.embedded import Daemon, Measured, _median
from bench.facts import Fact, measure_all
from bench.ground import Ground
from bench.measure import DidNotWork
from tests.support.repositories import Checkout, Remote


def daemon(tmp_path: Path, kind: str = "bare") -> Daemon:
    ground = Ground(tmp_path, tmp_path / "cache", Remote(tmp_path / "remote", "main"))
    (tmp_path / "app").mkdir()
    return Daemon(ground, kind, Checkout(tmp_path / "app"))


def test_an_order_is_begun_when_the_journal_says_fetch_last(tmp_path: Path) -> None:
    one = daemon(tmp_path)
    one.state.mkdir(parents=True)
    assert one.records() == [{"state": ""}]
    lines = [("fetch", 1), ("done", 2), ("fetch", 3), ("stage", 4)]
    text = "".join(
        json.dumps({"state": state, "at": f"1970-01-01T00:00:0{at}.500Z"}) + "\n" for state, at in lines
    )
    (one.state / "journal.jsonl").write_text(text)
    assert one.entered("fetch") == 3.5


def test_a_daemon_that_does_not_start_is_said_to(tmp_path: Path) -> None:
    with pytest.raises(DidNotWork, match="instead of ready"):
        daemon(tmp_path).start()


def test_one_thing_does_not_work_then_the_others_are_measured() -> None:
    def broken() -> list[Fact]:
        raise DidNotWork("it rained")

    measured = Measured(*measure_all("embedded", [broken, lambda: [Fact("stall", _median([1, 9, 2]), "ms")]]))
    assert measured.failures == ["embedded: it rained"]
    assert measured.lines() == [
        ["a daemon that embeds newleaf", "measured", "must", "met"],
        ["stall", "2.00 ms", "", ""],
    ]
