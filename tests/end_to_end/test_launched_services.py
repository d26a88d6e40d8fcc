"""The launcher, kept by a real systemd and by a keeper that goes by launchd's rules (lessons.md L3, L28)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from newleaf.core.services.plan import make_plan
from newleaf.core.services.subject import Wish
from tests.support.deployment import SlotDeployment
from tests.support.kills import wait_until
from tests.support.launchd_keeper import LaunchdKeeper
from tests.support.real_systemd import RealSystemd, real_systemd, why_not
from tests.support.services import subject

DAEMON = """\
import os, signal, socket, sys, time
with open(os.path.join(os.environ["NEWLEAF_STATE_DIR"], "starts"), "a") as starts:
    starts.write(f"{os.getpid()} {os.environ['NEWLEAF_COMMIT']} {os.environ.get('LISTEN_FDNAMES', '')}\\n")
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
while not stop:
    time.sleep(0.02)
"""
QUICK = {"ready": 10, "probation": 0.2}


@dataclass
class Kept:
    """An app with slots whose launcher a service manager keeps."""

    deployment: SlotDeployment

    @classmethod
    def make(cls, folder: Path, **app: object) -> Kept:
        command = [sys.executable, "daemon.py"]
        tables: dict[str, Any] = {"app": {"command": command, "stop_seconds": 5, **app}, "health": QUICK}
        tables["restart"] = {"mode": "launcher"}
        files = {"daemon.py": DAEMON}
        return cls(SlotDeployment.make(folder, files, **tables))

    @property
    def state(self) -> Path:
        return self.deployment.state

    @property
    def starts(self) -> list[list[str]]:
        """Process id and commit of each start of the daemon."""
        path = self.state / "starts"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def confirmed(self) -> str | None:
        with contextlib.suppress(OSError, ValueError):
            counters = json.loads((self.state / "launcher-state.json").read_text())["counters"]
            confirmed: str | None = counters["confirmed"]
            return confirmed
        return None

    @property
    def has_begun(self) -> bool:
        """Whether the history has the first release."""
        history = self.state / "history.jsonl"
        return history.exists() and '"started"' in history.read_text()

    def alive(self) -> list[int]:
        """The daemon's processes, as the machine sees them."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and b"daemon.py" in (entry / "cmdline").read_bytes():
                    folder = os.readlink(entry / "cwd")
                    found += [int(entry.name)] if folder.startswith(str(self.state)) else []
        return found


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A unix socket's path has room for little more than a hundred bytes."""
    # A program of the launcher's that outlives it for a moment may still write there.
    with tempfile.TemporaryDirectory(prefix="nl-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def systemd() -> Iterator[RealSystemd]:
    if reason := why_not():
        pytest.skip(reason)
    with real_systemd() as running:
        yield running


UNIT = "newleaf-sessions.service"


@contextlib.contextmanager
def installed(systemd: RealSystemd, kept: Kept, *words: str) -> Iterator[None]:
    """Has newleaf write its unit and start it, and take it away afterwards."""

    def service(*verb: str) -> None:
        call = ["--state-dir", str(kept.state), "service", *verb, "--user", "--systemd", "--yes"]
        done = systemd.run(sys.executable, "-m", "newleaf", *call)
        assert done.returncode == 0, done.stdout + done.stderr

    service("install", *words)
    try:
        yield
    finally:
        service("uninstall")
    assert kept.alive() == []


def test_under_systemd_one_daemon_runs_through_reloads_updates_and_kills(systemd: RealSystemd) -> None:
    """lessons.md L28"""
    kept = Kept.make(systemd.folder / "kept")
    with installed(systemd, kept):
        assert systemd.show(UNIT, "ActiveState") == "active"
        wait_until(lambda: kept.confirmed is not None, "the first release to be confirmed")
        # From then on its program holds no lock.
        wait_until(lambda: kept.has_begun, "the first release's line of the history")
        launcher = systemd.show(UNIT, "MainPID")

        systemd.systemctl("reload", UNIT)
        commit = kept.deployment.release("1.1.0")
        update = [sys.executable, "-m", "newleaf", "--state-dir", str(kept.state), "update", "--json"]
        done = systemd.run(*update)
        assert json.loads(done.stdout)["confirmed"] is True, done.stdout + done.stderr
        assert systemd.show(UNIT, "MainPID") == launcher
        assert [start[1] for start in kept.starts][-1] == commit
        assert len(kept.alive()) == 1

        systemd.systemctl("kill", "--kill-whom=main", "--signal=KILL", UNIT)
        wait_until(lambda: len(kept.starts) == 3, "the daemon to be started again")
        wait_until(lambda: systemd.show(UNIT, "ActiveState") == "active", "systemd to see it")
        assert len(kept.alive()) == 1

        systemd.systemctl("stop", UNIT)
        assert systemd.show(UNIT, "Result") == "success"


def test_sockets_of_systemd_are_the_daemons(systemd: RealSystemd) -> None:
    kept = Kept.make(systemd.folder / "sockets", listen=["unix:app.sock"])
    with installed(systemd, kept, "--socket"):
        wait_until(lambda: len(kept.starts) == 1, "the daemon to start")
        assert kept.starts[0][2] == "listen0"
        assert (kept.state / "app.sock").is_socket()


def send(keeper: LaunchdKeeper, number: signal.Signals) -> None:
    """Signals the job that the keeper runs now."""
    wait_until(lambda: keeper.running is not None, "the job to run")
    running = keeper.running
    assert running is not None
    running.send_signal(number)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are counted by /proc")
def test_under_launchds_rules_a_killed_launcher_is_followed_by_one_daemon(short_folder: Path) -> None:
    """lessons.md L28, L3"""
    kept = Kept.make(short_folder)
    (kept.state / "logs").mkdir(exist_ok=True)
    newleaf = short_folder / "newleaf"
    newleaf.write_text(f'#!/bin/sh\nexec {sys.executable} -m newleaf "$@"\n')
    newleaf.chmod(0o755)
    made = subject(
        kept.state, newleaf=(str(newleaf),), folder=kept.state, search=os.environ["PATH"], stop_seconds=5.0
    )
    [file] = make_plan(made, Wish("launchd"))
    with LaunchdKeeper(file.content, scale=0.02).kept() as keeper:
        wait_until(lambda: kept.confirmed is not None, "the first release to be confirmed")
        send(keeper, signal.SIGKILL)
        wait_until(lambda: len(kept.starts) == 2, "the daemon to be started again")
        assert len(kept.alive()) == 1
        send(keeper, signal.SIGTERM)
        wait_until(lambda: keeper.rests, "the keeper to have done")
    assert keeper.ends == [-signal.SIGKILL, 0]
    assert kept.alive() == []
