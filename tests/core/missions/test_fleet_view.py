"""Who runs what, who is silent, who drifts (lessons.md L41)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from newleaf.core.missions.fleet_view import (
    ANNOUNCED,
    MOST,
    FleetTarget,
    read_announced,
    read_hosts,
    see,
)
from newleaf.core.missions.registration import Registration

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
OLD, NEW = "a" * 40, "b" * 40
SILENT = timedelta(minutes=5)


def host(
    name: str, commit: str | None = OLD, ago: timedelta = timedelta(seconds=3), **said: Any
) -> Registration:
    return Registration(name=name, at=NOW - ago, commit=commit, **said)


def drifts(*hosts: Registration, announced: FleetTarget | None = None) -> list[bool | None]:
    return [one.drifts for one in see(hosts, announced, NOW).hosts]


def test_hosts_then_how_long_ago_each_was_heard_and_who_is_silent() -> None:
    fleet = see([host("m1"), host("m2", ago=SILENT), host("m3", ago=-SILENT)], None, NOW)
    assert [(one.age_seconds, one.is_silent) for one in fleet.hosts] == [(3, False), (300, True), (0, False)]


def test_a_release_was_announced_then_whoever_runs_another_drifts() -> None:
    announced = FleetTarget(NEW, "1.1.0", ANNOUNCED)
    assert drifts(host("m1"), host("m2", NEW), announced=announced) == [True, False]


def test_hosts_have_gone_on_from_what_was_announced_then_whoever_runs_what_most_do_not_drifts() -> None:
    announced = FleetTarget("c" * 40, None, ANNOUNCED, NOW - timedelta(hours=1))
    before, since = "2026-11-20T10:00:00Z", "2026-11-20T11:30:00Z"
    old, new = host("m1", status="deployed", since=before), host("m2", NEW, status="deployed", since=since)
    assert drifts(old, new, host("m3", NEW), announced=announced) == [True, False, False]
    assert drifts(old, host("m2", NEW, status="waiting", since=since), announced=announced) == [True, True]
    assert drifts(old, new, host("m3", "c" * 40), announced=announced) == [True, True, False]


def test_none_was_announced_then_whoever_runs_what_most_do_not_drifts() -> None:
    hosts = [host("m1"), host("m2", NEW, version="1.1.0"), host("m3", NEW, version="1.1.0")]
    fleet = see(hosts, None, NOW)
    assert fleet.target == FleetTarget(NEW, "1.1.0", MOST)
    assert [one.drifts for one in fleet.hosts] == [True, False, False]


def test_a_host_says_its_own_target_then_that_counts() -> None:
    announced = FleetTarget(NEW, None, ANNOUNCED)
    assert drifts(host("m1", target=OLD), host("m2", NEW, target=OLD), announced=announced) == [False, True]


def test_l41_a_host_is_silent_or_says_nothing_then_its_drift_is_unknown_and_it_is_not_counted() -> None:
    hosts = [host("m1", NEW, SILENT), host("m2", NEW, SILENT), host("m3"), host("m4", None)]
    fleet = see(hosts, None, NOW)
    assert fleet.target == FleetTarget(OLD, None, MOST)
    assert [one.drifts for one in fleet.hosts] == [None, None, False, None]
    assert see([], None, NOW).as_record() == {"target": None, "hosts": []}


def test_a_fleet_as_a_record_then_each_registration_with_what_is_seen_of_it() -> None:
    (one,) = see([host("m1", target=NEW)], None, NOW).as_record()["hosts"]
    assert (one["name"], one["commit"], one["target"], one["expected"]) == ("m1", OLD, NEW, NEW)
    assert (one["age_seconds"], one["silent"], one["drift"]) == (3.0, False, True)


def test_registrations_then_those_that_can_be_read_by_name_each_its_own() -> None:
    texts = {name: host(name).as_json().encode() for name in ("m2", "m1")}
    found = read_hosts({**texts, "m3": b"{", "m4": host("m1").as_json().encode()})
    assert [one.name for one in found] == ["m1", "m2"]


def test_an_announcement_then_its_release_and_none_where_it_names_no_commit() -> None:
    assert read_announced({b"commit": NEW.encode(), b"version": b"1.1.0"}) == FleetTarget(
        NEW, "1.1.0", ANNOUNCED
    )
    assert read_announced({b"commit": NEW.encode()}) == FleetTarget(NEW, None, ANNOUNCED)
    for fields in ({}, {b"commit": b"main"}, {b"commit": b"\xff"}):
        assert read_announced(fields) is None
