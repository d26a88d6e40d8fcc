"""newleaf's own programs, run for the launcher: plans, verdicts, alarms, health checks, the agent."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from newleaf.core.launch import events as e
from newleaf.launcher.processes import Known, NotStarted, Processes, Program, signal_group

PLAN = "plan"
CHECK = "check"
SETTLE = "settle"
ALARM = "alarm"
AGENT = "agent"
ITSELF = "itself"
CHECK_SECONDS = 10.0
PLAN_SECONDS = 60.0
MAX_SAID_BYTES = 4096
_HEALTH_LOOK = str(Path(__file__).with_name("health_look.py"))
_SILENT = 3
LAUNCHER = (sys.executable, "-m", "newleaf.launcher")


class Programs:
    """Starts them and makes events of their ends. What a program says is read when it has ended."""

    def __init__(self, program: Sequence[str], folder: Path, processes: Processes) -> None:
        self._program = tuple(program)
        self._folder = str(folder)
        self._processes = processes
        self._said: dict[int, int] = {}
        self._deadlines: dict[int, float] = {}

    def call(self, kind: str, *arguments: str, number: int = 0) -> int:
        """Runs a verb of newleaf's. Raises: NotStarted."""
        return self._processes.start(
            Program((*self._program, *arguments), self._folder, os.environ), Known(kind, number)
        )

    def make_plan(self, now: float) -> None:
        """Has `launcher.json` written anew. Raises: NotStarted."""
        pid = self._listened((*self._program, "launch-plan"), self._folder, Known(PLAN, 0))
        self._deadlines[pid] = now + PLAN_SECONDS

    def prove_launcher(self) -> None:
        """Has the launcher that lies there now loaded, and nothing more. Raises: NotStarted."""
        argv = (*LAUNCHER, "--prove")
        self._processes.start(Program(argv, self._folder, os.environ), Known(ITSELF, 0))

    def check(self, ask: e.Ask, path: str | None, now: float) -> None:
        """Looks at a child's health: its address first, then its command. Raises: NotStarted."""
        health, commit = ask.plan.health, ask.plan.release.commit
        argv = health.command
        if health.url and (path is not None or not ask.private):
            argv = (sys.executable, "-I", _HEALTH_LOOK, health.url, commit, *((path,) if path else ()))
            # Both have to be well; the command is run by the look, once the address is.
            argv = (*argv, "--then", *health.command) if health.command else argv
        env = {**os.environ, **ask.plan.variables, "NEWLEAF_COMMIT": ask.plan.release.commit}
        pid = self._listened(argv, ask.plan.folder, Known(CHECK, ask.child), env)
        self._deadlines[pid] = now + CHECK_SECONDS

    def _listened(
        self, argv: tuple[str, ...], folder: str, known: Known, env: dict[str, str] | None = None
    ) -> int:
        source, sink = os.pipe()
        os.set_blocking(source, False)
        try:
            program = Program(argv, folder, os.environ if env is None else env, (), sink)
            pid = self._processes.start(program, known)
        except NotStarted:
            os.close(source)
            raise
        finally:
            os.close(sink)
        self._said[pid] = source
        return pid

    def ended(self, pid: int) -> str:
        """The end of what an ended program said, in one line."""
        self._deadlines.pop(pid, None)
        source = self._said.pop(pid, None)
        if source is None:
            return ""
        said = b""
        try:
            while chunk := os.read(source, MAX_SAID_BYTES):
                said = (said + chunk)[-MAX_SAID_BYTES:]
        except BlockingIOError:
            pass
        finally:
            os.close(source)
        return " ".join(said.decode(errors="replace").split())

    def as_record(self) -> dict[str, Any]:
        """What `resume` needs: where each that runs is heard, and its time."""
        return {str(pid): [said, self._deadlines.get(pid)] for pid, said in self._said.items()}

    def resume(self, record: Mapping[str, Any]) -> None:
        """Goes on with those that this process had before it was loaded anew."""
        for pid, (said, deadline) in record.items():
            self._said[int(pid)] = said
            if deadline is not None:
                self._deadlines[int(pid)] = deadline

    def end_overdue(self, now: float) -> None:
        """Kills what has taken too long."""
        for pid, deadline in list(self._deadlines.items()):
            if now > deadline:
                del self._deadlines[pid]
                signal_group(pid, signal.SIGKILL)

    def fault_of_check(self, status: int, said: str) -> str | None:
        """What a check found: None for nothing."""
        if status == 0:
            return None
        if status == _SILENT or status < 0:
            return e.SILENT
        return said or f"it ended with exit code {status}"
