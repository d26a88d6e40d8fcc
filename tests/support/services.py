"""Services for tests: what they are made from, and programs that stand in for newleaf and managers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from newleaf.core.services.subject import Subject
from newleaf.core.settings.model import Settings
from newleaf.core.settings.sections import App, Restart

NEWLEAF = """\
import os, signal, socket, sys, time
verb = sys.argv[3]
with open(os.path.join(sys.argv[2], "calls"), "a") as calls:
    calls.write(f"{verb} {os.getpid()} {os.environ.get('LISTEN_FDS', '-')}\\n")
if verb != "run":
    sys.exit(int(os.environ.get("EXIT", "0")) if verb == "update" else 0)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
signal.signal(signal.SIGHUP, lambda *_: os.execv(sys.executable, [sys.executable, *sys.argv]))
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.connect(os.environ["NOTIFY_SOCKET"])
    notify.send(b"READY=1")
while True:
    time.sleep(60)
"""
"""Says which verb was called; `run` is ready at once, and becomes itself again on SIGHUP."""

MANAGER = """\
import json, os, sys
here = os.path.dirname(sys.argv[0])
with open(os.path.join(here, "calls"), "a") as calls:
    calls.write(" ".join([os.path.basename(sys.argv[0]), *sys.argv[1:]]) + "\\n")
answers = json.load(open(os.path.join(here, "answers.json")))
words = [word for word in sys.argv[1:] if not word.startswith("--")]
status, text = answers.get(" ".join(words[:1] + words[-1:]), answers.get(words[0], [0, ""]))
print(text)
if status:
    print("it is not so", file=sys.stderr)
sys.exit(status)
"""
"""`systemctl`, `loginctl` or `launchctl`: notes each call, and answers what it was told to."""


def subject(
    state: Path, *, restart: Restart | None = None, command: tuple[str, ...] = ("app",), **facts: Any
) -> Subject:
    """An app called sessions; `listen` and `stop_seconds` are of its settings."""
    app: dict[str, Any] = {"name": "sessions", "command": command or None}
    app |= {key: facts.pop(key) for key in ("name", "listen", "stop_seconds") if key in facts}
    settings = Settings(app=App(**app), restart=restart or Restart())
    usual: dict[str, Any] = {
        "newleaf": ("/opt/newleaf/bin/newleaf",),
        "folder": state / "current",
        "user": "app",
        "home": Path("/home/app"),
        "search": "/opt/newleaf/bin:/usr/bin",
        "command": command,
        "variables": {"NEWLEAF_STATE_DIR": str(state), "PYTHONPATH": str(state / "current")},
    }
    return Subject(settings, state=state, **{**usual, **facts})


def write_program(path: Path, code: str) -> Path:
    """A Python program that can be run by its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable} -S\n{code}")
    path.chmod(0o755)
    return path


def write_newleaf(path: Path) -> tuple[str, ...]:
    """A program that stands in for newleaf, by its whole path."""
    return (str(write_program(path, NEWLEAF)),)


class Managers:
    """Stand-ins for the programs of service managers, in a folder for PATH."""

    def __init__(self, folder: Path, *programs: str) -> None:
        self.folder = folder
        for program in programs:
            write_program(folder / program, MANAGER)
        self.answer({})

    def answer(self, answers: dict[str, tuple[int, str]]) -> None:
        """From now on a call is answered so: exit status and text, by first and last word, or first."""
        (self.folder / "answers.json").write_text(json.dumps(answers))

    def calls(self) -> list[str]:
        """What was called since the last look, without options that are always there."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line.replace(" --no-ask-password", "").replace(" --no-pager", "") for line in lines]
