"""A whole deployment for end-to-end tests: a remote, a checkout of it, a home, and `newleaf` as a program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.repositories import Checkout, Content, Remote, Script

NEWLEAF = (sys.executable, "-m", "newleaf")
LIMIT_SECONDS = 60.0
KILL_AT = "NEWLEAF_TEST_KILL_AT"
KILLER = Path(__file__).with_name("killed_newleaf.py")

DAEMON = """\
import os, signal, sys, time
import newleaf

stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
newleaf.ready()
with open(os.path.expanduser("~/serving"), "w") as serving:
    serving.write(str(os.getpid()))
flag = os.path.join(os.environ["NEWLEAF_STATE_DIR"], "restart-requested")
while not stop:
    if os.path.exists(flag):
        sys.exit(42)
    time.sleep(0.02)
"""


def wait_until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """The first true answer of `condition`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError("it did not come true in time")


def settings_text(name: str = "sessions", **tables: Mapping[str, object]) -> str:
    """A newleaf.toml; dependencies are left out unless a test is about them."""
    merged: dict[str, dict[str, object]] = {"app": {"name": name}, "update": {"install": "none"}}
    merged["restart"] = {"mode": "none"}
    for table, content in tables.items():
        merged.setdefault(table, {}).update(content)
    lines = []
    for table, content in merged.items():
        lines.append(f"[{table}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in content.items()]
    return "\n".join(lines) + "\n"


@dataclass
class Answer:
    """What one call of `newleaf VERB --json` said."""

    code: int
    record: dict[str, Any]
    errors: str

    @property
    def outcome(self) -> str:
        return str(self.record.get("outcome"))


@dataclass
class Deployment:
    """One host with one app."""

    folder: Path
    remote: Remote
    checkout: Checkout
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path, files: Mapping[str, Content] | None = None, **tables: Any) -> Deployment:
        """An app at version 1.0.0, cloned; `tables` are of its newleaf.toml."""
        remote = Remote.make(folder)
        first: dict[str, Content] = {
            "newleaf.toml": settings_text(**tables),
            "pyproject.toml": '[project]\nname = "sessions"\nversion = "1.0.0"\n',
            "app.py": "print('1.0.0')\n",
            **(files or {}),
        }
        remote.commit(first, "Version 1.0.0")
        remote.tag("v1.0.0")
        (folder / "home").mkdir()
        return cls(folder, remote, remote.clone(folder / "app"))

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def state(self) -> Path:
        return self.home / ".sessions"

    @property
    def app(self) -> Path:
        """Where what is live lies."""
        return self.checkout.path

    def release(self, version: str, files: Mapping[str, Content] | None = None) -> str:
        """Publishes a version: a commit on the branch, and its tag."""
        content: dict[str, Content] = {
            "pyproject.toml": f'[project]\nname = "sessions"\nversion = "{version}"\n',
            "app.py": f"print('{version}')\n",
            **(files or {}),
        }
        commit = self.remote.commit(content, f"Version {version}")
        self.remote.tag(f"v{version}")
        return commit

    def host_settings(self, text: str) -> None:
        """Writes host.toml."""
        self.state.mkdir(mode=0o700, exist_ok=True)
        (self.state / "host.toml").write_text(text)

    @property
    def variables(self) -> dict[str, str]:
        passed = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG") if name in os.environ}
        scripts = str(Path(sys.executable).parent)
        path = f"{scripts}{os.pathsep}{passed.get('PATH', os.defpath)}"
        return {**passed, "PATH": path, "HOME": str(self.home), **self.environment}

    @staticmethod
    def words(*arguments: str) -> list[str]:
        """The words of a call."""
        return [*NEWLEAF, *arguments]

    def start(
        self,
        *arguments: str,
        kill_at: str | None = None,
        program: Sequence[str] = NEWLEAF,
        folder: Path | None = None,
        before: Callable[[], None] | None = None,
    ) -> subprocess.Popen[str]:
        """`newleaf` in the checkout; `kill_at` names the write at which it kills itself.

        `program` and `folder` are others to start, and to stand in; `before` is called in the child.
        """
        return subprocess.Popen(
            [*(program if kill_at is None else (sys.executable, str(KILLER), kill_at)), *arguments],
            cwd=folder or self.app,
            env=self.variables,
            preexec_fn=before,  # noqa: PLW1509 - a limit on the child alone; it starts no thread
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **how: Any) -> Answer:
        """Calls a verb with --json and waits for its end; `how` as in `start`."""
        process = self.start(*arguments, "--json", **how)
        try:
            output, errors = process.communicate(timeout=LIMIT_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        record = json.loads(output) if output.strip() else {}
        return Answer(process.returncode, record, errors)

    def text(self, *arguments: str) -> tuple[int, str, str]:
        """Calls a verb for people: exit code, output, errors."""
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=LIMIT_SECONDS)
        return process.returncode, output, errors

    def head(self) -> str:
        """The commit that is checked out."""
        return str(self.checkout.id_of())

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The records of an append-only file of the state directory."""
        path = self.state / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def record(self, name: str) -> dict[str, Any]:
        """A record of the state directory."""
        content: dict[str, Any] = json.loads((self.state / name).read_text())
        return content

    def states(self) -> list[str]:
        """The states that the journal has, in order."""
        return [line["state"] for line in self.lines("journal.jsonl")]

    def launch_daemon(self) -> subprocess.Popen[str]:
        """Starts `daemon.py` of what is live."""
        return subprocess.Popen(
            [sys.executable, "daemon.py"],
            cwd=self.app,
            env=self.variables | {"NEWLEAF_STATE_DIR": str(self.state)},
            text=True,
        )

    def start_daemon(self) -> subprocess.Popen[str]:
        """Starts `daemon.py` of what is live and waits until it has reported itself."""
        process = self.launch_daemon()
        path = self.state / "daemon.pid"
        wait_until(lambda: path.exists() and self.record("daemon.pid")["pid"] == process.pid)
        wait_until((self.state / "status.json").exists)
        if "~/serving" in (self.app / "daemon.py").read_text():
            # Only then is everything told: the pid comes first, the history's line later.
            serving = self.home / "serving"
            wait_until(lambda: serving.exists() and serving.read_text() == str(process.pid))
        return process


@dataclass
class SlotDeployment(Deployment):
    """One host with release slots, which nobody's checkout is needed for."""

    @classmethod
    def make(cls, folder: Path, files: Mapping[str, Content] | None = None, **tables: Any) -> SlotDeployment:
        """An app whose version 1.0.0 is live; `tables` are of its newleaf.toml."""
        made = super().make(folder, files, **tables)
        assert isinstance(made, SlotDeployment)
        made.init()
        return made

    def init(self, *arguments: str) -> Answer:
        """`newleaf init --slots --from` the remote."""
        answer = self.run("init", "--slots", "--from", self.remote.url, *arguments, folder=self.home)
        assert answer.code == 0, answer
        return answer

    @property
    def app(self) -> Path:
        return self.state / "current"

    def head(self) -> str:
        """The commit that is live."""
        return self.app.resolve().name

    def slot(self, commit: str) -> Path:
        """Where a release lies."""
        return self.state / "releases" / commit

    def slots(self) -> set[str]:
        """The releases on the disk."""
        return set(os.listdir(self.state / "releases"))


def migration(body: str, check: str = "return False") -> Script:
    """A migration's file."""
    return Script(f"def check():\n    {check}\n\n\ndef migrate():\n    {body}\n    return True\n")
