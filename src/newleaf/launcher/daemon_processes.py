"""The daemon's processes: their environment and sockets, the word "go", and what they say of themselves."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from newleaf.core.errors import NewleafError
from newleaf.core.launch import events as e
from newleaf.core.launch.judging import WATCHDOG_SECONDS
from newleaf.launcher import sockets
from newleaf.launcher.loop import Loop
from newleaf.launcher.notify import NotifySocket
from newleaf.launcher.processes import (
    FIRST_PASSED,
    Known,
    NotStarted,
    Processes,
    Program,
    signal_group,
    signal_one,
)

DAEMON = "daemon"
HEALTH = "health"
LONGEST_NAME = ".health-4194304-999999"
"""No socket that is made for a process has a longer one."""
_OWN_VARIABLES = frozenset(
    """LISTEN_FDS LISTEN_PID LISTEN_FDNAMES NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID NEWLEAF_GO_FD
    NEWLEAF_LAUNCHER NEWLEAF_LAUNCHER_RESUME MAINPID""".split()
)
"""What a launcher is told by its own service manager, and its daemon by the launcher."""


class Ends:
    """What is held of one process: where it speaks, how it is let in, where its health is asked."""

    def __init__(self, notify: NotifySocket, go: int | None, health: socket.socket | None) -> None:
        self.notify = notify
        self.go = go
        self.health = health


class DaemonProcesses:
    """Starts and signals them. `feed` is told what they say."""

    def __init__(
        self,
        state: Path,
        processes: Processes,
        loop: Loop,
        feed: Callable[[e.Event], None],
        listening: sockets.Listening,
    ) -> None:
        self.state = state
        self.listening = listening
        self.ends: dict[int, Ends] = {}
        self._processes = processes
        self._loop = loop
        self._feed = feed

    def start(self, order: e.Start, output: int | None) -> None:
        """Starts one; that it could not be started is fed back."""
        try:
            listening = self.listening.of(order.plan.listen)
            ends, go_out = self._open_ends(order)
        except (NewleafError, OSError) as error:
            self._feed(e.StartFailed(order.child, str(error)))
            return
        passed = [one.fileno() for one in (*listening, *filter(None, (ends.health,)))]
        names = [f"listen{place}" for place in range(len(listening))]
        names += [HEALTH] if ends.health else []
        variables = self._variables(order, ends.notify.path, names)
        numbered = ("WATCHDOG_PID", *(("LISTEN_PID",) if names else ()))
        program = Program(
            order.plan.command, order.plan.folder, variables, (*passed, go_out), output, numbered
        )
        self.ends[order.child] = ends
        try:
            self._processes.start(program, Known(DAEMON, order.child))
        except NotStarted as error:
            self.forget(order.child)
            self._feed(e.StartFailed(order.child, str(error)))
            return
        finally:
            os.close(go_out)
        self.watch(order.child)
        if not order.gated:
            self.go(order.child)

    def _open_ends(self, order: e.Start) -> tuple[Ends, int]:
        """What is held of it, and where it is told "go"; all or nothing."""
        with contextlib.ExitStack() as undo:
            go_out, go_in = os.pipe()
            undo.callback(os.close, go_out)
            undo.callback(os.close, go_in)
            notify = NotifySocket.open(self.state)
            undo.callback(notify.close)
            health = sockets.private_socket(self._health_path(order.child)) if order.health else None
            undo.pop_all()
        return Ends(notify, go_in, health), go_out

    def watch(self, number: int) -> None:
        """Hears what it says from now on."""
        notify = self.ends[number].notify
        self._loop.watch(notify.socket.fileno(), lambda: self._hear(number))

    def go(self, number: int) -> None:
        """Lets it in."""
        ends = self.ends.get(number)
        if ends and ends.go is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(ends.go, b"!")
            os.close(ends.go)
            ends.go = None

    def terminate(self, number: int) -> None:
        """Asks it to end: it alone, for its own children are its to end."""
        pid = self._processes.find(DAEMON, number)
        if pid:
            signal_one(pid, signal.SIGTERM)
        self._give_up_waiting(number)

    def _give_up_waiting(self, number: int) -> None:
        """One that still waits for "go" sees that it will not come."""
        ends = self.ends.get(number)
        if ends and ends.go is not None:
            os.close(ends.go)
            ends.go = None

    def kill(self, number: int) -> None:
        """Ends it with all that it has started."""
        pid = self._processes.find(DAEMON, number)
        if pid:
            signal_group(pid, signal.SIGKILL)

    def pid_of(self, number: int) -> int | None:
        return self._processes.find(DAEMON, number)

    def health_path(self, number: int) -> str | None:
        """Where its health is asked while another process serves."""
        ends = self.ends.get(number)
        return str(self._health_path(number)) if ends and ends.health else None

    def has_taken(self, number: int) -> bool:
        """Whether it has taken all that was asked on its own socket: what it has not, waits there."""
        ends = self.ends.get(number)
        if ends is None or ends.health is None:
            return False
        waiting = select.poll()
        waiting.register(ends.health, select.POLLIN)
        return not waiting.poll(0)

    def last_words(self, number: int, pid: int) -> None:
        """Hears what the process that has ended had said before."""
        if ends := self.ends.get(number):
            self._feed_said(number, ends, pid)

    def forget(self, number: int) -> None:
        """Closes what was held of it."""
        ends = self.ends.pop(number, None)
        if ends is None:
            return
        self._loop.forget(ends.notify.socket.fileno())
        ends.notify.close()
        if ends.go is not None:
            os.close(ends.go)
        if ends.health:
            ends.health.close()
            self._health_path(number).unlink(missing_ok=True)

    def as_record(self) -> dict[str, Any]:
        """What `resume` needs: the descriptors, which stay open."""
        return {
            str(number): {
                "notify": [str(ends.notify.path), ends.notify.socket.fileno()],
                "go": ends.go,
                "health": ends.health.fileno() if ends.health else None,
            }
            for number, ends in self.ends.items()
        }

    def resume(self, record: Mapping[str, Any]) -> None:
        """Goes on with the processes that this one had before it was loaded anew."""
        for number, held in record.items():
            path, descriptor = held["notify"]
            health = None if held["health"] is None else socket.socket(fileno=held["health"])
            self.ends[int(number)] = Ends(NotifySocket.resume(Path(path), descriptor), held["go"], health)
            self.watch(int(number))

    def _hear(self, number: int) -> None:
        ends, pid = self.ends.get(number), self.pid_of(number)
        if ends and pid:
            self._feed_said(number, ends, pid)

    def _feed_said(self, number: int, ends: Ends, pid: int) -> None:
        for fields in ends.notify.read(pid):
            self._feed(e.Notified(number, fields))

    def _health_path(self, number: int) -> Path:
        return self.state / f".health-{os.getpid()}-{number}"

    def _variables(self, order: e.Start, notify: Path, names: list[str]) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in _OWN_VARIABLES}
        own = {
            "NEWLEAF_COMMIT": order.plan.release.commit,
            "NEWLEAF_VERSION": order.plan.release.version or "",
            "NEWLEAF_STATE_DIR": str(self.state),
            "NEWLEAF_LAUNCHER": str(os.getpid()),
            "NOTIFY_SOCKET": str(notify),
            "WATCHDOG_USEC": str(int(WATCHDOG_SECONDS * 1_000_000)),
            "NEWLEAF_GO_FD": str(FIRST_PASSED + len(names)),
        }
        if names:
            own |= {"LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names)}
        return {**inherited, **order.plan.variables, **own}
