"""Child processes: under a deadline, in a process group of their own, their output kept within bounds.

Rules: no shell; nothing is inherited on standard input; when the deadline passes, or this
process is interrupted, the whole group is ended (lessons.md L10, L22); what is kept of the output is
masked, so that no secret reaches a log, a record or a message (threats.md T29). `Finished.stdout` alone is
as it came: it is read, never shown.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct, field

from newleaf.core.errors import CommandFailed, CommandTimedOut, ProgramMissing
from newleaf.core.secrets import MASK, mask_text
from newleaf.system.interruption import held_back

KEPT_LINES = 200
KEPT_BYTES = 64 * 1024 * 1024
GRACE_SECONDS = 2.0
LINE_BYTES = 8192
"""Of a longer line the end is kept."""
TICK_SECONDS = 0.1
"""How soon it is seen that a child ended while others hold its output open."""


class Channel(Struct, frozen=True):
    """A connected pair of descriptors for talking with the child beside its output.

    `theirs` is inherited by the child and closed here once it runs; `hear` gets each chunk that arrives at
    `ours`, empty at its end.
    """

    ours: int
    theirs: int
    hear: Callable[[bytes], None]


class Command(Struct, frozen=True):
    """What to run. `what` names it in messages ("git fetch"); `on_line` sees each line of output at once."""

    argv: Sequence[str]
    what: str
    cwd: Path
    env: Mapping[str, str]
    timeout_seconds: float
    stdin: bytes | None = None
    on_line: Callable[[str], None] | None = None
    pass_fds: tuple[int, ...] = ()
    channel: Channel | None = None


class Finished(Struct, frozen=True, dict=True):
    """A command that ended by itself. `stdout` is raw."""

    status: int
    stdout: bytes
    seconds: float
    tell: Callable[[], tuple[str, ...]]

    @cached_property
    def tail(self) -> tuple[str, ...]:
        """The end of stderr and stdout, masked: made when it is looked at, which is when something failed."""
        return self.tell()

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace")


class Runner(Struct):
    """Runs commands. `secrets` are masked in what is kept; `on_start` is told each child's process group."""

    secrets: tuple[str, ...] = ()
    on_start: Callable[[int], None] | None = None
    kept_bytes: int = field(default=KEPT_BYTES)

    def run(self, command: Command) -> Finished:
        """Runs `command` to its end, whatever its exit status.

        Raises: ProgramMissing, CommandFailed when it cannot be started, CommandTimedOut with the fact
        `lines`, the end of what it said.
        """
        began = time.monotonic()
        deadline = began + command.timeout_seconds
        gathered = _Gathered(self, command)
        # A child that has begun, and is not known here yet, would be left running by an interruption.
        with held_back() as let_through:
            child = _spawn(command)
            try:
                with let_through():
                    status = self._follow(child, command, gathered, deadline)
            except subprocess.TimeoutExpired as error:
                seconds, lines = command.timeout_seconds, gathered.tail
                raise CommandTimedOut(what=command.what, seconds=seconds, lines=lines) from error
            finally:
                _end_group(child)
        return Finished(status, gathered.hand_over(), time.monotonic() - began, lambda: gathered.tail)

    def _follow(
        self, child: subprocess.Popen[bytes], command: Command, gathered: _Gathered, deadline: float
    ) -> int:
        if self.on_start:
            self.on_start(child.pid)
        _converse(child, command, gathered, deadline)
        seconds_left = max(0.1, deadline - time.monotonic())
        _await_end(child, seconds_left)
        return child.wait(timeout=seconds_left)

    def check(self, command: Command) -> Finished:
        """Like `run`, but an exit status other than 0 is an error.

        Raises: CommandFailed, ProgramMissing, CommandTimedOut.
        """
        finished = self.run(command)
        if finished.status != 0:
            output = "\n".join(finished.tail).strip() or "it said nothing"
            raise CommandFailed(what=command.what, status=finished.status, output=output)
        return finished

    def mask(self, text: str) -> str:
        """`text` without the secrets this runner knows, and without what looks like one."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            if secret:
                text = text.replace(secret, MASK)
        return mask_text(text)

    @property
    def blind_characters(self) -> int:
        """How much of a text that was cut in front may be the rest of a secret that was cut with it."""
        return max((len(secret.encode()) for secret in self.secrets), default=0)


class _Line(NamedTuple):
    content: bytes = b""
    was_cut: bool = False
    """Whether its beginning was dropped."""


class _Gathered:
    """What a child has said so far."""

    def __init__(self, runner: Runner, command: Command) -> None:
        self.stdout = bytearray()
        self._runner = runner
        self._command = command
        self._tail: deque[_Line] = deque(maxlen=KEPT_LINES)
        self._unended = {"stdout": _Line(), "stderr": _Line()}

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines, masked."""
        return tuple(text for text in map(self._masked, self._tail) if text)

    def hand_over(self) -> bytes:
        """The output, which is not kept here any longer."""
        said = bytes(self.stdout)
        self.stdout.clear()
        return said

    def take(self, stream: str, chunk: bytes) -> None:
        """A chunk of `stream`; an empty one is its end."""
        if stream == "channel":
            assert self._command.channel is not None
            self._command.channel.hear(chunk)
            return
        if stream == "stdout" and len(self.stdout) < self._runner.kept_bytes:
            self.stdout += chunk
        unended = self._unended[stream]
        *lines, rest = (unended.content + chunk).replace(b"\r", b"\n").split(b"\n")
        was_cut = unended.was_cut
        for line in lines if chunk else [*lines, rest]:
            self._keep(_Line(line, was_cut))
            was_cut = False
        was_cut = was_cut or len(rest) > LINE_BYTES
        self._unended[stream] = _Line(rest[-LINE_BYTES:], was_cut) if chunk else _Line()

    def _keep(self, line: _Line) -> None:
        if not line.content.strip():
            return
        self._tail.append(line)
        if self._command.on_line:
            text = self._masked(line)
            if text:
                self._command.on_line(text)

    def _masked(self, line: _Line) -> str:
        """The end of a line. Masked before it is cut, and never beginning with the rest of a cut secret."""
        text = self._runner.mask(line.content.decode(errors="replace"))
        if line.was_cut:
            text = text[self._runner.blind_characters :]
        return text[-LINE_BYTES:].rstrip()


def _converse(child: subprocess.Popen[bytes], command: Command, gathered: _Gathered, deadline: float) -> None:
    """Feeds the child and hears it, until all it holds is closed, or it ended and nothing more comes.

    What it leaves running may hold its output open for ever: that is not waited for.

    Raises: subprocess.TimeoutExpired.
    """
    unsent = memoryview(command.stdin or b"")
    ended_at = None
    with selectors.DefaultSelector() as selector:
        for name in ("stdout", "stderr"):
            selector.register(getattr(child, name), selectors.EVENT_READ, name)
        if command.channel:
            selector.register(command.channel.ours, selectors.EVENT_READ, "channel")
        if child.stdin:
            os.set_blocking(child.stdin.fileno(), False)
            selector.register(child.stdin, selectors.EVENT_WRITE, "stdin")
        while selector.get_map():
            now = time.monotonic()
            if now >= deadline:
                raise subprocess.TimeoutExpired(list(command.argv), command.timeout_seconds)
            if ended_at is None and child.poll() is not None:
                ended_at = now
            ready = selector.select(min(TICK_SECONDS, deadline - now))
            if ended_at is not None and (not ready or now - ended_at > GRACE_SECONDS):
                return
            for key, _ in ready:
                if key.data == "stdin":
                    unsent = _feed(child, unsent)
                    if not unsent:
                        selector.unregister(key.fileobj)
                        _close(child.stdin)
                    continue
                chunk = _receive(key.fd)
                if not chunk:
                    selector.unregister(key.fileobj)
                gathered.take(key.data, chunk)


def _feed(child: subprocess.Popen[bytes], unsent: memoryview) -> memoryview:
    assert child.stdin is not None
    try:
        return unsent[os.write(child.stdin.fileno(), unsent[:65536]) :]
    except BlockingIOError:
        return unsent
    except BrokenPipeError:
        return unsent[:0]


def _receive(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except ConnectionResetError:
        # A child that was killed before it read our last word on its channel.
        return b""


def _spawn(command: Command) -> subprocess.Popen[bytes]:
    inherited = (*command.pass_fds, command.channel.theirs) if command.channel else command.pass_fds
    try:
        return subprocess.Popen(
            list(command.argv),
            cwd=command.cwd,
            env=dict(command.env),
            stdin=subprocess.PIPE if command.stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=inherited,
        )
    except FileNotFoundError as error:
        if not command.cwd.is_dir():
            output = f"{command.cwd} is missing"
            raise CommandFailed(what=command.what, status="none", output=output) from error
        raise ProgramMissing(program=command.argv[0]) from error
    except (OSError, ValueError) as error:
        # ValueError: a zero byte in a word or a variable.
        raise CommandFailed(what=command.what, status="none", output=str(error)) from error
    finally:
        if command.channel:
            os.close(command.channel.theirs)


def _await_end(child: subprocess.Popen[bytes], seconds: float) -> None:
    """Waits for the child to end, or so long, where the kernel tells: `Popen.wait` naps between its looks."""
    if sys.platform == "linux" and hasattr(os, "pidfd_open") and child.returncode is None:
        try:
            descriptor = os.pidfd_open(child.pid)
        except OSError:
            # A kernel before 5.3, or a container that forbids it.
            return
        try:
            end = select.poll()
            end.register(descriptor, select.POLLIN)
            end.poll(seconds * 1000)
        finally:
            os.close(descriptor)


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """Ends whatever is left of the child's group (asked first while the child runs), closes its pipes."""
    if child.poll() is None:
        _signal_group(child, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=GRACE_SECONDS)
    _signal_group(child, signal.SIGKILL)
    child.wait()
    for pipe in (child.stdin, child.stdout, child.stderr):
        _close(pipe)


def _signal_group(child: subprocess.Popen[bytes], request: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, request)


def _close(pipe: object) -> None:
    if pipe is not None:
        with contextlib.suppress(OSError):
            pipe.close()  # type: ignore[attr-defined]
