"""The demo's act under the launcher: a web server with release slots is updated under constant load.

Three releases are good, one is not. What is claimed is counted by those who send the requests.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import Any

from newleaf.cli.demo.demo_host import Host
from newleaf.cli.demo.load import HOST, Load
from newleaf.cli.demo.maintainer import Maintainer
from newleaf.cli.demo.proofs import Check
from newleaf.cli.demo.sandbox import Sandbox, wait_until
from newleaf.cli.demo.screen import LiveLine, Screen
from newleaf.cli.demo.service import Service, kept
from newleaf.core.errors import DemoStuck

WEB = Path(__file__).parent / "web"
PER_SECOND = 200
FIRST, *GOOD = "1.0.0", "1.1.0", "1.2.0", "1.3.0"
BAD = "1.4.0"
TROUBLE = 'raise RuntimeError("this release does not start")\n'
SUBJECTS = {BAD: "A release that does not start"}
TOO_LONG_SECONDS = 5.0
SHOWN_LINES = 2


@dataclass(frozen=True)
class WebHost(Host):
    """The host, as far as its web server is concerned: newleaf is called in the release that is live."""

    app: str = "web"

    @property
    def checkout(self) -> Path:
        return self.state / "current"


@dataclass(frozen=True)
class UnderLoad:
    """Who plays a part, and where the checks go."""

    screen: Screen
    checks: dict[str, list[Check]]
    host: WebHost
    maintainer: Maintainer
    load: Load

    @classmethod
    def make(cls, sandbox: Sandbox, screen: Screen, checks: dict[str, list[Check]]) -> UnderLoad:
        """A web server that nobody knows yet, on a port that is free."""
        port = _free_port()
        python = sandbox.environment["UV_PYTHON"]
        maintainer = Maintainer(sandbox, {"python": python, "port": str(port)}, app="web")
        return cls(screen, checks, WebHost(sandbox, screen), maintainer, Load(port, PER_SECOND))

    def perform(self, live: LiveLine) -> None:
        """The act.

        Raises: DemoStuck, CommandFailed, CommandTimedOut.
        """
        self.screen.title(
            "5. A web server under the launcher: constant load, three good releases and a bad one"
        )
        self._deploy()
        with self._launched(), self.load.running(), live.showing(self.counted):
            wait_until(lambda: self.load.served, "the web server to answer")
            self.screen.note(f"{PER_SECOND} requests a second, each on a connection of its own")
            for version in GOOD:
                self._update(version)
                if not live.is_drawn:
                    self.screen.note(self.counted())
            commit = self._update(BAD, expected=6)
            self._check_bad_release(commit)
        self.screen.note(self.counted())
        self._check_requests()
        finished = self.host.newleaf("history")
        self._check_stories(finished.status)

    def counted(self) -> str:
        """The load so far."""
        served, longest = f"{self.load.served:,} requests served", self.load.longest_seconds * 1000
        return f"{served}, {self.load.failed} failed, longest wait {longest:.0f} ms"

    # --- what is done -------------------------------------------------------------------

    def _deploy(self) -> None:
        sandbox, remote = self.host.sandbox, self.maintainer.remote
        self.maintainer.set_up()
        self._publish(FIRST)
        words = ["init", "--slots", "--from", str(remote), "--channel", "beta", "--yes"]
        self.screen.command(["newleaf", *words])
        sandbox.run(*self.host.program, *words, cwd=sandbox.folder)

    @contextlib.contextmanager
    def _launched(self) -> Iterator[None]:
        """The launcher, kept by the service manager, with the daemon that it starts; all gone in the end."""
        service = Service(self.host.checkout, self.host.sandbox.folder / "web.jsonl")
        self.screen.command(["newleaf", "run"])
        self.screen.note("it binds the address once; every release gets the socket from it")
        argv = [*self.host.program, "run", "--no-agent"]
        with kept(self.host.sandbox, service.events_file, argv, service.checkout):
            try:
                wait_until(lambda: self._serves() or service.events("ended"), "the launcher to serve")
                if service.events("ended"):
                    raise DemoStuck(reason="the launcher does not start")
                yield
            finally:
                for pid in {each["pid"] for each in self._answers()}:
                    self.host.sandbox.note_group(pid)

    def _publish(self, version: str) -> str:
        facts = {**self.maintainer.facts, "version": version, "trouble": TROUBLE if version == BAD else ""}
        names = ("newleaf.toml", "serve.py")
        texts = {name: Template((WEB / f"{name}.txt").read_text()).substitute(facts) for name in names}
        self.maintainer.write(texts)
        return self.maintainer.push(version, SUBJECTS.get(version, f"Version {version}"))

    def _update(self, version: str, expected: int = 0) -> str:
        commit = self._publish(version)
        finished = self.host.newleaf("update", lines=SHOWN_LINES)
        claim = "kept" if expected == 0 else "bad_gone"
        self.check(claim, f"exit of {version}", expected, finished.status)
        return commit

    # --- what is looked at --------------------------------------------------------------

    def check(self, claim: str, what: str, expected: Any, seen: Any) -> None:
        """Puts down something that was looked at, for or against a claim."""
        self.checks[claim].append(Check(what, expected, seen))

    def _check_requests(self) -> None:
        by_version = Counter(each["version"] for each in self._answers())
        longest = self.load.longest_seconds
        said = f"{self.load.served:,} requests served, the longest wait {longest * 1000:.0f} ms"
        self.check("kept", said, True, 0 < longest < TOO_LONG_SECONDS)
        self.check("kept", "failed", 0, self.load.failed)
        self.check("kept", "answered", [FIRST, *GOOD], sorted(by_version))

    def _check_bad_release(self, commit: str) -> None:
        running = (self.host.ask("status")["running"] or {}).get("version")
        self.check("bad_gone", "running", GOOD[-1], running)
        self.check("bad_gone", "its commit is denied", True, commit in self.host.ask("why")["denied"])
        answered = {each["pid"] for each in self._answers() if each["version"] == GOOD[-1]}
        self.check("bad_gone", f"processes of {GOOD[-1]} that answered", 1, len(answered))

    def _check_stories(self, status: int) -> None:
        ended = [
            (each["to"]["version"], each["outcome"])
            for each in self.host.ask("history")["attempts"]
            if each["outcome"] in ("updated", "rolled_back")
        ]
        self.check("stories", "exit", 0, status)
        told = [*((version, "updated") for version in GOOD), (BAD, "rolled_back")]
        self.check("stories", "history says", _spelled(told), _spelled(ended))

    def _answers(self) -> list[dict[str, Any]]:
        return [json.loads(answer.body) for answer in list(self.load.answers)]

    def _serves(self) -> bool:
        """Whether the daemon answers, and not only the launcher listens."""
        connection = http.client.HTTPConnection(HOST, self.load.port, timeout=TOO_LONG_SECONDS)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/")
            return connection.getresponse().status == http.HTTPStatus.OK
        return False


def perform(sandbox: Sandbox, screen: Screen, checks: dict[str, list[Check]]) -> None:
    """The act, with its count drawn anew all the while where somebody watches.

    Raises: DemoStuck, CommandFailed, CommandTimedOut.
    """
    live = LiveLine(screen.write)
    UnderLoad.make(sandbox, replace(screen, write=live.write), checks).perform(live)


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _spelled(told: list[tuple[str, str]]) -> list[str]:
    return [f"{version} {outcome}" for version, outcome in told]
