"""A machine of its own for the demo and the examples: a folder as its home, an environment made from nothing.

Rules: programs come from the user's PATH, and nothing else of the user is seen or touched; every child runs
in a process group of its own under a deadline, and is gone when the sandbox is; the folder too,
unless it is to be kept.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import newleaf
from newleaf.core.errors import DemoStuck, ProgramMissing
from newleaf.system import process_table
from newleaf.system.commands import Command, Finished, Runner
from newleaf.update.dependencies.surroundings import Surroundings

PROGRAM_SECONDS = 60.0
PATIENCE_SECONDS = 30.0
LOOK_SECONDS = 0.01
T = TypeVar("T")
_LET_THROUGH = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "UV_SYSTEM_CERTS")
"""For a registry, where one has to be asked."""


@dataclass(frozen=True)
class Sandbox:
    """A folder, which is the home of every program that runs in it."""

    folder: Path
    path: str
    """Where programs are looked for."""
    groups: list[tuple[int, str]] = field(default_factory=list)
    """The process groups of programs that were to run for a while, and when each began."""
    variables: dict[str, str] = field(default_factory=dict)
    """What programs are told besides."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What every program is started with."""
        let_through = {
            name: value for name, value in os.environ.items() if name.upper() in _LET_THROUGH and value
        }
        return {
            **let_through,
            "PATH": self.path,
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder / "tmp"),
            "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Maintainer",
            "GIT_AUTHOR_EMAIL": "maintainer@example.org",
            "GIT_COMMITTER_NAME": "Maintainer",
            "GIT_COMMITTER_EMAIL": "maintainer@example.org",
            "UV_CACHE_DIR": str(self.folder / ".cache/uv"),
            "UV_PYTHON": getattr(sys, "_base_executable", None) or sys.executable,
            "UV_PYTHON_DOWNLOADS": "never",
            **self.variables,
        }

    def run(self, *argv: str | Path, cwd: Path, check: bool = True) -> Finished:
        """Runs a program to its end.

        Raises: CommandFailed, unless `check` is False; CommandTimedOut.
        """
        words = [str(word) for word in argv]
        command = Command(words, " ".join(words[:2]), cwd, self.environment, PROGRAM_SECONDS)
        return Runner().check(command) if check else Runner().run(command)

    @contextlib.contextmanager
    def started(self, argv: Sequence[str | Path], cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
        """A program that runs meanwhile; its group is killed in the end, if it has not ended by itself."""
        with (self.folder / "programs.log").open("ab") as log:
            child = subprocess.Popen(
                [str(word) for word in argv],
                cwd=cwd,
                env=dict(self.environment),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.note_group(child.pid)
        try:
            yield child
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            assert child.stdin
            with contextlib.suppress(OSError):
                child.stdin.close()

    def note_group(self, pid: int) -> None:
        """Remembers the process, and those that it starts, as to be gone in the end."""
        started = process_table.start_time(pid)
        if started:
            self.groups.append((pid, started))

    def left_running(self) -> list[int]:
        """The processes of remembered groups that still run."""
        return [
            process.pid
            for group, started in self.groups
            for process in process_table.group_members(group, started)
        ]


@contextlib.contextmanager
def sandbox(*, keep: bool, name: str = "demo") -> Iterator[Sandbox]:
    """A new sandbox; removed in the end unless `keep`, also when this process is asked to end.

    `name` is part of its folder's.

    Raises: ProgramMissing.
    """
    path = program_path(os.environ)
    made = Sandbox(Path(tempfile.mkdtemp(prefix=f"newleaf-{name}-")).resolve(), path)
    previous = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        (made.folder / "tmp").mkdir()
        yield made
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if not keep:
            shutil.rmtree(made.folder, ignore_errors=True)


def program_path(environ: Mapping[str, str]) -> str:
    """The user's PATH, and where a uv beside this newleaf is found.

    Raises: ProgramMissing when there is no git or no uv.
    """
    own = f"{environ.get('PATH', os.defpath)}{os.pathsep}{Path(sys.executable).parent}"
    programs = Surroundings(Runner(), {**environ, "PATH": own})
    if programs.find("git") is None:
        raise ProgramMissing(program="git")
    if programs.uv is None:
        raise ProgramMissing(program="uv")
    return f"{own}{os.pathsep}{programs.uv.parent}"


def newleaf_program() -> list[str]:
    """The newleaf that runs here, as a user would start it."""
    for folder in (Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))):
        program = folder / "newleaf"
        if os.access(program, os.X_OK):
            return [str(program)]
    source = f"import sys; sys.path.insert(0, {str(Path(newleaf.__file__).parent.parent)!r})"
    return [sys.executable, "-c", f"{source}; from newleaf.cli.main import main; main()"]


def wait_until(look: Callable[[], T | None], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """What `look` finds, as soon as it finds something.

    Raises: DemoStuck when it never does.
    """
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise DemoStuck(reason=f"it waited {seconds:g} s in vain for {what}")
        time.sleep(LOOK_SECONDS)
    return found


def _leave(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)
