"""A host's place on the bus, from its settings."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import newleaf
from newleaf import compose
from newleaf.compose.missions import mission_door, order, require_headquarters, room
from newleaf.core.missions.mission_errors import (
    BusUnconfigured,
    MissionKeysUnusable,
    NotHeadquarters,
    RedisMissing,
)
from newleaf.core.missions.publishing import Wish
from newleaf.core.missions.signatures import find_fault
from newleaf.core.records import Waiting
from newleaf.integrations.missions import MissionConsumer
from newleaf.system.place import Unnamed
from tests.support.buses import SECRET, on_bus, write_keys
from tests.support.deployment import Deployment
from tests.support.missions import ago

URL = "redis://:canary@127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def stands_in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program of the tests was started from newleaf's own tree."""
    monkeypatch.setattr(compose, "own_tree", lambda: None)


def test_settings_then_the_receiver_is_what_they_say(deployment: Deployment) -> None:
    on_bus(deployment, URL, 'labels = { role = "worker" }\ncapabilities = ["gpu"]\n')
    door = mission_door(compose.host(Unnamed()))
    receiver = door.receiver
    assert (receiver.name, receiver.prefix) == ("mini-1", "newleaf:sessions:missions")
    assert (receiver.labels, receiver.branch) == ({"role": "worker"}, "main")
    assert (door.app, door.capabilities, door.keys()) == ("sessions", ("gpu",), None)
    assert "canary" not in door.bus_name


def test_keys_then_an_order_is_signed_by_the_first_or_the_one_that_is_named(
    deployment: Deployment, tmp_path: Path
) -> None:
    keys = write_keys(
        tmp_path, '[ci]\nsecret_file = "hq.secret"\n[hq]\nsecret_file = "hq.secret"\nbroadcast = true\n'
    )
    on_bus(deployment, URL, f'mission_keys = "{keys}"\n')
    host = compose.host(Unnamed())
    known = mission_door(host).keys()
    assert known is not None
    assert known["hq"].secret == SECRET.encode()
    first, named = order(host, Wish()), order(host, Wish(), "hq")
    for made, rule in ((first, "may_not_broadcast"), (named, None)):
        fault = find_fault(made.fields, made.envelope, "newleaf:sessions:missions", known)
        assert (fault.rule if fault else None) == rule
    with pytest.raises(MissionKeysUnusable):
        order(host, Wish(), "nobody")
    keys.unlink()
    with pytest.raises(MissionKeysUnusable):
        mission_door(host).keys()


def test_l3_the_daemon_leaves_then_the_status_that_waited_for_that_says_restarting(
    deployment: Deployment,
) -> None:
    """lessons.md L3"""
    on_bus(deployment, URL)
    host = compose.host(Unnamed())
    gates = (Waiting("restart", "why", ago()),)
    waiting = host.unknown_status()._replace(status="waiting", waiting_for=gates)
    host.status_file.publish(waiting)
    mission_door(host).say_restarting(ago())
    assert deployment.record("status.json")["status"] == "restarting"


def test_no_keys_then_an_order_is_not_signed(deployment: Deployment) -> None:
    on_bus(deployment, URL)
    assert order(compose.host(Unnamed()), Wish()).envelope.signature == ""


def test_no_bus_no_headquarters_or_no_redis_py_then_an_error_at_once(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = compose.host(Unnamed())
    for ask in (mission_door, room):
        with pytest.raises(BusUnconfigured):
            ask(host)
    with pytest.raises(NotHeadquarters):
        require_headquarters(host)
    with pytest.raises(BusUnconfigured):
        MissionConsumer(newleaf.doors())
    on_bus(deployment, URL)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(RedisMissing):
        MissionConsumer(newleaf.doors())


def test_doors_then_a_consumer_of_this_host(deployment: Deployment) -> None:
    on_bus(deployment, URL)
    made = MissionConsumer(newleaf.doors())
    assert not made.restart_requested
    assert not made.paused
