"""The launcher's "go": until it is said, a new process is ready and accepts nothing.

Rules: one byte on the descriptor that NEWLEAF_GO_FD names means go, its end that the launcher has given this
process up or is gone. The byte is read once and the descriptor closed; every later call has the same answer
at once. Without the variable there is nobody to wait for. A process that the launcher did not start itself
never reads it: the byte is its parent's. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
import threading
import time

from newleaf.core.launch.go_errors import GoInvalid, GoOverdue, LauncherGone
from newleaf.core.launch.notify_fields import WAITS_FIELD
from newleaf.system import notify_socket

GO_DESCRIPTOR = "NEWLEAF_GO_FD"
LAUNCHER = "NEWLEAF_LAUNCHER"
LOWEST = 3

_reading = threading.Lock()
_was_said: bool | None = None


def wait_go(timeout: float | None = None) -> None:
    """Returns when this process may accept; at once where it need not wait. `timeout` in seconds.

    It blocks its thread: in a coroutine write `await asyncio.to_thread(newleaf.wait_go)`.

    Raises: LauncherGone, GoOverdue, GoInvalid.
    """
    global _was_said  # noqa: PLW0603 - go is said once to a process
    value = os.environ.get(GO_DESCRIPTOR)
    if not value:
        return
    ends = None if timeout is None else time.monotonic() + timeout
    if not _reading.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
        raise GoOverdue(seconds=timeout)
    try:
        if _was_said is None:
            # Known to wait, the next one may be started beside this one even where they exclude each other.
            notify_socket.notify(f"{WAITS_FIELD}=1")
            _was_said = _read(_descriptor(value), ends, timeout)
    finally:
        _reading.release()
    if not _was_said:
        raise LauncherGone


def is_launched() -> bool:
    """Whether a launcher is this process's own parent."""
    return os.environ.get(LAUNCHER) == str(os.getppid())


def _descriptor(value: str) -> int:
    if os.environ.get(LAUNCHER) and not is_launched() and _runs(os.environ[LAUNCHER]):
        raise GoInvalid(
            value=value, reason="is meant for the process that the launcher started, not for this one"
        )
    try:
        descriptor = int(value)
        mode = os.fstat(descriptor).st_mode
    except (ValueError, OverflowError, OSError) as error:
        raise GoInvalid(value=value, reason="is no open descriptor") from error
    if descriptor < LOWEST or not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        raise GoInvalid(value=value, reason="is no pipe")
    os.set_inheritable(descriptor, False)
    return descriptor


def _runs(pid: str) -> bool:
    """Whether there is such a process; a launcher that has ended is nobody's parent any more."""
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (ValueError, OverflowError, OSError):
        return False
    return True


def _read(descriptor: int, ends: float | None, timeout: float | None) -> bool:
    """Whether go was said; closes the descriptor then, and keeps it for another call when it is overdue."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    left = None if ends is None else max(0.0, ends - time.monotonic()) * 1000
    if not poller.poll(left):
        raise GoOverdue(seconds=timeout)
    try:
        return bool(os.read(descriptor, 1))
    except OSError:  # a socket whose other end was cut off
        return False
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)
