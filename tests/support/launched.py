"""A deployment whose daemon runs under a real `newleaf run`; everything is waited for by what is seen."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from newleaf.core.errors import NewleafError
from newleaf.system import process_table
from newleaf.system.control_socket import ask_launcher
from newleaf.update.history import History
from tests.support.deployment import NEWLEAF, Answer, Deployment, SlotDeployment, wait_until
from tests.support.load import ask
from tests.support.served_app import conduct

SOCKET = "unix:app.sock"
NOTHING = ""
"""An app that listens nowhere, by its settings."""
COMMAND = [sys.executable, "serve.py"]
QUICK: dict[str, Any] = {"ready": 5, "probation": 0.3}


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder for state directories: what pytest makes leaves no room for a unix socket's path."""
    folder = Path(tempfile.mkdtemp(prefix="nl-")).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Launched:
    """One host, its app, and the launcher that runs it now."""

    deployment: Deployment
    process: subprocess.Popen[bytes] | None = None
    started: dict[int, str] = field(default_factory=dict)

    # --- the launcher -------------------------------------------------------------------

    def launch(self, *words: str, before: Callable[[], None] | None = None, **env: str) -> None:
        """`newleaf run`, until its control socket answers, or it has ended."""
        with (self.deployment.folder / "run.out").open("ab") as output:
            self.process = subprocess.Popen(
                [*NEWLEAF, "run", *words],
                cwd=self.deployment.app,
                env={**self.deployment.variables, **env},
                preexec_fn=before,  # noqa: PLW1509 - a limit on the child alone; it starts no thread
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        pid = self.process.pid
        wait_until(lambda: self.has_ended or self.status().get("pid") == pid)

    @property
    def has_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    @property
    def pid(self) -> int:
        """Of the launcher."""
        assert self.process is not None
        return self.process.pid

    def tell(self, number: signal.Signals) -> None:
        """Sends the launcher a signal."""
        os.kill(self.pid, number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signals the launcher and waits for its end; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=20)

    @property
    def output(self) -> str:
        """All that launchers and daemons have said so far."""
        path = self.deployment.folder / "run.out"
        return path.read_text(errors="replace") if path.exists() else ""

    def says(self, text: str, times: int = 1) -> None:
        """Waits until it says this."""
        try:
            wait_until(lambda: self.output.count(text) >= times)
        except AssertionError as error:
            raise AssertionError(f"{text!r} is not in {self.output!r}") from error

    def status(self) -> dict[str, Any]:
        """What the launcher knows; empty where none answers."""
        try:
            return ask_launcher(self.state) or {}
        except NewleafError:
            return {}

    # --- the daemon ---------------------------------------------------------------------

    @property
    def state(self) -> Path:
        return self.deployment.state

    @property
    def socket(self) -> Path:
        return self.state / "app.sock"

    @property
    def serving(self) -> dict[str, Any]:
        """The process that serves, as the launcher sees it; empty where none does."""
        children = self.status().get("children", [])
        return next((child for child in children if child["role"] == "serving"), {})

    @property
    def starts(self) -> list[tuple[int, str]]:
        """Process id and version of each start of the daemon."""
        return [(int(words[0]), words[1]) for words in self._noted("starts")]

    @property
    def versions(self) -> list[str]:
        """The version of each start."""
        return [version for _, version in self.starts]

    def starts_of(self, version: str, times: int) -> None:
        """Waits until it was started so often."""
        wait_until(lambda: self.versions.count(version) == times)

    def times(self, name: str) -> list[float]:
        """When each start, or each end that the daemon saw coming, was."""
        return [float(words[2 if name == "starts" else 1]) for words in self._noted(name)]

    def _noted(self, name: str) -> list[list[str]]:
        path = self.state / name
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def alive(self) -> list[int]:
        """The daemon's processes that live."""
        found = {pid: process_table.find(pid) for pid, _ in self.starts}
        return [pid for pid, process in found.items() if process and not process.is_zombie]

    def confirmed(self, commit: str | None = None) -> bool:
        """Whether the launcher has confirmed what is live, or `commit`, and nothing is on trial."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            counters = json.loads((self.state / "launcher-state.json").read_text())["counters"]
            wanted = commit or self.deployment.head()
            return bool(counters["confirmed"] == wanted and counters["commit"] is None)
        return False

    def await_confirmed(self, commit: str | None = None) -> None:
        """Waits for it."""
        try:
            wait_until(lambda: self.confirmed(commit))
        except AssertionError as error:
            raise AssertionError(self.output) from error

    def await_serving(self, version: str) -> None:
        """Waits until this version serves, and has been seen to be ready."""
        try:
            wait_until(lambda: self.serving.get("version") == version and self.serving["ready"])
        except AssertionError as error:
            raise AssertionError(self.output) from error

    def ask(self, path: str = "/") -> str:
        """One request."""
        return ask(self.socket, path)

    def ask_in_vain(self, path: str) -> None:
        """A request by which the process that takes it ends."""
        with contextlib.suppress(OSError):
            raise AssertionError(f"it answered {self.ask(path)!r}")

    # --- the app ------------------------------------------------------------------------

    def release(self, version: str, *words: str, **files: Any) -> str:
        """Publishes a version that behaves so."""
        return self.deployment.release(version, {**conduct(version, *words), **files})

    def with_probation(self, seconds: float) -> dict[str, str]:
        """A newleaf.toml for a release that is judged for so long."""
        text = (self.deployment.app / "newleaf.toml").read_text()
        return {"newleaf.toml": re.sub(r"(?m)^probation = .*$", f"probation = {seconds}", text)}

    def update(self, *words: str, **how: Any) -> Answer:
        """`newleaf update --json`."""
        return self.deployment.run("update", *words, **how)

    def verb(self, *words: str) -> Answer:
        """Another verb, with --json."""
        return self.deployment.run(*words)

    def updating(self, *words: str) -> subprocess.Popen[str]:
        """`newleaf update`, which goes on."""
        return self.deployment.start("update", "--json", *words)

    def history(self) -> list[tuple[str, str | None]]:
        """Outcome and target of each ended attempt."""
        entries = History(self.state / "history.jsonl").entries()
        return [(entry.outcome, entry.target.version if entry.target else None) for entry in entries]

    def await_history(self, outcome: str, version: str) -> None:
        """Waits until it has this line."""
        try:
            wait_until(lambda: (outcome, version) in self.history())
        except AssertionError as error:
            raise AssertionError(f"{self.history()} {self.output}") from error

    def published(self) -> dict[str, Any]:
        """`status.json`, as far as there is one."""
        path = self.state / "status.json"
        return self.deployment.record("status.json") if path.exists() else {"status": None}

    def clean_up(self) -> None:
        """Ends every process that the launcher has started, each by its number and start time."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(OSError, ValueError):
            for noted in json.loads((self.state / "launcher-state.json").read_text())["processes"]:
                process_table.end_group(noted["pid"], str(noted["started"]), 0.0)
        for pid in self.alive():
            os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def launched(
    *words: str,
    slots: bool = True,
    first: Sequence[str] = (),
    files: dict[str, Any] | None = None,
    run: Sequence[str] = ("--no-agent",),
    start: bool = True,
    environment: Mapping[str, str] | None = None,
    **tables: Any,
) -> Iterator[Launched]:
    """An app at 1.0.0 that behaves by `first`, confirmed; not even launched where `start` is False.

    `words` are for `app.listen`, `run` and `environment` for `newleaf run`, `tables` for newleaf.toml.
    """
    kind = SlotDeployment if slots else Deployment
    listen = [word for word in words or (SOCKET,) if word != NOTHING]
    app = {"command": COMMAND, "listen": listen, "stop_seconds": 5, **tables.pop("app", {})}
    given: dict[str, Any] = {"health": {**QUICK, **tables.pop("health", {})}}
    given["restart"] = {"mode": "launcher", **tables.pop("restart", {})}
    given["update"] = {"preflight": False, **tables.pop("update", {})}
    with short_folder() as folder:
        first_files = {**conduct("1.0.0", *first), **(files or {})}
        one = Launched(kind.make(folder, first_files, app=app, **given, **tables))
        try:
            if start:
                one.launch(*run, before=None, **(environment or {}))
                one.await_confirmed()
                # From then on its program holds no lock.
                one.await_history("started", "1.0.0")
            yield one
        finally:
            one.clean_up()
