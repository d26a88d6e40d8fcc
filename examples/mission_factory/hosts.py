"""The hosts of the story: headquarters with its endpoint, and factories, each below a service manager.

What a factory has done is read in what its own handler has written, in git, and in what has become of its
daemon.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from examples.mission_factory.bus import Bus
from examples.mission_factory.endpoint import Operator
from examples.stage.app_maintainer import AppMaintainer
from examples.stage.stage import Stage
from newleaf.cli.demo.demo_host import Host
from newleaf.cli.demo.sandbox import wait_until
from newleaf.cli.demo.service import Service
from newleaf.core.secrets import mask_text

APP = "factory"
HEADQUARTERS = "headquarters"
FACTORIES = ("mill", "kiln", "press")
SCRIPT = "scripts/update_factory.sh"
CAPABILITIES = {"mill": ["flour"], "kiln": ["bricks"], "press": ["juice"]}


@dataclass(eq=False)
class Factory:
    """One factory: its host, and its daemon under a service manager, while it is not switched off."""

    stage: Stage
    host: Host
    service: Service
    _daemon: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def name(self) -> str:
        return self.host.sandbox.folder.name

    def switch_on(self) -> None:
        argv: list[str | Path] = [self.host.checkout / ".venv/bin/python", "-m", APP]
        self._daemon.enter_context(self.stage.keeping(self.host, argv))

    def switch_off(self) -> None:
        self._daemon.close()

    def status(self) -> dict[str, Any]:
        """The status that newleaf has published last."""
        with contextlib.suppress(FileNotFoundError):
            found: dict[str, Any] = json.loads((self.host.state / "status.json").read_text())
            return found
        return {}

    @property
    def version(self) -> str | None:
        """What a live process has reported."""
        return (self.status().get("running") or {}).get("version")

    def ledger(self, what: str) -> list[dict[str, Any]]:
        """What the factory's own handler has written of what it has begun, or made."""
        file = self.host.checkout / "data/ledger.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in map(json.loads, lines) if line["what"] == what]

    def await_made(self, job: str, what: str = "made") -> dict[str, Any]:
        """The ledger's first line of an order. Raises: DemoStuck."""

        def look() -> dict[str, Any] | None:
            return next((line for line in self.ledger(what) if line["order"] == job), None)

        return wait_until(look, f"{self.name} to have {what} {job}")

    def ends(self) -> list[int]:
        """How its daemons have ended so far."""
        return [event["status"] for event in self.service.events("ended")]

    def attempt(self) -> str:
        """The newest attempt, whether it is over or not, by its journal."""
        # The last line may be half written just now.
        journal = (self.host.state / "journal.jsonl").read_text()
        return str(re.findall(r'"attempt": ?"([^"]+)"', journal)[-1])

    def updates_to(self, commit: str) -> int:
        """How many attempts its history has that went there."""
        file = self.host.state / "history.jsonl"
        lines = map(json.loads, file.read_text().splitlines())
        return len({line["attempt"] for line in lines if (line["to"] or {}).get("commit") == commit})


def deploy(stage: Stage, maintainer: AppMaintainer, name: str, bus: Bus) -> Host:
    """A host with the app, and what is its own in host.toml."""
    host = stage.host(name, APP)
    host.clone(maintainer.remote)
    stage.require(host.newleaf("init", "--yes", lines=1).status, "newleaf init")
    fleet = {"redis_url": bus.url, "stream_prefix": bus.prefix}
    more: dict[str, Any] = (
        {"headquarters": True, "ops_tokens_file": "~/ops-tokens.json"}
        if name == HEADQUARTERS
        else {"capabilities": CAPABILITIES[name]}
    )
    lines = ["[fleet]", *(f"{key} = {json.dumps(value)}" for key, value in {**fleet, **more}.items())]
    with (host.state / "host.toml").open("a") as file:
        file.write("\n" + "\n".join(lines) + "\n")
    stage.screen.command(["cat", ">>", str(host.state / "host.toml")])
    stage.screen.output(map(mask_text, lines))
    return host


def build(
    stage: Stage, maintainer: AppMaintainer, name: str, bus: Bus, stack: contextlib.ExitStack
) -> Factory:
    """A factory, switched on until the end of `stack`."""
    host = deploy(stage, maintainer, name, bus)
    stage.require(host.newleaf("update", lines=1).status, "the first update")
    factory = Factory(stage, host, Service(host.checkout, host.sandbox.folder / "service.jsonl"))
    stack.callback(factory.switch_off)
    factory.switch_on()
    return factory


@contextlib.contextmanager
def serving(host: Host) -> Iterator[Operator]:
    """The operator's endpoint, for the length of the block; and an operator who holds a token."""
    argv = ("mission", "token", "create", "--note", "the operator", "--json")
    made = host.sandbox.run(*host.program, *argv, cwd=host.checkout)
    host.screen.command(["newleaf", "mission", "token", "create", "--note", "'the operator'"])
    serve = ("mission", "serve", "--listen", "127.0.0.1:0")
    host.screen.command(["newleaf", *serve, "&"])
    log = host.sandbox.folder / "programs.log"

    def listens() -> str | None:
        found = re.search(r"listens on (http\S+)", log.read_text() if log.exists() else "")
        return found and found[1]

    with host.sandbox.started([*host.program, *serve], host.checkout) as child:
        url = wait_until(listens, "the endpoint to listen")
        host.screen.note(f"the operator's endpoint is at {url}")
        yield Operator(host, f"{url}/api/v1").holding("ops", json.loads(made.stdout)["token"])
        child.send_signal(signal.SIGTERM)
        child.wait(5)
