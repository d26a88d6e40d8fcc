"""The launcher, loaded anew in its own process: the sockets, the daemon and every line stay as they are.

Rules: what it knows goes through a file that only this user can read and that is gone once it was read; every
descriptor keeps its number; signals that come meanwhile wait.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from newleaf.core.launch.launcher_errors import LauncherDamaged
from newleaf.core.launch.plan import Post
from newleaf.core.launch.resumption import (
    companion_record,
    read_companion,
    read_supervision,
    supervision_record,
)
from newleaf.launcher.beginning import Opening, Say, assemble
from newleaf.launcher.control import Control
from newleaf.launcher.launcher import Launcher
from newleaf.launcher.logs import Log
from newleaf.launcher.loop import SIGNALS, Loop
from newleaf.launcher.processes import Known
from newleaf.launcher.programs import LAUNCHER
from newleaf.launcher.sockets import Listening
from newleaf.launcher.state_files import StateFiles

VARIABLE = "NEWLEAF_LAUNCHER_RESUME"


def load_anew(launcher: Launcher) -> None:
    """Replaces this program by the one that lies there now. Comes back only when that fails."""
    record = _record(launcher)
    path = launcher.files.folder / f".launcher-{os.getpid()}"
    environ = {**os.environ, VARIABLE: str(path)}
    # What a service manager passed is held already; its variables are this process's no more.
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        environ.pop(name, None)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        _write(path, record)
        for held in record["descriptors"]:
            os.set_inheritable(held, True)
        os.execve(sys.executable, [*LAUNCHER, str(launcher.files.folder)], environ)  # noqa: S606 - itself
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        for held in record["descriptors"]:
            os.set_inheritable(held, False)
        path.unlink(missing_ok=True)


def _write(path: Path, record: Mapping[str, Any]) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "w") as file:
        json.dump(record, file)


def resume(state: Path, path: Path, say: Say) -> Launcher:
    """The launcher that this process was, with the code that lies there now.

    Raises: LauncherDamaged, OSError.
    """
    text = path.read_text()
    path.unlink(missing_ok=True)
    try:
        return _resume(state, json.loads(text), say)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LauncherDamaged(path=path, reason=f"it is not what this newleaf writes ({error})") from error


def _resume(state: Path, record: Mapping[str, Any], say: Say) -> Launcher:
    for held in record["descriptors"]:
        os.set_inheritable(held, False)
    control = Control(socket.socket(fileno=record["control"]))
    for line in record["lines"]:
        added = control.add(line["number"], socket.socket(fileno=line["descriptor"]))
        added.unread = line["unread"].encode("latin-1")
    bound = {address: socket.socket(fileno=descriptor) for address, descriptor in record["bound"].items()}
    listening = Listening(state, bound, [socket.socket(fileno=descriptor) for descriptor in record["handed"]])
    log = Log(state / "logs", *record["log"]) if record["log"] else None
    opening = Opening(record["lock"], control, Loop(), listening, say, log)
    supervision = read_supervision(record["supervision"])
    launcher = assemble(StateFiles(state), Post.read(record["post"]), supervision, opening)
    launcher.agent.companion = read_companion(record["companion"])
    launcher.is_ready_told = record["is_ready_told"]
    launcher.opened.processes.running = {
        int(pid): Known(kind, number) for pid, (kind, number) in record["running"].items()
    }
    launcher.programs.resume(record["programs"])
    launcher.opened.daemon.resume(record["ends"])
    for open_line in control.lines.values():
        launcher.watch_line(open_line)
    launcher.resumed()
    return launcher


def _record(launcher: Launcher) -> dict[str, Any]:
    opened = launcher.opened
    lines = [
        {
            "number": line.number,
            "descriptor": line.socket.fileno(),
            "unread": line.unread.decode("latin-1"),
        }
        for line in opened.control.lines.values()
    ]
    record = {
        "post": launcher.post.as_record(),
        "supervision": supervision_record(launcher.supervision),
        "companion": companion_record(launcher.agent.companion),
        "is_ready_told": launcher.is_ready_told,
        "lock": opened.lock,
        "control": opened.control.listener.fileno(),
        "lines": lines,
        "bound": {address: one.fileno() for address, one in opened.daemon.listening.bound.items()},
        "handed": [one.fileno() for one in opened.daemon.listening.handed],
        "log": [opened.log.source, opened.log.sink] if opened.log else None,
        "running": {str(pid): list(known) for pid, known in opened.processes.running.items()},
        "programs": launcher.programs.as_record(),
        "ends": opened.daemon.as_record(),
    }
    return {**record, "descriptors": _descriptors(record)}


def _descriptors(record: Mapping[str, Any]) -> list[int]:
    held = [record["lock"], record["control"], *record["bound"].values(), *record["handed"]]
    held += record["log"] or ()
    held += [line["descriptor"] for line in record["lines"]]
    held += [source for source, *_ in record["programs"].values()]
    for ends in record["ends"].values():
        held += [ends["notify"][1], ends["go"], ends["health"]]
    return [descriptor for descriptor in held if descriptor is not None]
