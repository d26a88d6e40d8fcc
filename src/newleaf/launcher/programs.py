"""newleaf's own programs, run for the launcher: plans, verdicts, alarms, health checks, the agent."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from newleaf.core.launch import events as e
from newleaf.launcher.loop import Loop
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
_CHUNK_BYTES = 65536
_MOST_CHUNKS = 16
_HEALTH_LOOK = str(Path(__file__).with_name("health_look.py"))
_SILENT = 3
_LOADED = (
    "import datetime, gc, sys; gc.collect(); sys.path.append(sys.argv.pop(1));"
    " from newleaf.launcher.__main__ import main; sys.exit(main(sys.argv[1:]))"
)
LAUNCHER = (sys.executable, "-I", "-S", "-c", _LOADED, str(Path(__file__).parents[2]))
"""The launcher's own command: nothing of the folder one stands in, of the environment or of what is installed
is loaded with it, but newleaf; that keeps it safe, and small. `datetime` comes first because it leaves more
behind than any other module: what is loaded after it takes that place."""


class Said:
    """What a program says: of all that comes on `source` the end; `end` is what had come before."""

    def __init__(self, source: int, end: bytes = b"") -> None:
        self.source = source
        self.end = end
        os.set_blocking(source, False)

    def read(self) -> bool:
        """Takes in what has come, but never so much that nothing else is done; whether more may come."""
        for _ in range(_MOST_CHUNKS):
            try:
                chunk = os.read(self.source, _CHUNK_BYTES)
            except BlockingIOError:
                return True
            if not chunk:
                return False
            self.end = (self.end + chunk)[-MAX_SAID_BYTES:]
        return True


class Programs:
    """Starts them and makes events of their ends. The end of what a program says is kept."""

    def __init__(self, program: Sequence[str], folder: Path, processes: Processes, loop: Loop) -> None:
        self._program = tuple(program)
        self._folder = str(folder)
        self._processes = processes
        self._loop = loop
        self._said: dict[int, Said] = {}
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
            argv = (sys.executable, "-I", "-S", _HEALTH_LOOK, health.url, commit, *((path,) if path else ()))
            # Both have to be well; the command is run by the look, once the address is.
            argv = (*argv, "--then", *health.command) if health.command else argv
        env = {**os.environ, **ask.plan.variables, "NEWLEAF_COMMIT": ask.plan.release.commit}
        pid = self._listened(argv, ask.plan.folder, Known(CHECK, ask.child), env)
        self._deadlines[pid] = now + CHECK_SECONDS

    def _listened(
        self, argv: tuple[str, ...], folder: str, known: Known, env: dict[str, str] | None = None
    ) -> int:
        try:
            source, sink = os.pipe()
        except OSError as error:
            raise NotStarted(f"{argv[0]}: {error.strerror}") from error
        try:
            program = Program(argv, folder, os.environ if env is None else env, (), sink)
            pid = self._processes.start(program, known)
        except NotStarted:
            os.close(source)
            raise
        finally:
            os.close(sink)
        self._hear(pid, source)
        return pid

    def _hear(self, pid: int, source: int, end: bytes = b"") -> None:
        """From now on what it says is read as it comes, for one who floods must not wait."""
        said = self._said[pid] = Said(source, end)

        def read() -> None:
            if not said.read():
                self._loop.forget(source)

        self._loop.watch(source, read)

    def ended(self, pid: int) -> str:
        """The end of what an ended program said, in one line."""
        self._deadlines.pop(pid, None)
        said = self._said.pop(pid, None)
        if said is None:
            return ""
        said.read()
        self._loop.forget(said.source)
        os.close(said.source)
        return " ".join(said.end.decode(errors="replace").split())

    def as_record(self) -> dict[str, Any]:
        """What `resume` needs: where each that runs is heard, its time, and what it has said already."""
        return {
            str(pid): [said.source, self._deadlines.get(pid), said.end.decode("latin-1")]
            for pid, said in self._said.items()
        }

    def resume(self, record: Mapping[str, Any]) -> None:
        """Goes on with those that this process had before it was loaded anew; an older one noted no words."""
        for pid, (source, deadline, *end) in record.items():
            self._hear(int(pid), source, "".join(end).encode("latin-1"))
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
        if status == _SILENT and said == e.SILENT:
            return e.SILENT
        if status < 0:
            return e.UNANSWERED
        return said or f"it ended with exit code {status}"
