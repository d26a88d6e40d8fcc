"""bench/missions.py on a real server: publishing, and a mission for all that reaches all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bench.missions import QUICK, _delivered, _published
from examples.stage.redis_server import RedisServer, serve_redis

FEW = replace(QUICK, missions=10, hosts=6, times=2)
NO_GROUND: Any = None


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with serve_redis() as running:
        yield running


def test_missions_are_published_beside_plain_entries(server: RedisServer) -> None:
    ours, plain = _published(NO_GROUND, server, FEW)
    assert ours.value > 0
    assert plain.value > 0


def test_a_mission_for_all_reaches_all_and_with_one_group_only_one(server: RedisServer) -> None:
    """lessons.md L37"""
    facts = {fact.name: fact.value for fact in _delivered(NO_GROUND, server, FEW)}
    assert facts["of 6 hosts, reached by a mission for all"] == 6
    assert facts["the same with one group for all"] == 1
    assert facts["delivery, p50"] <= facts["delivery, p99"] <= facts["to the last host, longest"]
