"""What the processes of this machine hold: locks, open files, folders.

Rules: whatever cannot be found out is None or nothing, never a guess. Reads `/proc` where there is one, asks
`ps` and `lsof` elsewhere. Which process a recorded number means: `system.process_table`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from newleaf.core.errors import NewleafError
from newleaf.system import process_table
from newleaf.system.commands import Command, Finished, Runner
from newleaf.system.process_table import LOOK_SECONDS, PROC


class Holder(Struct, frozen=True):
    """A process that holds a lock, and the name of its program."""

    pid: int
    program: str

    def __str__(self) -> str:
        return f"{self.program} (pid {self.pid})" if self.program else f"pid {self.pid}"


def holders(path: Path) -> tuple[Holder, ...]:
    """The processes of this user that hold a kernel lock on the file, as far as the system tells."""
    found = _holders_in_proc(path) if process_table.HAS_PROC else holders_by_lsof(path)
    return tuple(sorted(set(found), key=lambda holder: holder.pid))


def holders_by_lsof(path: Path) -> list[Holder]:
    """Who has the file open, besides this process. `lsof` does not tell everywhere who locked it."""
    finished = _look(["lsof", "-w", "-F", "pc", "--", str(path)])
    found: list[Holder] = []
    pid = 0
    for line in finished.text.splitlines() if finished else ():
        if line.startswith("p") and line[1:].isdigit():
            pid = int(line[1:])
        elif line.startswith("c") and pid not in (0, os.getpid()):
            found.append(Holder(pid, line[1:]))
    return found


def open_files() -> str | None:
    """What the processes of this user have open, stand in or were started from, a line each.

    None when it is not told.
    """
    finished = _look(["lsof", "-w", "-n", "-P", "-F", "n", "-u", str(os.geteuid())])
    # Nothing at all is no answer: this process is always there to be told of.
    lines = finished.text.splitlines() if finished else ()
    return "\n".join(line[1:] for line in lines if line.startswith("n")) or None


def command_lines() -> str | None:
    """The arguments and variables of every process that `ps` shows them of; None when it is not told."""
    finished = _look(["ps", "-A", "-E", "-ww", "-o", "command="])
    return (finished.text or None) if finished else None


def _holders_in_proc(path: Path) -> list[Holder]:
    """Every open descriptor says in /proc/PID/fdinfo which locks it holds, inherited ones included."""
    try:
        wanted = path.stat()
    except OSError:
        return []
    file = (wanted.st_dev, wanted.st_ino)
    numbers = [
        name for name in os.listdir(PROC) if name.isdigit() and _holds_lock(PROC / name, path.name, file)
    ]
    return [Holder(int(name), _program(PROC / name)) for name in numbers]


def _holds_lock(process: Path, file_name: str, wanted: tuple[int, int]) -> bool:
    try:
        descriptors = os.listdir(process / "fd")
    except OSError:
        return False
    for number in descriptors:
        # A descriptor may be closed while it is looked at.
        with contextlib.suppress(OSError):
            # The name first: a stat of whatever else is open there could hang.
            if os.path.basename(os.readlink(process / "fd" / number)) != file_name:
                continue
            found = os.stat(process / "fd" / number)
            if (found.st_dev, found.st_ino) == wanted and "FLOCK" in (
                process / "fdinfo" / number
            ).read_text():
                return True
    return False


def _program(process: Path) -> str:
    """Its name alone: arguments may hold secrets (threats.md T29)."""
    try:
        return (process / "comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def _look(argv: Sequence[str]) -> Finished | None:
    path = os.environ.get("PATH", os.defpath) + ":/usr/bin:/bin:/usr/sbin:/sbin"
    env = {"PATH": path, "LC_ALL": "C", "TZ": "UTC"}
    try:
        return Runner().run(Command(argv, argv[0], Path("/"), env, LOOK_SECONDS))
    except NewleafError:
        return None
