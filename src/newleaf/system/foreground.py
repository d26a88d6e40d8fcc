"""A job's command in the foreground: this terminal, this standard input and output, and a lock's descriptor.

Rules: the command inherits the descriptor, so the lock is held as long as any process of the job keeps it,
even when this one is killed; signals that reach this process are passed on; those that a terminal sends to
all processes in front are not sent twice. It stays in this process group, so that job control works.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from typing import IO

from newleaf.core.job_errors import JobNotExecutable, JobNotFound

FORWARDED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCONT,
)
FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)


def run_job(argv: Sequence[str], descriptor: int, stdout: IO[str] | None = None) -> int:
    """Runs the command to its end; returns its exit status, 128 + n when signal n ended it.

    Raises: JobNotFound, JobNotExecutable.
    """
    waiting: list[int] = []
    with _forwarding(waiting) as forward_to:
        child = _start(argv, descriptor, stdout)
        forward_to.append(child.pid)
        for number in waiting:
            os.kill(child.pid, number)
        _await_end(child.pid)
    # Only now is the number given away: no signal could go astray before.
    status = child.wait()
    return 128 - status if status < 0 else status


def _start(argv: Sequence[str], descriptor: int, stdout: IO[str] | None) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(list(argv), pass_fds=(descriptor,), stdout=stdout)
    except FileNotFoundError as error:
        if shutil.which(argv[0]):
            raise JobNotExecutable(program=argv[0], reason="its interpreter is missing") from error
        raise JobNotFound(program=argv[0]) from error
    except NotADirectoryError as error:
        raise JobNotFound(program=argv[0]) from error
    except (OSError, ValueError) as error:
        raise JobNotExecutable(
            program=argv[0], reason=getattr(error, "strerror", None) or str(error)
        ) from error


@contextlib.contextmanager
def _forwarding(waiting: list[int]) -> Iterator[list[int]]:
    """Passes signals on to the processes in the list; until there is one they are kept in `waiting`."""
    told: list[int] = []

    def forward(number: int, _: object) -> None:
        if not told:
            waiting.append(number)
        for pid in told:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def leave(number: int, _: object) -> None:
        """The terminal has told the command itself."""

    at_terminal = _is_in_front()
    # What is ignored here (nohup) is ignored by the command as well.
    taken = [number for number in FORWARDED if signal.getsignal(number) is not signal.SIG_IGN]
    before = {
        number: signal.signal(number, leave if at_terminal and number in FROM_TERMINAL else forward)
        for number in taken
    }
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_in_front() -> bool:
    """Whether this process group is the one that the terminal sends its signals to."""
    try:
        terminal = os.open(os.ctermid(), os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _await_end(pid: int) -> None:
    if hasattr(os, "waitid"):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
