"""`fleet status` and `fleet update` on a real bus: who runs what, and an update followed to its end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from newleaf.agent.missions.headquarters import Headquarters
from newleaf.core.missions.results import MissionResult
from tests.support.deployment import Deployment, wait_until
from tests.support.headquarters import DONE, Centre
from tests.support.redis_server import RedisServer, serve_redis
from tests.support.terminal import Terminal

OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with serve_redis(appendonly="no") as server:
        yield server


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return Deployment.make(tmp_path_factory.mktemp("hq"))


@pytest.fixture
def centre(host: Deployment, redis: RedisServer) -> Centre:
    """Headquarters, as this host's settings have it."""
    made = Centre(redis.url)
    sit(host, made)
    return made


def sit(host: Deployment, centre: Centre, *, headquarters: bool = True) -> None:
    word = "true" if headquarters else "false"
    fleet = f'redis_url = "{centre.url}"\nstream_prefix = "{centre.streams.prefix}"\nheadquarters = {word}'
    host.host_settings(f"[fleet]\n{fleet}\n")


def failed(outcome: str) -> MissionResult:
    return MissionResult("FAILED", outcome, {"outcome": outcome})


def telling(
    centre: Centre, results: dict[str, MissionResult], rule: str = "", after: threading.Event | None = None
) -> threading.Thread:
    """Hosts that tell their results as soon as they are ordered to update, and something has happened."""

    def tell() -> None:
        if after:
            assert after.wait(20)
        entries = wait_until(lambda: centre.published() or centre.published(next(iter(results))))
        job = entries[0].fields[b"job_id"].decode()
        for name, result in results.items():
            centre.tell(name, job, result, rule)

    thread = threading.Thread(target=tell)
    thread.start()
    return thread


# --- status -----------------------------------------------------------------------------------


def test_nobody_is_there_then_it_says_so(centre: Centre, terminal: Terminal) -> None:
    assert terminal.lines("fleet", "status") == ["no host has made itself known"]
    answer = terminal.run("fleet", "status")
    assert (answer.code, answer.record) == (0, {"schema": 1, "outcome": "ok", "target": None, "hosts": []})


def test_hosts_then_a_row_each_with_what_runs_drift_and_silence(centre: Centre, terminal: Terminal) -> None:
    said: dict[str, Any] = {"status": "deployed", "since": "2026-11-20T12:00:00Z"}
    centre.register("mini-1", commit=NEW, version="1.1.0", **said)
    centre.register("mini-2", commit=OLD, version="1.0.0", paused=True, **said)
    centre.register("mini-3", commit=OLD, ago=4 * 3600, **said)
    centre.register("mini-10", status="checking")
    centre.announce(NEW)
    lines = terminal.lines("fleet", "status")
    assert [line.split()[0] for line in lines[:-1]] == ["host", "mini-1", "mini-10", "mini-2", "mini-3"]
    start = lines[0].index("runs")
    assert {line[start - 2 : start] for line in lines[:-1]} == {"  "}
    assert "1.1.0 (bbbbbbbbb)  deployed          2026-11-20 12:00:00  none" in lines[1]
    assert lines[2].split()[1:5] == ["unknown", "checking", "unknown", "unknown"]
    assert "deployed, paused  2026-11-20 12:00:00  behind bbbbbbbbb" in lines[3]
    assert lines[4].endswith("unknown           4 h ago, silent")
    assert lines[5] == "4 hosts, 1 drifting, 1 silent; target 1.1.0 (bbbbbbbbb), announced last"
    record = terminal.run("fleet", "status").record
    assert [(one["name"], one["drift"], one["silent"]) for one in record["hosts"]] == [
        ("mini-1", False, False), ("mini-10", None, False), ("mini-2", True, False), ("mini-3", None, True),
    ]  # fmt: skip


def test_no_bus_is_configured_or_it_is_away_then_it_says_so(
    host: Deployment, terminal: Terminal, tmp_path: Path
) -> None:
    host.host_settings("")
    answer = terminal.run("fleet", "status")
    assert (answer.code, answer.record["errors"][0]["code"]) == (2, "bus_unconfigured")
    sit(host, Centre(f"unix://{tmp_path}/none.sock"))
    for verb in (("status",), ("update", "--all")):
        answer = terminal.run("fleet", *verb)
        assert (answer.code, answer.record["errors"][0]["code"]) == (1, "bus_unreachable")


def test_it_is_watched_then_each_change_once_and_a_bus_that_is_lost_is_waited_for(host: Deployment) -> None:
    with serve_redis() as server:
        centre = Centre(server.url)
        sit(host, centre)
        centre.register("mini-1", commit=OLD, status="\x1b]0;x\x07")
        process = host.start("fleet", "status", "--watch")
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            first = [process.stdout.readline() for _ in range(3)]
            assert [line[:6] for line in first] == ["host  ", "mini-1", "1 host"]
            assert "?]0;x?" in first[1], "nothing that a host says of itself commands this terminal"
            centre.register("mini-1", commit=OLD, status="\x1b]0;x\x07")
            server.kill()
            assert "cannot be used" in process.stderr.readline()
            server.start()
            centre.register("mini-1", commit=NEW)
            assert process.stdout.readline().startswith("host")
            assert "bbbbbbbbb" in process.stdout.readline()
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate(timeout=20)
        assert process.returncode == 128 + signal.SIGTERM


# --- update -----------------------------------------------------------------------------------


def test_a_host_is_ordered_then_it_says_so_and_does_not_wait(centre: Centre, terminal: Terminal) -> None:
    centre.register("mini-1")
    answer = terminal.run("fleet", "update", "mini-1", "--branch", "main")
    (entry,) = centre.published("mini-1")
    record = answer.record
    assert (answer.code, record["outcome"], record["target"], record["joined"]) == (0, "ok", "mini-1", False)
    assert entry.fields[b"job_id"].decode() == record["job_id"]
    (line,) = terminal.lines("fleet", "update", "mini-1")
    assert line.startswith("an update of mini-1 is in flight already, until 20")
    assert line.endswith(f" at most: {record['job_id']}")
    assert len(centre.published("mini-1")) == 1


@pytest.mark.parametrize(
    ("results", "code", "outcome"),
    [
        ({"mini-1": DONE, "mini-2": DONE}, 0, "updated"),
        ({"mini-1": DONE, "mini-2": failed("held")}, 0, "held"),
        ({"mini-1": DONE, "mini-2": failed("waiting")}, 4, "waiting"),
        ({"mini-1": failed("failed"), "mini-2": failed("waiting")}, 1, "failed"),
        ({"mini-1": failed("failed"), "mini-2": failed("rolled_back")}, 6, "rolled_back"),
        ({"mini-1": failed("inconsistent"), "mini-2": failed("rolled_back")}, 7, "inconsistent"),
    ],
)
def test_all_are_waited_for_then_it_exits_by_the_worst_of_them(
    centre: Centre, terminal: Terminal, results: dict[str, MissionResult], code: int, outcome: str
) -> None:
    centre.register("mini-1", "mini-2")
    centre.register("away", ago=3600)
    thread = telling(centre, results)
    answer = terminal.run("fleet", "update", "--all", "--wait")
    thread.join()
    assert (answer.code, answer.outcome, answer.errors) == (code, outcome, "")
    assert [one["host"] for one in answer.record["results"]] == ["mini-1", "mini-2"]
    assert answer.record["missing"] == []


def test_it_is_refused_then_5_and_the_rule(centre: Centre, terminal: Terminal) -> None:
    centre.register("mini-1")
    thread = telling(centre, {"mini-1": MissionResult("FAILED", "no")}, "another_branch")
    code, output, errors = terminal.text("fleet", "update", "mini-1", "--wait")
    thread.join()
    assert (code, errors) == (5, "")
    assert "  mini-1: refused (another_branch): no" in output.splitlines()


def test_l41_a_host_tells_nothing_until_the_deadline_then_1(centre: Centre, terminal: Terminal) -> None:
    centre.register("mini-1", "mini-2")
    thread = telling(centre, {"mini-1": DONE})
    begun = time.monotonic()
    code, output, _ = terminal.text("fleet", "update", "--all", "--wait", "--deadline", "0.7")
    thread.join()
    assert code == 1
    assert output.splitlines()[1:] == ["  mini-1: updated 1.1.0 (bbbbbbbbb)", "  mini-2: no answer"]
    assert 0.6 < time.monotonic() - begun < 10


def test_an_order_for_all_is_in_flight_then_it_is_joined_and_the_one_host_is_waited_for(
    centre: Centre, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    centre.register("mini-1", "mini-2")
    first = terminal.run("fleet", "update", "--all").record["job_id"]
    follows, real = threading.Event(), Headquarters.follow

    def follow(made: Headquarters, ordered: Any, seconds: float) -> Any:
        follows.set()
        return real(made, ordered, seconds)

    monkeypatch.setattr(Headquarters, "follow", follow)
    thread = telling(centre, {"mini-2": failed("failed"), "mini-1": DONE}, after=follows)
    answer = terminal.run("fleet", "update", "mini-1", "--wait", "--deadline", "20")
    thread.join()
    assert (answer.code, answer.record["job_id"], answer.record["joined"]) == (0, first, True)
    assert [one["host"] for one in answer.record["results"]] == ["mini-1"]


def test_somebody_watches_then_results_are_said_as_they_come_and_else_nothing_is(
    centre: Centre, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    centre.register("mini-1")
    monkeypatch.setattr("newleaf.cli.fleet.following.draws_progress", lambda: True)
    thread = telling(centre, {"mini-1": DONE})
    answer = terminal.run("fleet", "update", "mini-1", "--wait")
    thread.join()
    assert "  mini-1: updated 1.1.0 (bbbbbbbbb)" in answer.errors.splitlines()


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("mini-9",), 2, "host_unknown"),
        ((), 2, "usage"),
        (("mini-1", "--all"), 2, "usage"),
        (("mini-1", "--deadline", "soon"), 2, "usage"),
        (("mini-1", "--branch", "-x"), 2, "name_invalid"),
    ],
)
def test_wrong_use_then_it_is_said_and_nothing_is_ordered(
    centre: Centre, terminal: Terminal, words: tuple[str, ...], code: int, error: str
) -> None:
    centre.register("mini-1")
    answer = terminal.run("fleet", "update", *words)
    assert (answer.code, answer.record["errors"][0]["code"]) == (code, error)
    assert centre.published() == centre.published("mini-1") == []


def test_another_node_than_headquarters_then_5(centre: Centre, host: Deployment, terminal: Terminal) -> None:
    sit(host, centre, headquarters=False)
    centre.register("mini-1")
    answer = terminal.run("fleet", "update", "--all")
    assert (answer.code, answer.record["errors"][0]["code"]) == (5, "not_headquarters")
    assert centre.published() == []
