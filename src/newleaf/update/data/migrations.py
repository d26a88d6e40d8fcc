"""Migrations of one host: what is recorded as applied, and the running of what is due.

Rules: scripts run in one child process with the release's own interpreter, from the release's files
(`migration_child`, lessons.md L18); each is recorded, durably, before the child goes on to the next; the
child ends with this process, and with the time limit its whole group (L22); the first failure
halts, and what is recorded stays. `migration_state.json` that cannot be read stops everything (L20).

`plan_forward` and its kin (`core.data.migration`) say what is due; this module never decides that. Nor does
it stop a daemon, take a lock or make a snapshot.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from newleaf.core.data.data_errors import CorruptMigrationState, MigrationBadlyNamed, MigrationFailed
from newleaf.core.data.migration import MigrationState, Plan, is_left_out, is_script
from newleaf.core.errors import CommandTimedOut, CorruptFile, ProgramMissing
from newleaf.core.ports import OnLine
from newleaf.system import files
from newleaf.system.commands import KEPT_LINES, Channel, Command, Runner

STATE_FILE = "migration_state.json"
CHILD = Path(__file__).resolve().with_name("migration_child.py")


# --- what lies in the folder ------------------------------------------------------------


def read_folder(folder: Path) -> dict[str, bytes]:
    """The migrations as they lie on the disk, tracked by git or not: path below `folder` → content.

    Raises: MigrationBadlyNamed for what cannot be read as a file.
    """
    return {path: _read(folder, path) for path in _listed(folder) if is_script(path)}


def _listed(folder: Path) -> Iterator[str]:
    for current, folders, names in os.walk(folder):
        below = Path(current).relative_to(folder)
        yield from ((below / name).as_posix() for name in names)
        for name in folders:
            path = (below / name).as_posix()
            # A link to a folder is not walked into, and must not be passed over in silence either.
            if os.path.islink(folder / path) and not is_left_out(path):
                raise MigrationBadlyNamed(path=path, reason="it is a symlink")


def _read(folder: Path, path: str) -> bytes:
    try:
        if not stat.S_ISREG(os.lstat(folder / path).st_mode):
            raise MigrationBadlyNamed(path=path, reason="it is no plain file")
        return (folder / path).read_bytes()
    except OSError as error:
        raise MigrationBadlyNamed(path=path, reason=f"it cannot be read: {error.strerror}") from error


# --- the state --------------------------------------------------------------------------


def read_state(state_directory: Path) -> MigrationState:
    """What is recorded as applied on this host.

    Raises: CorruptMigrationState, NewerSchema.
    """
    path = state_directory / STATE_FILE
    try:
        record = files.read_record(path)
        return MigrationState() if record is None else MigrationState.read(record)
    except (CorruptFile, ValueError) as error:
        reason = error.facts.get("reason") if isinstance(error, CorruptFile) else error
        raise CorruptMigrationState(
            path=path, reason=reason, snapshots=state_directory / "snapshots"
        ) from error


# --- a run ------------------------------------------------------------------------------


class Ground(Struct, frozen=True):
    """Where migrations run: the release's folder, their folder below it, and the app's interpreter."""

    folder: Path
    migrations: str
    python: Path
    env: Mapping[str, str]
    timeout_seconds: float


class Done(Struct, frozen=True):
    """A migration that is recorded now. `ran` is False when its `check()` had nothing left to do."""

    name: str
    ran: bool


def run_plan(
    plan: Plan, state_directory: Path, ground: Ground, runner: Runner, on_line: OnLine
) -> tuple[Done, ...]:
    """Runs what the plan names, in its order, recording each.

    Raises: MigrationFailed, CorruptMigrationState, ProgramMissing, CommandFailed.
    """
    state = read_state(state_directory)
    if not plan.scripts:
        if state.unfinished and not plan.backward and state.finished(plan.span) != state:
            # What an interrupted run owed is no longer in the tree.
            files.write_record(state_directory / STATE_FILE, state.finished(plan.span).as_record())
        return ()
    talk = _Talk(plan, state_directory / STATE_FILE, state, runner, on_line)
    ours, theirs = socket.socketpair()
    with ours:
        talk.send = ours.sendall
        descriptor = theirs.detach()
        command = Command(
            argv=[str(ground.python), str(CHILD), str(descriptor)],
            what="the migrations",
            cwd=ground.folder,
            env=ground.env,
            timeout_seconds=ground.timeout_seconds,
            stdin=_order(plan, ground),
            on_line=talk.print,
            channel=Channel(ours.fileno(), descriptor, talk.hear),
        )
        try:
            status = runner.run(command).status
        except CommandTimedOut as error:
            limit = f"took longer than {ground.timeout_seconds:g} s (update.migrate_timeout) and was stopped"
            raise talk.failure(limit) from error
    talk.end(status)
    return tuple(talk.done)


def _order(plan: Plan, ground: Ground) -> bytes:
    order = {
        "folder": str(ground.folder / ground.migrations),
        "scripts": [script.path for script in plan.scripts],
        "backward": plan.backward,
    }
    return json.dumps(order).encode()


class _Talk:
    """What this process and its child say to each other about one plan."""

    def __init__(
        self, plan: Plan, path: Path, state: MigrationState, runner: Runner, on_line: OnLine
    ) -> None:
        self.done: list[Done] = []
        self.send: Callable[[bytes], object] = lambda _: None
        self._plan = plan
        self._path = path
        self._state = state if plan.backward else state.begun(plan.span)
        self._mask = runner.mask
        self._on_line = on_line
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._heard = b""
        self._doing = ""
        self._failed: tuple[str, str, Sequence[str]] | None = None
        self._write()

    def print(self, line: str) -> None:
        """A line that a migration printed."""
        self._lines.append(line)
        self._on_line(line)

    def hear(self, chunk: bytes) -> None:
        """Some of what the child says, acted on line by line."""
        *lines, self._heard = (self._heard + chunk).split(b"\n")
        for line in lines:
            try:
                event = json.loads(line)
                self._take(event["event"], event["script"], event)
            except (ValueError, KeyError, TypeError) as error:
                raise self.failure("something else spoke on newleaf's descriptor") from error

    def end(self, status: int) -> None:
        """The child has ended.

        Raises: MigrationFailed unless all is done.
        """
        if self._failed:
            # Only now all of its output is here too.
            script, reason, trace = self._failed
            raise self._failure(script, reason, trace)
        if len(self.done) < len(self._plan.scripts):
            how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
            during = f" during {self._doing}()" if self._doing else ""
            raise self.failure(f"its process ended {how}{during}")

    def failure(self, reason: str) -> MigrationFailed:
        """The failure of the script that is being run."""
        script = self._plan.scripts[min(len(self.done), len(self._plan.scripts) - 1)]
        return self._failure(script.path, reason, ())

    def _failure(self, script: str, reason: str, trace: Sequence[str]) -> MigrationFailed:
        lines = [*self._lines, *map(self._mask, trace)][-KEPT_LINES:]
        return MigrationFailed(script=script, reason=self._mask(reason), lines=lines)

    def _take(self, event: str, script: str, facts: Mapping[str, Any]) -> None:
        if event == "failed":
            self._failed = (script, facts["reason"], facts["lines"])
        elif script != self._plan.scripts[len(self.done)].path:
            raise ValueError(script)
        elif event == "asks":
            self._doing = facts["function"]
            if self._doing in ("migrate", "revert"):
                self._on_line(f"{script}: {self._doing}()")
        elif event == "done":
            self._record(self._plan.scripts[len(self.done)].name, ran=facts["ran"] is True)

    def _record(self, name: str, *, ran: bool) -> None:
        backward = self._plan.backward
        self._state = self._state.without(name) if backward else self._state.with_applied(name)
        self.done.append(Done(name, ran))
        if len(self.done) == len(self._plan.scripts) and not backward:
            self._state = self._state.finished(self._plan.span)
        self._write()
        self._doing = ""
        if not ran:
            self._on_line(f"{name}: nothing left to do")
        with contextlib.suppress(OSError):
            self.send(b".")

    def _write(self) -> None:
        files.write_record(self._path, self._state.as_record())


# --- the process ------------------------------------------------------------------------


def find_python(folder: Path) -> Path:
    """The app's interpreter: the environment in its folder, else the `python3` on PATH.

    Raises: ProgramMissing.
    """
    own = folder / ".venv" / "bin" / "python"
    if os.path.lexists(folder / ".venv"):
        # An environment that is broken is mended by an install, never passed over for another Python.
        return own
    found = shutil.which("python3") or shutil.which("python")
    if found is None:
        raise ProgramMissing(program="python3")
    return Path(found)


def child_environment(
    base: Mapping[str, str], folder: Path, python_path: Sequence[str], facts: Mapping[str, str | None]
) -> dict[str, str]:
    """The environment of an app's process: `base`, with the release's import path and `facts` about it."""
    env = {key: value for key, value in base.items() if key not in ("PYTHONHOME", "__PYVENV_LAUNCHER__")}
    paths = python_path or (("src",) if (folder / "src").is_dir() else (".",))
    env["PYTHONPATH"] = os.pathsep.join(str(folder / path) for path in paths)
    env.update({key: value for key, value in facts.items() if value is not None})
    return env
