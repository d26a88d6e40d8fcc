"""Real processes for tests: Python snippets that say "ready", and are gone when the test is."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import IO

from tests.support.kills import PATIENCE_SECONDS


@contextlib.contextmanager
def started(*argv: str, ready: bool = True, **options: object) -> Iterator[subprocess.Popen[str]]:
    """A program in a session of its own; with `ready`, from when it has printed its first line."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "start_new_session": True}
    child: subprocess.Popen[str] = subprocess.Popen(argv, **{**pipes, **options})  # type: ignore[call-overload]
    try:
        if ready:
            assert read_line(child.stdout), f"{argv} ended without a word"
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe:
                pipe.close()


def python(
    code: str, *arguments: str, **options: object
) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    """A Python snippet as a process, from when it has printed its first line."""
    return started(sys.executable, "-c", code, *arguments, **options)  # type: ignore[arg-type]


def read_line(stream: IO[str] | None) -> str:
    """The next line of a process; empty when there is none, or it takes too long."""
    assert stream is not None
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        return stream.readline().strip() if selector.select(PATIENCE_SECONDS) else ""
