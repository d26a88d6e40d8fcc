"""The agent beside the daemon: it comes back, and the daemon never hangs on it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from newleaf.core.launch.companion import FIRST_SECONDS, Companion
from newleaf.launcher import agent_process
from newleaf.launcher.agent_process import AgentProcess
from newleaf.launcher.loop import Loop
from newleaf.launcher.processes import Processes, signal_group
from newleaf.launcher.programs import Programs
from tests.support.deployment import wait_until

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


class Agents:
    def __init__(self, state: Path, loop: Loop) -> None:
        self.said: list[str] = []
        self.state = state
        self.loop = loop
        self.processes = Processes(lambda: None)

    def make(self, code: str, program: str = sys.executable) -> AgentProcess:
        programs = Programs((program, "-I", "-S", "-c", code), self.state, self.processes, self.loop)
        return AgentProcess(Companion(wanted=True), programs, self.processes, self.said.append)


@pytest.fixture
def agents(state: Path, loop: Loop) -> Iterator[Agents]:
    made = Agents(state, loop)
    yield made
    for pid in made.processes.running:
        signal_group(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


SLEEP = "import time; time.sleep(600)"


def test_it_is_started_once(agents: Agents) -> None:
    agent = agents.make(SLEEP)
    assert (agent.pid, agent.seconds_to_start(5.0)) == (None, -5.0)
    agent.start_if_due(5.0)
    first = agent.pid
    agent.start_if_due(6.0)
    assert first is not None
    assert (agent.pid, agent.seconds_to_start(6.0)) == (first, None)


def test_it_cannot_be_started_then_it_is_tried_again_later(agents: Agents) -> None:
    agent = agents.make("", "/no/such/newleaf")
    agent.start_if_due(5.0)
    assert agents.said == ["the agent could not be started: /no/such/newleaf: No such file or directory"]
    assert agent.seconds_to_start(5.0) == FIRST_SECONDS
    agent.start_if_due(5.1)
    assert len(agents.said) == 1


def test_the_daemon_has_its_own_then_it_ends_for_good(agents: Agents) -> None:
    agent = agents.make(SLEEP)
    agent.start_if_due(5.0)
    agent.leave_to_daemon()
    agent.leave_to_daemon()
    assert agents.said == ["the daemon has an agent of its own"]
    ((_, _, status),) = wait_until(agents.processes.ended)
    assert status == -signal.SIGTERM
    agent.companion.ended(6.0)
    agent.start_if_due(1e9)
    assert (agent.pid, agent.seconds_to_start(1e9)) == (None, None)


def test_the_launcher_ends_then_it_has_a_moment_to_leave_in_order(agents: Agents) -> None:
    mark = agents.state / "mark"
    agent = agents.make(
        "import signal, time\n"
        f"signal.signal(15, lambda *_: (time.sleep(0.1), open({str(mark)!r}, 'w'), exit(0)))\n"
        f"open({str(mark)!r} + '.ready', 'w')\ntime.sleep(600)"
    )
    agent.start_if_due(5.0)
    wait_until(mark.with_name("mark.ready").exists)
    agent.end()
    agent.await_end()
    assert (agent.pid, mark.exists()) == (None, True)


def test_one_that_does_not_end_is_killed(agents: Agents, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_process, "END_SECONDS", 0.1)
    mark = agents.state / "mark"
    agent = agents.make(
        f"import signal, time; signal.signal(15, signal.SIG_IGN); open({str(mark)!r}, 'w'); {SLEEP}"
    )
    agent.start_if_due(5.0)
    wait_until(mark.exists)
    agent.end()
    began = time.monotonic()
    agent.await_end()
    assert time.monotonic() - began < 5
    ((_, _, status),) = wait_until(agents.processes.ended)
    assert status == -signal.SIGKILL
