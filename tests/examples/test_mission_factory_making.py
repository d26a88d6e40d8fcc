"""The handler of examples/mission_factory, whose process may be killed at any moment, and its ledger."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

APP = Path(__file__).parents[2] / "examples/mission_factory/app"
Make = Callable[..., Any]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Has a new process carry out an order; None where it is killed meanwhile."""
    monkeypatch.syspath_prepend(str(APP))
    making, ledger = (importlib.import_module(f"factory.{name}") for name in ("making", "ledger"))

    def make(order: str, *, killed: bool = False, **context: object) -> Any:
        handler = making.Making(ledger.Ledger(tmp_path / "data/ledger.jsonl"))
        envelope = SimpleNamespace(idempotency_key=order)

        async def run() -> Any:
            working = asyncio.ensure_future(handler.handle(envelope, context))
            if killed:
                await asyncio.sleep(0)
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)
            return None if killed else await working

        return asyncio.run(run())

    yield make
    for name in [name for name in sys.modules if name.partition(".")[0] == "factory"]:
        del sys.modules[name]


def lines(folder: Path) -> list[tuple[str, str]]:
    text = (folder / "data/ledger.jsonl").read_text()
    return [(line["what"], line["order"]) for line in map(json.loads, text.splitlines())]


def test_made_and_killed_before_that_was_kept_then_it_is_not_made_again(make: Make, tmp_path: Path) -> None:
    first, second = make("a", thing="crate"), make("a", thing="crate")
    assert first == second
    assert (first.status, first.result) == ("SUCCESS", {"thing": "a crate", "version": "1.0.0"})
    assert lines(tmp_path) == [("begun", "a"), ("made", "a")]


def test_killed_while_it_worked_then_it_is_begun_again_and_made_once(make: Make, tmp_path: Path) -> None:
    assert make("a", killed=True, thing="crate", seconds=60) is None
    assert make("a", thing="crate").status == "SUCCESS"
    assert lines(tmp_path) == [("begun", "a"), ("begun", "a"), ("made", "a")]


def test_killed_in_the_middle_of_a_line_then_the_rest_is_kept_and_that_is_made(
    make: Make, tmp_path: Path
) -> None:
    make("a", thing="crate")
    with (tmp_path / "data/ledger.jsonl").open("a") as ledger:
        ledger.write('{"what": "made", "ord')
    assert make("b", thing="crate").status == "SUCCESS"
    assert lines(tmp_path) == [("begun", "a"), ("made", "a"), ("begun", "b"), ("made", "b")]


@pytest.mark.parametrize("context", [{}, {"thing": 3}, {"thing": "crate", "seconds": "long"}])
def test_an_order_that_says_no_thing_then_it_fails_and_nothing_is_begun(
    make: Make, tmp_path: Path, context: dict[str, Any]
) -> None:
    assert make("a", **context).status == "FAILED"
    assert lines(tmp_path) == []
