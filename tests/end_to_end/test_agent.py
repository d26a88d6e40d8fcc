"""`newleaf agent` beside a daemon: real git, real processes, no command typed."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.support.buses import headquarters, on_bus
from tests.support.deployment import DAEMON, NEWLEAF, Deployment, SlotDeployment, migration, wait_until
from tests.support.git_servers import listening
from tests.support.kills import PATIENCE_SECONDS

QUICK = (sys.executable, str(Path(__file__).parents[1] / "support" / "quick_agent.py"))
OFTEN = "[watch]\npoll_seconds = 0.2\n"
SELDOM = "[watch]\npoll_seconds = 3600\n"
ABOUT_A_SECOND = 4.0
"""With room for a machine that has stalled; who waits for what runs waits far longer."""


class Agent:
    """An agent that runs, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said = ""
        assert process.stderr
        os.set_blocking(process.stderr.fileno(), False)

    def hear(self) -> str:
        """All that it has said until now."""
        assert self.process.stderr
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stderr, selectors.EVENT_READ)
            while selector.select(0):
                chunk = os.read(self.process.stderr.fileno(), 65536).decode()
                if not chunk:
                    break
                self.said += chunk
        return self.said

    def says(self, text: str) -> None:
        """Waits until it says this."""
        try:
            wait_until(lambda: text in self.hear(), PATIENCE_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{text!r} is not in {self.said!r}") from error

    def end(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Tells it to end; the seconds that it takes."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout=PATIENCE_SECONDS)
        self.hear()
        return time.monotonic() - began


@contextlib.contextmanager
def agent_of(
    deployment: Deployment, settings: str | None = OFTEN, program: Sequence[str] = QUICK
) -> Iterator[Agent]:
    """An agent, from when it watches."""
    if settings is not None:
        deployment.host_settings(settings)
    process = deployment.start("agent", program=program)
    agent = Agent(process)
    try:
        agent.says("watches sessions")
        yield agent
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def ended(deployment: Deployment, outcome: str = "updated") -> Callable[[], list[dict[str, Any]]]:
    """The lines of the history with this outcome."""
    return lambda: [line for line in deployment.lines("history.jsonl") if line["outcome"] == outcome]


def await_signal(deployment: Deployment, commit: str) -> None:
    """Waits until the agent has found the commit."""
    path = deployment.state / "update_available.json"
    wait_until(lambda: path.exists() and commit in path.read_text())


def signal_to(deployment: Deployment, commit: str) -> None:
    """Writes the signal, as any program may."""
    text = f'{{"current": "{deployment.head()}", "available": "{commit}", "channel": "alpha"}}'
    (deployment.state / "update_available.json").write_text(text)


def slow(folder: Path) -> list[str]:
    """An install that says it runs, and ends when it may."""
    script = f"touch {folder}/begun; while [ ! -e {folder}/may-end ]; do sleep 0.02; done"
    return ["sh", "-c", script]


def slow_deployment(folder: Path) -> Deployment:
    return Deployment.make(folder, update={"install": slow(folder)})


def memory(pid: int) -> float:
    """What the process holds in memory, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


# --- it moves by itself -----------------------------------------------------------------


def test_a_commit_is_pushed_then_the_daemon_runs_it_with_no_command_typed(tmp_path: Path) -> None:
    """lessons.md L1, L30; numbers.md: at most 40 MiB"""
    deployment = Deployment.make(tmp_path, {"daemon.py": DAEMON}, restart={"mode": "sigterm"})
    daemon = deployment.start_daemon()
    try:
        with agent_of(deployment, program=NEWLEAF) as agent:
            commit = deployment.release("1.1.0")
            assert daemon.wait(timeout=PATIENCE_SECONDS) == 0
            wait_until(ended(deployment))
            assert (deployment.head(), ended(deployment)()[-1]["origin"]) == (commit, "poll")
            agent.says("updated: 1.1.0")
            if Path("/proc").is_dir():
                assert memory(agent.process.pid) <= 40
            assert agent.end() < ABOUT_A_SECOND
            assert agent.process.returncode == 0
    finally:
        if daemon.poll() is None:
            daemon.kill()
        daemon.wait()


def test_a_signal_is_written_then_an_attempt_within_two_seconds(tmp_path: Path) -> None:
    deployment = Deployment.make(tmp_path)
    deployment.host_settings(SELDOM)
    deployment.run("check")
    with agent_of(deployment, None, NEWLEAF):
        commit = deployment.release("1.1.0")
        signal_to(deployment, commit)
        began = time.monotonic()
        wait_until(lambda: "fetch" in deployment.states())
        assert time.monotonic() - began < 2
        wait_until(ended(deployment))
        assert (deployment.head(), ended(deployment)()[-1]["origin"]) == (commit, "signal")


def test_release_slots_then_the_agent_stands_in_none_of_them(tmp_path: Path) -> None:
    deployment = SlotDeployment.make(tmp_path)
    with agent_of(deployment) as agent:
        commit = deployment.release("1.1.0")
        wait_until(lambda: deployment.head() == commit)
        agent.says("updated: 1.1.0")
        if Path("/proc").is_dir():
            assert Path(f"/proc/{agent.process.pid}/cwd").resolve() == deployment.state.resolve()


def test_two_commits_are_pushed_during_an_attempt_then_one_more_attempt_only(tmp_path: Path) -> None:
    """lessons.md L36"""
    deployment = slow_deployment(tmp_path)
    with agent_of(deployment):
        deployment.release("1.1.0")
        wait_until((tmp_path / "begun").exists)
        for version in ("1.2.0", "1.3.0"):
            await_signal(deployment, deployment.release(version))
        (tmp_path / "may-end").touch()
        wait_until(lambda: len(ended(deployment)()) == 2)
        time.sleep(0.3)
    versions = [line["to"]["version"] for line in deployment.lines("history.jsonl")]
    assert versions == ["1.1.0", "1.3.0"]


# --- it waits, and tries again ----------------------------------------------------------


def test_a_job_runs_then_it_waits_and_updates_soon_after_the_jobs_end(tmp_path: Path) -> None:
    """lessons.md L26, L27, L5"""
    deployment = Deployment.make(tmp_path)
    job = deployment.start("busy", "--", "sh", "-c", f"touch {tmp_path}/job; exec sleep 60")
    try:
        wait_until((tmp_path / "job").exists)
        start = deployment.head()
        with agent_of(deployment) as agent:
            commit = deployment.release("1.1.0")
            agent.says("waits for idle: busy.lock is held by")
            assert deployment.head() == start
            time.sleep(0.2)
            os.killpg(job.pid, signal.SIGKILL)
            began = time.monotonic()
            wait_until(ended(deployment))
            assert time.monotonic() - began < 10
            assert deployment.head() == commit
            agent.says("updated: 1.1.0")
            assert agent.said.count("waits for idle") == 1
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)
        job.communicate()


def test_a_commit_is_denied_then_neither_poll_nor_signal_brings_it_again_and_a_newer_one_comes(
    tmp_path: Path,
) -> None:
    """lessons.md L32, L42"""
    state_paths: dict[str, Any] = {"install": "none", "state_paths": ["data"]}
    deployment = Deployment.make(tmp_path, {"data/kept": "1\n"}, update=state_paths)
    with agent_of(deployment) as agent:
        bad = deployment.release("1.1.0", {"migrations/v1.1.0/001_a.py": migration("raise SystemExit('no')")})
        wait_until(ended(deployment, "rolled_back"))
        agent.says("rolled_back: 1.1.0")
        states = deployment.states()
        time.sleep(0.3)
        assert deployment.states() == states
        deployment.host_settings(SELDOM)
        agent.says("held: ")
        signal_to(deployment, bad)
        agent.says(f"the signal was ignored: {bad} is denied on this host")
        assert deployment.states() == states
        good = deployment.release("1.2.0", {"migrations/v1.1.0/001_a.py": None})
        signal_to(deployment, good)
        wait_until(ended(deployment))
        assert (deployment.head(), ended(deployment)()[-1]["origin"]) == (good, "signal")


def test_one_host_finds_a_release_then_another_that_polls_seldom_hears_of_it_and_looks_itself(
    tmp_path: Path,
) -> None:
    first = Deployment.make(tmp_path)
    (tmp_path / "second" / "home").mkdir(parents=True)
    second = Deployment(tmp_path / "second", first.remote, first.remote.clone(tmp_path / "second" / "app"))
    with headquarters() as hq:
        on_bus(first, hq.url, OFTEN, name="mini-1")
        on_bus(second, hq.url, SELDOM, name="mini-2")
        with agent_of(second, None), agent_of(first, None):
            # Nobody has to believe it: there is no such release.
            hq.client.xadd("newleaf:sessions:missions:available", {"host": "x", "commit": "f" * 40})
            time.sleep(0.5)
            commit = first.release("1.1.0")
            wait_until(ended(first))
            wait_until(ended(second))
            assert (first.head(), second.head()) == (commit, commit)
            assert hq.client.xlen("newleaf:sessions:missions:available") == 2


def test_the_remote_is_gone_and_settings_are_wrong_then_each_is_said_once_and_it_goes_on(
    tmp_path: Path,
) -> None:
    """lessons.md L2, L5"""
    deployment = Deployment.make(tmp_path)
    with agent_of(deployment) as agent:
        deployment.remote.path.rename(tmp_path / "elsewhere.git")
        agent.says("remote.git")
        deployment.host_settings(OFTEN + "[gates]\nmax_wait = -1\n")
        agent.says("the settings of before hold")
        agent.says("usage: the target")
        time.sleep(0.3)
        (tmp_path / "elsewhere.git").rename(deployment.remote.path)
        deployment.host_settings(OFTEN)
        commit = deployment.release("1.1.0")
        wait_until(ended(deployment))
        assert deployment.head() == commit
        said = agent.hear().splitlines()
        assert [line for line in said if said.count(line) > 1] == []


def test_an_update_by_hand_is_killed_half_way_then_the_agent_finishes_it_unasked(tmp_path: Path) -> None:
    """lessons.md L13, L27: what no poll would find."""
    deployment = Deployment.make(tmp_path)
    with agent_of(deployment, SELDOM):
        commit = deployment.release("1.1.0")
        deployment.run("update", kill_at="append:journal.jsonl:6")
        assert deployment.states()[-1] != "done"
        wait_until(ended(deployment))
        assert deployment.head() == commit


# --- it is told to end, or killed ----------------------------------------------------------


def test_told_to_end_in_the_middle_of_an_attempt_then_gone_within_a_second_and_nothing_is_left(
    tmp_path: Path,
) -> None:
    """Promise 5, lessons.md L22"""
    deployment = slow_deployment(tmp_path)
    with agent_of(deployment) as agent:
        commit = deployment.release("1.1.0")
        wait_until((tmp_path / "begun").exists)
        assert agent.end() < ABOUT_A_SECOND
        assert agent.process.returncode == 0
        assert not users_of(tmp_path / "may-end")
    (tmp_path / "may-end").touch()
    with agent_of(deployment, None) as agent:
        wait_until(ended(deployment))
        assert deployment.head() == commit
    assert deployment.checkout.changes() == []


def test_told_to_end_while_the_remote_is_silent_then_no_look_goes_on_for_ever(tmp_path: Path) -> None:
    """lessons.md L10, L22"""
    deployment = Deployment.make(tmp_path)
    with listening() as (listener, accept):
        clients: list[socket.socket] = []
        accept(clients.append)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/{tmp_path.name}/remote.git"
        deployment.checkout.git("remote", "set-url", "origin", url)
        with agent_of(deployment) as agent:
            wait_until(lambda: clients)
            assert users_of(url)
            assert agent.end() < ABOUT_A_SECOND
            wait_until(lambda: not users_of(url), 5)
        for client in clients:
            client.close()


def test_killed_in_the_middle_of_an_attempt_then_the_attempt_ends_and_the_next_agent_waits_for_it(
    tmp_path: Path,
) -> None:
    """Promise 5, lessons.md L35"""
    deployment = slow_deployment(tmp_path)
    with agent_of(deployment) as agent:
        commit = deployment.release("1.1.0")
        wait_until((tmp_path / "begun").exists)
        agent.end(signal.SIGKILL)
        assert users_of(tmp_path / "may-end")
        with agent_of(deployment, SELDOM) as successor:
            time.sleep(0.3)
            (tmp_path / "may-end").touch()
            wait_until(ended(deployment))
            assert deployment.head() == commit
            wait_until(lambda: not users_of(tmp_path / "may-end"))
            assert successor.process.poll() is None
    assert len(deployment.lines("history.jsonl")) == 1


def users_of(what: object) -> list[int]:
    """The processes that have a path, or another text, among their words."""
    found = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,args="], capture_output=True, text=True, check=True
    )
    return [int(line.split()[0]) for line in found.stdout.splitlines() if str(what) in line]
