"""The agent beside a launched daemon: a push is all it takes, and the daemon never notices its agent."""

from __future__ import annotations

import os
import signal

from newleaf.system import process_table
from tests.support.deployment import wait_until
from tests.support.launched import Launched, launched
from tests.support.load import load_on

OFTEN = {"poll_seconds": 0.2}


def agent_of(one: Launched) -> int:
    """Its process id, once it runs."""
    pid: int = wait_until(lambda: one.status().get("agent"))
    return pid


def another_agent(one: Launched, before: int) -> int:
    """The one that has come for it, once that is gone."""
    wait_until(lambda: is_gone(before) and one.status().get("agent") not in {None, before})
    return agent_of(one)


def is_gone(pid: int) -> bool:
    found = process_table.find(pid)
    return found is None or found.is_zombie


def test_a_good_and_a_bad_release_are_pushed_under_load_then_no_command_is_typed_and_no_request_fails() -> (
    None
):
    """Issue: seen when done."""
    with launched(run=(), first=["waits"], watch=OFTEN) as one:
        agent = agent_of(one)
        with load_on(one.socket) as load:
            good = one.release("1.1.0", "waits")
            one.await_history("updated", "1.1.0")
            assert one.confirmed(good)
            kept = one.serving["pid"]
            one.release("1.2.0", "waits", "exits")
            one.await_history("rolled_back", "1.2.0")
        assert load.failures == []
        assert (one.serving["pid"], one.alive()) == (kept, [kept])
        told = one.deployment.text("history")[1]
        assert "1.1.0" in told
        assert "1.2.0" in told
        assert one.status()["agent"] == agent
        assert one.end() == 0
        assert is_gone(agent)


def test_the_agent_is_killed_then_it_comes_back_and_the_daemon_never_notices() -> None:
    with launched(run=(), watch=OFTEN) as one:
        kept, agent = one.serving["pid"], agent_of(one)
        for _ in range(2):
            os.kill(agent, signal.SIGKILL)
            agent = another_agent(one, agent)
        assert one.serving["pid"] == kept
        one.release("1.1.0")
        one.await_history("updated", "1.1.0")


def test_the_daemon_has_an_agent_of_its_own_then_the_one_beside_it_ends() -> None:
    with launched(run=(), watch=OFTEN) as one:
        agent = agent_of(one)
        one.release("1.1.0", "agent")
        one.await_history("updated", "1.1.0")
        one.says("the daemon has an agent of its own")
        wait_until(lambda: is_gone(agent))
        assert one.status()["agent"] is None


def test_no_agent_is_wanted_then_there_is_none() -> None:
    with launched(run=("--no-agent",), watch=OFTEN) as one:
        commit = one.release("1.1.0")
        assert one.status()["agent"] is None
        assert one.verb("update").outcome == "updated"
        assert one.status()["agent"] is None
        assert one.confirmed(commit)
