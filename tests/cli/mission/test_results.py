"""Whose results are waited for, and what they come to."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from newleaf.cli.mission.results import Answers, expected_hosts
from newleaf.core.missions.publishing import Wish, make_order
from newleaf.core.missions.registration import Registration
from newleaf.core.missions.results import FAILED, SUCCESS, Report
from tests.support.missions import ago


def report(host: str, status: str) -> Report:
    return Report("job", "job", "k", "*", host, "t", status)


@pytest.mark.parametrize(
    ("expected", "answers", "outcome"),
    [
        ({"a", "b"}, {"a": SUCCESS, "b": SUCCESS}, ("ok", 0)),
        ({"a", "b"}, {"a": SUCCESS}, ("waiting", 4)),
        ({"a", "b"}, {"a": FAILED}, ("failed", 1)),
        (set(), {}, ("waiting", 4)),
        (set(), {"a": SUCCESS}, ("ok", 0)),
        ({"a"}, {"a": SUCCESS, "b": FAILED}, ("failed", 1)),
    ],
)
def test_l41_a_host_that_is_silent_is_no_success(
    expected: set[str], answers: dict[str, str], outcome: tuple[str, int]
) -> None:
    """lessons.md L2, L41"""
    made = Answers(expected, {host: report(host, status) for host, status in answers.items()})
    assert made.outcome == outcome


def test_for_many_then_those_who_are_meant_and_not_silent_are_waited_for() -> None:
    class Room:
        async def registrations(self) -> dict[str, bytes]:
            hosts = [("a", "worker", 0), ("b", "worker", 300), ("c", "boss", 0)]
            made = [
                Registration(name=name, at=ago(seconds=age), labels={"role": role})
                for name, role, age in hosts
            ]
            return {each.name: each.as_json().encode() for each in made} | {"d": b"nonsense"}

    room: Any = Room()

    def expected(target: str) -> set[str]:
        order = make_order(Wish(target=target), "job", datetime.now(UTC), "p", None)
        return asyncio.run(expected_hosts(room, order))

    assert expected("*") == {"a", "c"}
    assert expected("role=worker") == {"a"}
    assert expected("mini-9") == {"mini-9"}
