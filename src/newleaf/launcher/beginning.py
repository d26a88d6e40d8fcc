"""How a launcher begins: as the only one, with what a killed one has left ended, and its sockets bound."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from newleaf.core.launch.events import Event
from newleaf.core.launch.launcher_errors import LauncherRuns
from newleaf.core.launch.plan import Plan, Post
from newleaf.core.launch.supervision import Supervision
from newleaf.launcher import sockets
from newleaf.launcher.control import CONTROL, Control
from newleaf.launcher.daemon_processes import LONGEST_NAME, DaemonProcesses
from newleaf.launcher.launcher import Launcher
from newleaf.launcher.logs import Log
from newleaf.launcher.loop import Loop
from newleaf.launcher.opened import Opened
from newleaf.launcher.processes import Processes
from newleaf.launcher.state_files import StateFiles
from newleaf.system import process_table
from newleaf.system.files import names_in

LOCK = "launcher.lock"
LOGS = "logs"
Say = Callable[[str], None]


def begin(state: Path, say: Say) -> Launcher:
    """A launcher of the app whose state directory this is.

    Raises: LauncherRuns, LauncherDamaged, AddressTaken, AddressUnusable, and what files give reason to.
    """
    files = StateFiles(state)
    lock = take_lock(state / LOCK)
    post, plan = files.read_launcher()
    sockets.require_room(state / LONGEST_NAME)
    end_left_behind(files, plan, say)
    remove_leftovers(state)
    opened = sockets.open_all(plan.listen, state, sockets.inherited(os.environ))
    bound = zip(plan.listen, opened, strict=False)
    listening = sockets.Listening(state, dict(bound), () if plan.listen else opened)
    control = Control.open(state / CONTROL)
    log = Log.open(state / LOGS) if post.log_files else None
    opening = Opening(lock, control, Loop(), listening, say, log)
    return assemble(files, post, Supervision(files.read_counters()), opening)


class Opening(NamedTuple):
    """What is open before there is a launcher."""

    lock: int
    control: Control
    loop: Loop
    listening: sockets.Listening
    say: Say
    log: Log | None = None


def assemble(files: StateFiles, post: Post, supervision: Supervision, opening: Opening) -> Launcher:
    """Puts a launcher together around what is open."""
    made: list[Launcher] = []

    def write_state() -> None:
        made[0].write_state()

    def feed(event: Event) -> None:
        made[0].feed(event)

    def accept() -> None:
        made[0].accept()

    processes = Processes(write_state)
    daemon = DaemonProcesses(files.folder, processes, opening.loop, feed, opening.listening)
    if opening.log:
        opening.loop.watch(opening.log.source, opening.log.read)
    opening.loop.watch(opening.control.listener.fileno(), accept)
    opened = Opened(opening.lock, opening.control, daemon, processes, opening.loop, opening.log)
    made.append(Launcher(files, post, supervision, opened, opening.say))
    return made[0]


def take_lock(path: Path) -> int:
    """The lock of the one launcher; it goes with this process, and stays across its being loaded anew.

    Raises: LauncherRuns.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise LauncherRuns(pid=owner) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def remove_leftovers(state: Path) -> None:
    """Takes away the sockets, and what was to be handed on, of a launcher that was killed."""
    for beginning in (".notify-", ".health-", ".launcher-"):
        for name in names_in(state, beginning):
            with contextlib.suppress(OSError):
                state.joinpath(name).unlink()


def end_left_behind(files: StateFiles, plan: Plan, say: Say) -> None:
    """Ends what a killed launcher has left running, so that nothing runs twice."""
    for pid, started in files.left_running():
        if process_table.group_members(pid, started):
            say(f"pid {pid} was left behind by a launcher that was killed, and is ended")
            if not process_table.end_group(pid, started, plan.stop_seconds):
                say(f"pid {pid} cannot be ended")
