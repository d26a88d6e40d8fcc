"""`newleaf`, watched at every write, rename, fsync and command, and hurt at one.

`observed_newleaf.py PLAN ARGUMENT…`; PLAN is JSON: `trace`, the file that gets a line for each event,
`journal`, and a `fault`, if any. A fault has a `state` of the journal (None for any) and a number: it strikes
at the `nth` event that happens while the journal says so. Where `among` is "fsyncs" only these are counted,
where it is "rest" all but these; the fsync of a line that was appended is no such fsync, because the line is
there by then. With `event` and `name` only those are counted.

What it does is `kill`, by SIGKILL to this process's group and to every child's, as a power cut would; or it
is the name of an errno, which is raised there (and at every later event when it is `lasting`).
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from newleaf.cli.main import run
from newleaf.system import commands, files

BEGIN = "begin"
"""The state before this process has written a record of its own, unless an attempt was open already."""
OPEN = (
    "fetch",
    "verify",
    "stage",
    "wait",
    "snapshot",
    "install",
    "migrate",
    "activate",
    "restart",
    "confirm",
    "revert",
)
CHANGING = (
    "git fetch",
    "git read-tree",
    "git update-index",
    "git checkout-index",
    "git update-ref",
    "git stash",
    "uv sync",
    "the migrations",
    "restart.command",
)
"""A kill before any other command is the same as one before the next of these."""


class Observer:
    """Notes each event, and strikes at the chosen one."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.trace = os.open(plan["trace"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.journal = Path(plan["journal"])
        self.fault: dict[str, Any] = plan.get("fault") or {}
        self.children: list[subprocess.Popen[bytes]] = []
        self.before = self.records()
        self.seen = 0
        self.struck = False

    def records(self) -> list[str]:
        """The states in the journal, a torn last line left out."""
        text = self.journal.read_text() if self.journal.exists() else ""
        return [json.loads(line)["state"] for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def state(self) -> str:
        """What the journal says now."""
        records = self.records()
        last = records[-1] if records else BEGIN
        return BEGIN if records == self.before and last not in OPEN else last

    def event(self, event: str, path: Path) -> None:
        """Before something happens."""
        state = self.state()
        entry = {"event": event, "name": path.name, "state": state, "kind": kind_of(event, path)}
        if (event, path.name) == ("rename", "status.json"):
            entry["word"] = published_by_this(path)
        os.write(self.trace, json.dumps(entry).encode() + b"\n")
        if self.is_due(state, event, path):
            self.strike(path)

    def is_due(self, state: str, event: str, path: Path) -> bool:
        if not self.fault or threading.current_thread() is not threading.main_thread():
            return False
        if self.struck:
            return bool(self.fault.get("lasting"))
        about = {"among": kind_of(event, path), "event": event, "name": path.name}
        is_counted = all(self.fault.get(key) in (None, value) for key, value in about.items())
        self.seen += is_counted and self.fault["state"] in (None, state)
        self.struck = self.seen == self.fault["nth"]
        return self.struck

    def strike(self, path: Path) -> None:
        does = self.fault["does"]
        if does != "kill":
            number = getattr(errno, does)
            raise OSError(number, os.strerror(number), str(path))
        os.write(self.trace, b'{"event": "killed"}\n')
        for child in self.children:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
        os.killpg(0, signal.SIGKILL)


def kind_of(event: str, path: Path) -> str:
    """Which of the two kinds an event is counted with."""
    return "fsyncs" if event == "fsync" and path.suffix != ".jsonl" else "rest"


def published_by_this(path: Path) -> str:
    """The word in the temporary file that is about to become the status."""
    (temporary,) = path.parent.glob(f".{path.name}.{os.getpid()}.*")
    word: str = json.loads(temporary.read_text())["status"]
    return word


def main() -> int:
    observer = Observer(json.loads(sys.argv[1]))
    spawn = commands._spawn

    def spawn_observed(command: commands.Command) -> subprocess.Popen[bytes]:
        if command.what.startswith(CHANGING):
            observer.event("run", Path(command.what))
        child = spawn(command)
        observer.children.append(child)
        return child

    files.observe = observer.event
    commands._spawn = spawn_observed
    return run(sys.argv[2:])


sys.exit(main())
