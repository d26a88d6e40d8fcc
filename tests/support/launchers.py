"""Launchers for tests: what they run, their state directory, a real one as a process, and a line to it."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from newleaf.core.launch.plan import Health, Plan, Post
from newleaf.core.release import CommitId, Release
from newleaf.launcher.programs import LAUNCHER
from tests.support.children import started
from tests.support.deployment import wait_until

COMMIT = CommitId("a" * 40)
OTHER = CommitId("b" * 40)
SAY_READY = (
    "import os, socket; "
    "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', os.environ['NOTIFY_SOCKET']);"
)
SLEEPER = (sys.executable, "-I", "-S", "-c", f"{SAY_READY} import time; time.sleep(600)")
NEWLEAF = (sys.executable, "-I", "-S", "-c", "")
"""Newleaf's own programs, of which a launcher only wants to know how they end."""


@contextlib.contextmanager
def state_directory() -> Iterator[Path]:
    """A folder whose path leaves room for the sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="nl-")).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def make_plan(folder: Path, *command: str, **facts: Any) -> Plan:
    """How a release is run; by default as a process that is ready, and sleeps."""
    facts = {"variables": {}, "stop_seconds": 5.0, "health": Health(5.0, 0.2), **facts}
    return Plan("sessions", Release(COMMIT, "1.0.0"), command or SLEEPER, str(folder), **facts)


def make_post(top: Path, **facts: Any) -> Post:
    """How a launcher is started, without an agent."""
    return Post(**{"program": NEWLEAF, "top": str(top), "agent": False, **facts})


def write_launcher(state: Path, plan: Plan, post: Post | None = None) -> None:
    """Writes what is run; `top` is the state directory, as a release in slots that says its commit."""
    record = {"schema": 1, "plan": plan.as_record(), "post": (post or make_post(state)).as_record()}
    (state / "launcher.json").write_text(json.dumps(record))
    (state / ".newleaf-release.json").write_text(json.dumps({"schema": 1, **plan.release.as_record()}))


class Line:
    """A line to a launcher, by hand."""

    def __init__(self, state: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(10)
        try:
            self.socket.connect(str(state / "control.sock"))
        except OSError:
            self.socket.close()
            raise
        self._file = self.socket.makefile("rb")

    def say(self, **order: object) -> None:
        self.socket.sendall(json.dumps(order).encode() + b"\n")

    def hear(self) -> dict[str, Any]:
        """The next thing said; nothing when it was hung up."""
        line = self._file.readline()
        found: dict[str, Any] = json.loads(line) if line else {}
        return found

    def hear_until(self, *events: str) -> dict[str, Any]:
        while (said := self.hear()) and said["event"] not in events:
            pass
        return said

    def ask(self) -> dict[str, Any]:
        self.say(do="status")
        return self.hear()

    def close(self) -> None:
        self._file.close()
        self.socket.close()


@contextlib.contextmanager
def line_to(state: Path) -> Iterator[Line]:
    """A line for the length of a block."""
    line = Line(state)
    try:
        yield line
    finally:
        line.close()


@contextlib.contextmanager
def running(state: Path, argv: Sequence[str] = LAUNCHER, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A real launcher, from when its daemon is ready; its daemon goes with it."""
    with started(*argv, str(state), **{"ready": False, "stderr": subprocess.PIPE, **options}) as launcher:
        try:
            wait_until(lambda: launcher.poll() is not None or serving(state))
            yield launcher
        finally:
            if launcher.poll() is None:
                launcher.terminate()
                launcher.wait(20)


def serving(state: Path) -> int | None:
    """The number of the daemon that serves and is ready."""
    with contextlib.suppress(OSError), line_to(state) as line:
        for child in line.ask().get("children", []):
            if child["role"] == "serving" and child["ready"]:
                return int(child["pid"])
    return None
