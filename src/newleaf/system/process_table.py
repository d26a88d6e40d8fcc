"""Processes of this machine: which one a recorded number means, and what is left of a group.

Rules: a process is its number *and* its start time, because numbers are used again (lessons.md L35); a
zombie is dead; whatever cannot be found out is None or nothing, never a guess. Reads `/proc` where there is
one, asks `ps` elsewhere. Never signals a process with another start time than the recorded one. Standard
library only, for the launcher's sake.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from newleaf.system import uptime

PROC = Path("/proc")
HAS_PROC = (PROC / "self" / "stat").exists()
GRACE_SECONDS = 2.0
KILL_SECONDS = 5.0
LOOK_SECONDS = 10.0
POLL_SECONDS = 0.01

_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_PS_COLUMNS = "pid=,pgid=,stat=,lstart="

START_RESOLUTION = timedelta(milliseconds=10) if sys.platform == "linux" else timedelta(seconds=1)
"""Start times are known to this, rounded down."""


class Process(NamedTuple):
    """A process as the kernel shows it.

    `started` is an opaque text that no other process with this number ever has: the boot and the clock
    ticks since (Linux), or the second (elsewhere). `session` is None where the system does not tell it.
    """

    pid: int
    group: int
    session: int | None
    is_zombie: bool
    started: str
    started_at: datetime


def find(pid: int) -> Process | None:
    """The process with this number; None when there is none, or it cannot be looked at."""
    if pid <= 0:
        return None
    if HAS_PROC:
        return _read_proc(pid)
    return next(iter(ask_ps("-p", str(pid))), None)


def start_time(pid: int) -> str | None:
    """What tells this process from any other that has had, or will have, its number."""
    found = find(pid)
    return found.started if found else None


def is_alive(pid: int, started: str) -> bool:
    """Whether the very process that was recorded still runs."""
    found = find(pid)
    return found is not None and found.started == started and not found.is_zombie


def send_signal(pid: int, started: str, number: signal.Signals) -> bool:
    """Signals the recorded process; False when it is gone, even if its number is another's now.

    Raises: PermissionError when the process is another user's.
    """
    if pid <= 0:
        return False
    with contextlib.suppress(ProcessLookupError), _sender(pid) as send:
        if is_alive(pid, started):
            send(number)
            return True
    return False


def group_members(group: int, started: str) -> list[Process]:
    """The living processes of the group whose first process had the number `group` and this start time.

    The kernel gives no number away that a group still bears. So while the number is a process's with
    another start time, nothing is left of the recorded group; once the first process is gone, those that are
    left in the group and in its own session, and are no older than it, are taken for its children.
    """
    members = [process for process in _all_processes() if process.group == group and not process.is_zombie]
    first = find(group)
    if first is not None:
        return members if first.started == started else []
    return [
        process
        for process in members
        if process.session in (group, None) and _is_no_older(process.started, started)
    ]


def end_group(group: int, started: str, grace_seconds: float = GRACE_SECONDS) -> bool:
    """Ends what is left of a recorded process group: asks first, then kills. True when nothing is left."""
    if group <= 1 or group == os.getpgrp():
        return True
    for number, patience_seconds in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, KILL_SECONDS)):
        if not group_members(group, started):
            return True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
        if _wait_gone(group, started, patience_seconds):
            return True
    return False


def ask_ps(*selection: str) -> list[Process]:
    """The processes that `ps` shows for its own way to select them: `-A`, or `-p` and a number."""
    text = _run_ps(["ps", *selection, "-o", _PS_COLUMNS])
    return [process for process in map(_parse_ps, text.splitlines()) if process]


def _run_ps(argv: list[str]) -> str:
    """What it says within its time, without what `subprocess` would cost the launcher."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/bin:/bin:/usr/sbin:/sbin"
    env = {"PATH": path, "LC_ALL": "C", "TZ": "UTC"}
    source, sink = os.pipe()
    actions = [(os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_DUP2, sink, 1)]
    try:
        pid = os.posix_spawnp(argv[0], argv, env, file_actions=actions)
    except OSError:
        os.close(source)
        return ""
    finally:
        os.close(sink)
    said = b""
    deadline = time.monotonic() + LOOK_SECONDS
    with open(source, "rb", buffering=0) as output:
        ready = select.poll()
        ready.register(output, select.POLLIN)
        while ready.poll(max(0.0, deadline - time.monotonic()) * 1000):
            chunk = output.read(65536)
            if not chunk:
                break
            said += chunk
        else:
            os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return said.decode(errors="replace")


def _wait_gone(group: int, started: str, patience_seconds: float) -> bool:
    deadline = time.monotonic() + patience_seconds
    while group_members(group, started):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


@contextlib.contextmanager
def _sender(pid: int) -> Iterator[Callable[[signal.Signals], None]]:
    """What signals the process that has the number now, and, where the kernel can, no later one."""
    descriptor = _pidfd(pid)
    if descriptor is None:
        yield lambda number: os.kill(pid, number)
        return
    try:
        yield lambda number: signal.pidfd_send_signal(descriptor, number)
    finally:
        os.close(descriptor)


def _pidfd(pid: int) -> int | None:
    """A descriptor of the process; None where there is no such thing: kernels before 5.3, some containers.

    Raises: ProcessLookupError.
    """
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except OSError:
        return None


def _all_processes() -> list[Process]:
    if not HAS_PROC:
        return ask_ps("-A")
    numbers = (int(name) for name in os.listdir(PROC) if name.isdigit())
    return [process for process in map(_read_proc, numbers) if process]


def _is_no_older(started: str, than: str) -> bool:
    boot, _, ticks = started.rpartition("/")
    other_boot, _, other_ticks = than.rpartition("/")
    return boot == other_boot and (len(ticks), ticks) >= (len(other_ticks), other_ticks)


def _read_proc(pid: int) -> Process | None:
    """From /proc/PID/stat: state, group and session are fields 3, 5 and 6, the start in clock ticks is 22."""
    try:
        text = uptime.kernel_text(f"{PROC}/{pid}/stat")
        # The program's name stands in parentheses, and may hold spaces and parentheses itself.
        fields = text[text.rindex(")") + 2 :].split()
        ticks = int(fields[19])
        return Process(
            pid,
            int(fields[2]),
            int(fields[3]),
            fields[0] in "ZX",
            f"{uptime.boot() or 'boot'}/{ticks}",
            uptime.time_of(ticks / os.sysconf("SC_CLK_TCK")),
        )
    except (OSError, ValueError, IndexError):
        return None


def _parse_ps(line: str) -> Process | None:
    """`  812   812 Ss   Sat Nov 21 03:45:14 2026`, the time in UTC."""
    try:
        pid, group, state, _, month, day, clock, year = line.split()
        hour, minute, second = map(int, clock.split(":"))
        began = datetime(int(year), _MONTHS.index(month) + 1, int(day), hour, minute, second, tzinfo=UTC)
        started = f"/{int(began.timestamp())}"
        return Process(int(pid), int(group), None, state.startswith("Z"), started, began)
    except ValueError:
        return None
