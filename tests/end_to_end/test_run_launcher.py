"""The launcher is killed, loaded anew, asked to stop, started twice (promise 5; lessons.md L3, L32, L35)."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.deployment import wait_until
from tests.support.launched import NOTHING, Launched, launched
from tests.support.load import Connection, load_on


def counters(one: Launched) -> dict[str, Any]:
    """What the launcher remembers beyond its own end."""
    found: dict[str, Any] = json.loads((one.state / "launcher-state.json").read_text())["counters"]
    return found


def answer_of(update: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of an update that was started before."""
    output, _ = update.communicate(timeout=30)
    return update.returncode, json.loads(output)


# --- killed -----------------------------------------------------------------------------


def is_idle(one: Launched) -> bool:
    return True


def is_handing_over(one: Launched) -> bool:
    return "1.1.0" in one.versions


def is_on_probation(one: Launched) -> bool:
    return one.serving.get("version") == "1.1.0"


@pytest.mark.parametrize("listens", ["unix:app.sock", NOTHING], ids=["overlap", "sequential"])
@pytest.mark.parametrize("is_due", [is_idle, is_handing_over, is_on_probation])
def test_killed_then_the_next_one_leaves_nothing_running_twice_and_the_update_ends_well(
    listens: str, is_due: Callable[[Launched], bool]
) -> None:
    """Promise 5"""
    conduct = () if listens else ("alone",)
    with launched(listens, first=conduct) as one:
        commit = one.release("1.1.0", *conduct, **one.with_probation(1))
        update = one.updating()
        wait_until(lambda: is_due(one))
        time.sleep(random.uniform(0, 0.3))
        one.end(signal.SIGKILL)
        code, answer = answer_of(update)
        left = one.alive()
        one.launch("--no-agent")
        wait_until(lambda: not set(one.alive()) & set(left))
        # Whoever asks next finishes what the killed one has left.
        if (code, answer["outcome"]) != (0, "updated"):
            assert code in (1, 4), answer
            wait_until(lambda: one.update().outcome in ("updated", "up_to_date"))
        one.await_confirmed(commit)
        one.await_history("updated", "1.1.0")
        wait_until(lambda: one.published()["status"] == "deployed")
        assert (one.alive(), one.serving["version"]) == ([one.serving["pid"]], "1.1.0")
        assert not (one.state / "twice").exists()
        assert one.deployment.states()[-1] == "done"
        assert not list(one.state.glob(".health-*"))[1:]


def test_killed_again_and_again_while_a_bad_release_is_tried_then_its_starts_are_counted_on() -> None:
    """lessons.md L32: no launcher gives it new tries."""
    with launched(NOTHING, health={"max_starts": 3}) as one:
        one.release("1.1.0", **one.with_probation(30))
        update = one.updating()
        for starts in (1, 2, 3):
            one.await_serving("1.1.0")
            assert counters(one)["starts"] == starts
            one.end(signal.SIGKILL)
            if starts == 1:
                assert answer_of(update)[0] == 1
            one.launch("--no-agent")
        one.await_history("rolled_back", "1.1.0")
        one.await_serving("1.0.0")
        assert one.versions.count("1.1.0") <= 3
        assert len(one.alive()) == 1


def test_crashes_are_counted_on_across_launchers() -> None:
    with launched(first=["waits"]) as one:
        one.ask_in_vain("/crash")
        one.says("it ended with exit code 7")
        one.end(signal.SIGKILL)
        one.launch("--no-agent")
        one.await_serving("1.0.0")
        assert len(counters(one)["crashes"]) == 1


# --- loaded anew ------------------------------------------------------------------------


def test_loaded_anew_with_connections_open_then_the_same_processes_go_on_and_no_request_fails() -> None:
    with launched() as one, load_on(one.socket) as load, contextlib.closing(Connection(one.socket)) as kept:
        assert kept.ask() == "1.0.0"
        before = (one.pid, one.serving["pid"])
        for times in (1, 2, 3):
            one.tell(signal.SIGHUP)
            one.says("loaded anew", times)
        assert kept.ask() == "1.0.0"
        assert (one.status()["pid"], one.serving["pid"]) == before
        one.release("1.1.0")
        assert one.update().outcome == "updated"
        one.tell(signal.SIGHUP)
        one.says("loaded anew", 4)
        assert one.status()["pid"] == before[0]
        assert one.versions == ["1.0.0", "1.1.0"]
    assert load.failures == []


@pytest.mark.parametrize("listens", ["unix:app.sock", NOTHING], ids=["overlap", "sequential"])
@pytest.mark.parametrize("version", ["good", "bad"])
def test_loaded_anew_during_a_handover_then_the_verdict_reaches_the_update_that_waits(
    listens: str, version: str
) -> None:
    with launched(listens) as one:
        one.release("1.1.0", *(["hangs"] if version == "bad" else []), **one.with_probation(1))
        update = one.updating()
        wait_until(lambda: "1.1.0" in one.versions)
        one.tell(signal.SIGHUP)
        one.says("loaded anew")
        if version == "good":
            one.await_serving("1.1.0")
            one.tell(signal.SIGHUP)
            one.says("loaded anew", 2)
            code, answer = answer_of(update)
            assert (code, answer["outcome"], answer["confirmed"]) == (0, "updated", True), one.output
            assert one.serving["version"] == "1.1.0"
        else:
            for starts in range(1, 2 if listens else 4):
                one.starts_of("1.1.0", starts)
                os.kill(one.starts[-1][0], signal.SIGKILL)
            code, answer = answer_of(update)
            assert (code, answer["outcome"]) == (6, "rolled_back"), one.output
            assert one.serving["version"] == "1.0.0"
        assert one.alive() == [one.serving["pid"]]


def test_loaded_anew_while_the_old_process_drains_then_it_still_drains_and_is_killed_in_time() -> None:
    with launched(first=["deaf"], app={"stop_seconds": 1}) as one:
        deaf = one.serving["pid"]
        one.release("1.1.0")
        update = one.updating()
        wait_until(lambda: one.serving.get("version") == "1.1.0")
        one.tell(signal.SIGHUP)
        one.says("loaded anew")
        assert answer_of(update)[0] == 0
        one.says("did not stop in time and is killed")
        wait_until(lambda: deaf not in one.alive())


# --- stopped, started twice -------------------------------------------------------------


def test_asked_to_stop_then_the_daemon_drains_and_the_exit_code_is_0() -> None:
    with launched() as one:
        with contextlib.closing(Connection(one.socket)) as streamed:
            streamed.request("GET", "/stream")
            response = streamed.getresponse()
            assert response.readline() == b"1.0.0\n"
            assert one.process is not None
            one.process.terminate()
            assert response.read() == b"1.0.0\n" * 9
        assert one.process.wait(5) == 0
        assert (len(one.times("ends")), one.alive()) == (1, [])


def test_asked_to_stop_during_a_handover_then_all_end_and_the_next_launcher_ends_the_story() -> None:
    with launched() as one:
        commit = one.release("1.1.0", **one.with_probation(1))
        update = one.updating()
        one.await_serving("1.1.0")
        assert one.end() == 0
        assert one.alive() == []
        assert answer_of(update)[0] == 1
        one.launch("--no-agent")
        one.await_confirmed(commit)
        one.await_history("updated", "1.1.0")


def test_the_daemon_does_not_end_then_it_is_killed_after_its_time_with_all_it_started_and_that_is_said() -> (
    None
):
    with launched(first=["deaf"], app={"stop_seconds": 0.4}) as one:
        began = time.monotonic()
        assert one.end() == 0
        assert 0.4 <= time.monotonic() - began < 6
        assert one.alive() == []
        assert "did not stop in time and is killed" in one.output


def test_a_second_launcher_then_it_is_refused_and_the_first_goes_on() -> None:
    """lessons.md L35, L36"""
    with launched() as one:
        done = one.verb("run")
        assert done.code == 1
        assert done.record["errors"][0]["code"] == "launcher_runs"
        assert str(one.pid) in done.record["errors"][0]["message"]
        assert one.ask() == "1.0.0"
        assert one.versions == ["1.0.0"]
