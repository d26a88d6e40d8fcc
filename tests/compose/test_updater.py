"""`newleaf.Updater` put together: which app, which settings, what its attempts are told, what it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import newleaf
from newleaf.agent.attempt_process import AttemptProcess
from newleaf.agent.embed import Inside
from newleaf.compose.updater import _Making
from tests.support.deployment import Deployment

IDLE = """
import asyncio, time
import newleaf

def memory():
    # What is held now: the highest that ever was is inherited from whoever started this process.
    try:
        with open("/proc/self/status") as file:
            return int(file.read().partition("VmRSS:")[2].split()[0])
    except OSError:
        return 0

async def main():
    async with newleaf.Updater():
        newleaf.ready()
        await asyncio.sleep(1.0)
        before = time.process_time()
        await asyncio.sleep(2.0)
        print(time.process_time() - before, memory())

asyncio.run(main())
"""


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment.make(tmp_path, {"idle.py": IDLE}, restart={"mode": "auto"})


def make(
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    settings: newleaf.Settings | None = None,
    **environ: str,
) -> Inside:
    for name, value in {
        **deployment.variables,
        "NEWLEAF_STATE_DIR": str(deployment.state),
        **environ,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(deployment.app / "app.py"), raising=False)
    making = _Making(None, settings or newleaf.Settings())
    assert making.find() == deployment.state
    return making.make(print)


def told(made: Inside) -> AttemptProcess:
    attempts = made.beside.parts.attempts
    assert isinstance(attempts, AttemptProcess)
    return attempts


def test_settings_given_in_code_then_attempts_are_told_them_and_the_environment_wins(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = newleaf.Settings(
        deployment={"channel": "beta", "prereleases": True},
        watch={"poll_seconds": "10m", "jitter": 0.2, "paths": ["a b", "c"]},
    )
    made = make(deployment, monkeypatch, given, NEWLEAF_DEPLOYMENT__CHANNEL="alpha")
    env = told(made).env
    assert env["NEWLEAF_DEPLOYMENT__CHANNEL"] == "alpha"
    assert env["NEWLEAF_DEPLOYMENT__PRERELEASES"] == "true"
    assert (env["NEWLEAF_WATCH__POLL_SECONDS"], env["NEWLEAF_WATCH__JITTER"]) == ("10m", "0.2")
    assert env["NEWLEAF_WATCH__PATHS"] == '["a b", "c"]'
    assert made.beside.parts.interval.seconds == 600


def test_what_means_the_daemons_own_process_then_attempts_do_not_inherit_it(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"NOTIFY_SOCKET": "/nowhere", "LISTEN_FDS": "1", "WATCHDOG_USEC": "1", "NEWLEAF_GO_FD": "9"}
    assert not own.keys() & told(make(deployment, monkeypatch, None, **own)).env.keys()


@pytest.mark.parametrize(
    ("mode", "told_mode"), [("sigterm", "exit"), ("exit", "exit"), ("none", "none"), ("command", "command")]
)
def test_mode_sigterm_then_the_daemon_signals_itself_and_no_attempt_does(
    mode: str, told_mode: str, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = newleaf.Settings(restart={"mode": mode, "command": "true"})
    made = make(deployment, monkeypatch, given)
    assert made.leaving().mode == mode
    assert told(made).env["NEWLEAF_RESTART__MODE"] == told_mode


def test_settings_are_read_anew_then_how_it_leaves_too(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(deployment, monkeypatch)
    deployment.host_settings("[restart]\nexit_code = 43\n")
    assert (made.leaving().mode, made.leaving().exit_code) == ("exit", 42)
    made.beside.read()
    assert made.leaving().exit_code == 43


def test_developed_and_not_deployed_here_then_no_state_directory_is_made(deployment: Deployment) -> None:
    done = subprocess.run(
        [sys.executable, "idle.py"],
        cwd=deployment.app,
        env=deployment.variables,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "does not deploy this app on this machine" in done.stderr
    assert not deployment.state.exists()


def test_idle_then_it_costs_next_to_nothing(deployment: Deployment) -> None:
    """numbers.md; measured 40 s of a processor a day and 41 MiB with the interpreter."""
    deployment.host_settings("[watch]\npoll_seconds = 3600\n")
    done = subprocess.run(
        [sys.executable, "idle.py"],
        cwd=deployment.app,
        env={**deployment.variables, "NEWLEAF_KEEPER": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    seconds, kibibytes = map(float, done.stdout.split())
    assert seconds / 2.0 < 0.01
    assert kibibytes / 1024 <= 50
