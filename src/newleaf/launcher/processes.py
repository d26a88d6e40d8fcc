"""Starting programs, and hearing of their ends, without `subprocess`: the launcher stays small.

Rules: every program leads a session and a group of its own, and what is left of the group goes when it ends;
none runs before its number was written down, so that no launcher that is killed leaves one that nobody knows
of; what it inherits is what is named here, whatever else this process was handed. That one could not be
started is an answer like any other. The launcher has one thread, so a fork is safe.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, NoReturn

FIRST_PASSED = 3
"""Where passed descriptors begin (sd_listen_fds(3))."""
_DESCRIPTORS = "/dev/fd"
_MANY = 1024
_TAKEN_OVER = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ)
"""What this process, or Python, treats in a way of its own."""


class Program(NamedTuple):
    """What to start.

    `passed` are descriptors that it gets from 3 on; `output` one for what it prints; `numbered` are the
    variables that hold its own number.
    """

    argv: Sequence[str]
    folder: str
    env: Mapping[str, str]
    passed: tuple[int, ...] = ()
    output: int | None = None
    numbered: tuple[str, ...] = ()


class Known(NamedTuple):
    """A process that runs: what it is for, in words that survive the launcher's own restart."""

    kind: str
    number: int


class NotStarted(Exception):
    """A program could not be started."""


class Processes:
    """The launcher's children. `write_down` is told each change before the child may run."""

    def __init__(self, write_down: Callable[[], None]) -> None:
        self.running: dict[int, Known] = {}
        self._write_down = write_down

    def start(self, program: Program, known: Known) -> int:
        """Starts a program; returns its process id.

        Raises: NotStarted.
        """
        try:
            (gate_out, gate_in), (fault_out, fault_in), pid = _fork()
        except OSError as error:
            raise NotStarted(f"{program.argv[0]}: {error.strerror}") from error
        if pid == 0:
            _become(program, gate_out, gate_in, fault_in)
        os.close(gate_out)
        os.close(fault_in)
        self.running[pid] = known
        try:
            self._write_down()
            os.write(gate_in, b"!")
        finally:
            os.close(gate_in)
        with os.fdopen(fault_out, "rb") as fault:
            reason = fault.read().decode(errors="replace")
        if reason:
            os.waitpid(pid, 0)
            del self.running[pid]
            raise NotStarted(reason)
        return pid

    def ended(self) -> list[tuple[Known, int, int]]:
        """Those that have ended since: what each was for, its process id, exit code or minus signal."""
        found = []
        for pid in list(self.running):
            try:
                ended, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                ended, status = pid, 0
            if ended:
                signal_group(pid, signal.SIGKILL)
                found.append((self.running.pop(pid), pid, os.waitstatus_to_exitcode(status)))
        return found

    def find(self, kind: str, number: int = 0) -> int | None:
        """The process id of one that runs."""
        return next((pid for pid, known in self.running.items() if known == (kind, number)), None)


def _fork() -> tuple[tuple[int, int], tuple[int, int], int]:
    """A gate, a way to say what went wrong, and the child's number; all of them or none."""
    opened: list[int] = []
    try:
        opened += (gate := os.pipe())
        opened += (fault := os.pipe())
        return gate, fault, os.fork()
    except OSError:
        for descriptor in opened:
            os.close(descriptor)
        raise


def signal_group(pid: int, number: signal.Signals) -> None:
    """Signals a process and all that it has started, as far as they are left."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def signal_one(pid: int, number: signal.Signals) -> None:
    """Signals a process alone."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _become(program: Program, gate_out: int, gate_in: int, fault_in: int) -> NoReturn:
    """The rest of the child's life in this program."""
    try:
        os.close(gate_in)
        os.setsid()
        # Whoever is killed before it has written this down must not leave it running.
        if os.read(gate_out, 1) != b"!":
            os._exit(1)
        fault_in = _park(fault_in, program)
        _arrange(program, fault_in)
        signal.set_wakeup_fd(-1)
        for number in _TAKEN_OVER:
            signal.signal(number, signal.SIG_DFL)
        os.chdir(program.folder)
        env = {**program.env, **dict.fromkeys(program.numbered, str(os.getpid()))}
        os.execvpe(program.argv[0], list(program.argv), env)  # noqa: S606 - what a supervisor is for
    except OSError as error:
        named = program.folder if error.filename == program.folder else program.argv[0]
        os.write(fault_in, os.fsencode(f"{named}: {error.strerror}"))
    except (ValueError, TypeError, IndexError) as error:  # no text that a program can be handed
        os.write(fault_in, f"it cannot be called: {error}".encode(errors="replace"))
    finally:
        os._exit(127)


def _park(descriptor: int, program: Program) -> int:
    """Out of the way of what the program gets, and no further: there may be room for few (256 on macOS)."""
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FIRST_PASSED + len(program.passed))


def _arrange(program: Program, kept: int) -> None:
    """Puts the descriptors where the program looks for them, and closes all others but `kept`."""
    parked = [_park(descriptor, program) for descriptor in program.passed]
    output = None if program.output is None else _park(program.output, program)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    if output is not None:
        os.dup2(output, 1)
        os.dup2(output, 2)
    for place, descriptor in enumerate(parked, FIRST_PASSED):
        os.dup2(descriptor, place)
    # This process itself may have been handed some that nobody named.
    for descriptor in _open_descriptors():
        if descriptor >= FIRST_PASSED + len(parked) and descriptor != kept:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _open_descriptors() -> list[int]:
    try:
        return [int(name) for name in os.listdir(_DESCRIPTORS)]
    except OSError:
        return list(range(_MANY))
