"""The demo's daemon, as the world sees it: kept by a service manager, asked over HTTP, watched."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from newleaf.cli.demo.sandbox import Sandbox, wait_until
from newleaf.core.errors import DemoStuck

KEEPER = Path(__file__).with_name("service_keeper.py")
ASK_SECONDS = 5.0
WATCH_SECONDS = 0.03
STOP_SECONDS = 15.0


@dataclass(frozen=True)
class Service:
    """The daemon in `checkout`; the service manager writes what happens to it to `events_file`."""

    checkout: Path
    events_file: Path

    def ask(self) -> dict[str, Any] | None:
        """What the daemon answers now; None when none answers."""
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            return self._request("GET")
        return None

    def add(self, note: str) -> None:
        """Gives the daemon a note to keep.

        Raises: DemoStuck.
        """
        wait_until(lambda: self._try_add(note), "the daemon to take a note")

    def await_version(self, version: str) -> dict[str, Any]:
        """The daemon's answer, from when it is of this version.

        Raises: DemoStuck.
        """

        def look() -> dict[str, Any] | None:
            answer = self.ask()
            return answer if answer and answer["version"] == version else None

        return wait_until(look, f"the daemon to answer as {version}")

    def events(self, kind: str) -> list[dict[str, Any]]:
        """What has happened to the daemon."""
        lines = self.events_file.read_text().splitlines() if self.events_file.exists() else []
        return [event for event in map(json.loads, lines) if event["event"] == kind]

    def running(self) -> list[int]:
        """The daemons that were started and have not ended."""
        ended = {event["pid"] for event in self.events("ended")}
        return [event["pid"] for event in self.events("started") if event["pid"] not in ended]

    def _try_add(self, note: str) -> bool:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            return bool(self._request("POST", note.encode()))
        return False

    def _request(self, method: str, body: bytes | None = None) -> dict[str, Any]:
        port = json.loads((self.checkout / "data/address.json").read_text())["port"]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ASK_SECONDS)
        try:
            connection.request(method, "/", body)
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer
        finally:
            connection.close()


@contextlib.contextmanager
def kept_running(sandbox: Sandbox, checkout: Path) -> Iterator[Service]:
    """The daemon under its service manager, from its first answer; both are gone in the end.

    Raises: DemoStuck when it never answers.
    """
    service = Service(checkout, sandbox.folder / "service.jsonl")
    daemon = [str(checkout / ".venv/bin/python"), "-m", "notes"]
    with kept(sandbox, service.events_file, daemon, checkout) as keeper:
        try:
            wait_until(lambda: service.ask() or keeper.poll() is not None, "the daemon to answer")
            if keeper.poll() is not None:
                raise DemoStuck(reason="the daemon does not start")
            yield service
        finally:
            for pid in service.running():
                sandbox.note_group(pid)


@contextlib.contextmanager
def kept(
    sandbox: Sandbox, events_file: Path, argv: Sequence[str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """The service manager, which keeps a program running in `folder`; both are gone in the end."""
    with sandbox.started([sys.executable, str(KEEPER), str(events_file), *argv], folder) as keeper:
        try:
            yield keeper
        finally:
            assert keeper.stdin
            keeper.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                keeper.wait(STOP_SECONDS)


@dataclass(frozen=True)
class Sample:
    """What the status said runs, and just after that, what answered."""

    said: str | None
    answer: dict[str, Any] | None

    @property
    def is_ahead(self) -> bool:
        """Whether the status named a newer release than the one that answered."""
        return bool(self.said and self.answer and Version(self.said) > Version(self.answer["version"]))


@dataclass(frozen=True)
class Witness:
    """Looks at the published status and asks the daemon, again and again, as monitoring would."""

    service: Service
    status_file: Path

    @contextlib.contextmanager
    def watching(self) -> Iterator[list[Sample]]:
        """What is seen while the block runs; complete when it has ended."""
        seen: list[Sample] = []
        stop = threading.Event()
        thread = threading.Thread(target=self._watch, args=(seen, stop), name="witness")
        thread.start()
        try:
            yield seen
        finally:
            stop.set()
            thread.join()

    def _watch(self, seen: list[Sample], stop: threading.Event) -> None:
        was_over = False
        while not was_over:
            # The last look is after the end, so that what came last is seen.
            was_over = stop.is_set()
            seen.append(Sample(self._said(), self.service.ask()))
            stop.wait(WATCH_SECONDS)

    def _said(self) -> str | None:
        with contextlib.suppress(OSError, ValueError):
            running = json.loads(self.status_file.read_text())["running"]
            return str(running["version"]) if running else None
        return None
