"""A daemon with `newleaf.Updater` inside: what its loop notices, how soon an order is begun, what it costs.

Rules: how long the loop stood still is measured from inside, by a beat every 5 ms, through a whole update to
the moment at which the process leaves; an order is begun when the journal says `fetch`; what the updater
costs is the difference to the same daemon without it, over the same seconds, side by side.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from bench.facts import NUMBERS, Fact, Facts, measure_all
from bench.ground import Ground
from bench.measure import DidNotWork
from bench.web_app import wait_until
from newleaf.system import files
from tests.support.repositories import Checkout

NAME = "embedded"
HEAD = "a daemon that embeds newleaf"
DAEMON = Path(__file__).with_name("embedded_daemon.py")
SECRET = "a secret of the bench"  # noqa: S105 - it protects nothing
DAY_SECONDS = 86_400
MIB = 1 << 20
MUST_STALL_MS, MUST_NOTICE_SECONDS = 50.0, 2.0
LIMIT_SECONDS = 60.0

__all__ = ["HEAD", "NAME", "NUMBERS", "Measured", "measure"]


@dataclass(frozen=True)
class Scale:
    """How often, and for how long."""

    times: int
    idle_seconds: float


FULL, QUICK = Scale(10, 60.0), Scale(2, 5.0)


class Measured(Facts):
    """What came of it."""

    head = HEAD


def measure(ground: Ground, *, quick: bool) -> Measured:
    """Measures one after another."""
    scale = QUICK if quick else FULL
    publish_daemon(ground)
    kinds = (_stalls, _notices, _costs)
    return Measured(*measure_all(NAME, [partial(kind, ground, scale) for kind in kinds]))


def publish_daemon(ground: Ground) -> None:
    """The daemon is of the app: newleaf finds the app by where its program lies."""
    ground.remote.commit({DAEMON.name: DAEMON.read_text("utf-8")}, "A daemon")


@dataclass
class Daemon:
    """The daemon of one kind, in a checkout of its own; started again when it has left for a restart."""

    ground: Ground
    kind: str
    checkout: Checkout
    also: Mapping[str, str] = field(default_factory=dict)
    """More variables of its environment."""
    port: int = 0
    _process: subprocess.Popen[str] | None = field(default=None, init=False)

    @classmethod
    @contextlib.contextmanager
    def running(cls, ground: Ground, kind: str, name: str, **also: str) -> Iterator[Daemon]:
        """From when it is ready to its end."""
        daemon = cls(ground, kind, ground.clone(f"embedded-{name}", synced=True), also)
        (ground.folder / "secret").write_text(SECRET)
        (ground.folder / "secret").chmod(0o600)
        daemon.start()
        try:
            yield daemon
        finally:
            daemon.end()

    @property
    def environment(self) -> dict[str, str]:
        return self.ground.deployed(self.checkout) | {
            "NEWLEAF_KEEPER": "1",
            "NEWLEAF_RESTART__MODE": "exit",
            "NEWLEAF_RESTART__BUDGET": "1000 in 30m",
            "NEWLEAF_WATCH__POLL_SECONDS": "3600",
            "NEWLEAF_CHAT__CHATS": "[1]",
            "NEWLEAF_HTTP__WEBHOOK_SECRET_FILE": str(self.ground.folder / "secret"),
            "NEWLEAF_HEALTH__PROBATION": "0.3",
            **self.also,
        }

    @property
    def state(self) -> Path:
        return Path(self.environment["NEWLEAF_STATE_DIR"])

    def start(self) -> None:
        """Raises: DidNotWork when it is not ready."""
        self._process = subprocess.Popen(
            (sys.executable, str(self.checkout.path / DAEMON.name), self.kind),
            cwd=self.checkout.path,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        word, _, port = self.hear().partition(" ")
        if word != "ready":
            self.end()
            raise DidNotWork(f"the daemon says {word!r} instead of ready")
        self.port = int(port)

    def tell(self, word: str) -> None:
        assert self._process
        assert self._process.stdin
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        """The next line that it says."""
        assert self._process
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def ask(self, word: str) -> str:
        self.tell(word)
        return self.hear()

    def cost(self) -> tuple[float, float]:
        """Seconds of processor time that it has taken, and bytes that it holds."""
        seconds, resident = self.ask("cost").split()
        return float(seconds), float(resident)

    def await_restart(self) -> None:
        """It leaves for the new release, and comes again. Raises: DidNotWork."""
        assert self._process
        try:
            code = self._process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise DidNotWork("the daemon does not leave for its update") from error
        if code != 42:
            raise DidNotWork(f"the daemon left with {code}")
        self.end()
        self.start()
        wait_until(lambda: self.records()[-1]["state"] == "done", "the update is not confirmed")

    def await_end(self) -> float:
        """When it has ended. Raises: DidNotWork."""
        assert self._process
        try:
            self._process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise DidNotWork("the daemon does not end") from error
        return time.time()

    def entered(self, state: str) -> float:
        """When an attempt last entered a state, by the journal."""
        at = [record["at"] for record in self.records() if record["state"] == state]
        return datetime.fromisoformat(at[-1]).timestamp()

    def records(self) -> list[dict[str, str]]:
        """The journal."""
        path = self.state / "journal.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines] or [{"state": ""}]

    def end(self) -> None:
        if self._process:
            with self._process as process:
                process.kill()


# --- the loop ---------------------------------------------------------------------------


def _stalls(ground: Ground, scale: Scale) -> list[Fact]:
    """The longest time that the loop stood still while an update was made."""
    found: dict[str, list[float]] = {"doors": [], "script": [], "bare": []}
    beat = ground.folder / "home" / "beat"
    with (
        Daemon.running(ground, "doors", "stalls") as embedded,
        Daemon.running(ground, "script", "stalls-script") as script,
        Daemon.running(ground, "bare", "stalls-bare") as bare,
    ):
        for _ in range(scale.times):
            commit = ground.publish()
            for daemon in (script, bare):
                daemon.tell("watch")
                time.sleep(0.1)
                daemon.ask("beat")
                if daemon is script:
                    daemon.ask("pull")
                else:
                    time.sleep(1.0)
                found[daemon.kind].append(float(daemon.ask("beat")))
            time.sleep(0.2)
            beat.unlink(missing_ok=True)
            embedded.tell("watch")
            _write_signal(embedded, commit)
            embedded.await_restart()
            found["doors"].append(float(beat.read_text()))
    return [
        Fact("longest stall of the loop in an update, Updater, median", _median(found["doors"]), "ms"),
        Fact("the same, longest of all", max(found["doors"]), "ms", MUST_STALL_MS),
        Fact("git pull && uv sync called in the loop, median", _median(found["script"]), "ms"),
        Fact("no update at all, for a second, median", _median(found["bare"]), "ms"),
    ]


# --- from an order to its beginning -----------------------------------------------------


def _notices(ground: Ground, scale: Scale) -> list[Fact]:
    """From an order to the start of fetching."""
    facts = []
    orders: dict[str, Callable[[Daemon, str], None]] = {
        "signal file": _write_signal,
        "webhook": _deliver,
        "chat": lambda daemon, _: daemon.tell("chat"),
    }
    with Daemon.running(ground, "doors", "notices") as daemon:
        for name, give in orders.items():
            took = []
            for _ in range(scale.times):
                time.sleep(0.5)
                commit = ground.publish()
                began = time.time()
                give(daemon, commit)
                daemon.await_restart()
                took.append(daemon.entered("fetch") - began)
            most = MUST_NOTICE_SECONDS if name == "signal file" else None
            facts.append(Fact(f"{name} to the start of fetching, median", _median(took), "s", most))
    return facts


def _write_signal(daemon: Daemon, commit: str) -> None:
    current = daemon.checkout.id_of()
    record = {"current": current, "available": commit, "channel": "alpha"}
    files.write_record(daemon.state / "update_available.json", record)


def _deliver(daemon: Daemon, commit: str) -> None:
    body = json.dumps({"ref": f"refs/heads/{daemon.ground.remote.branch}", "after": commit}).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    request = urllib.request.Request(
        f"http://127.0.0.1:{daemon.port}/newleaf/webhook/github",
        body,
        {
            "Content-Type": "application/json",
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": commit,
            "X-Hub-Signature-256": f"sha256={signature}",
        },
    )
    with urllib.request.urlopen(request, timeout=LIMIT_SECONDS) as answer:
        said = json.load(answer)
    if answer.status != 202:
        raise DidNotWork(f"the webhook answers {said}")


# --- what it costs ----------------------------------------------------------------------


def _costs(ground: Ground, scale: Scale) -> list[Fact]:
    """What an idle updater takes, beside the same daemon without one."""
    spent, size = {}, {}
    with (
        Daemon.running(ground, "updater", "idle") as embedded,
        Daemon.running(ground, "bare", "idle-bare") as bare,
    ):
        time.sleep(2.0)
        before = {daemon.kind: daemon.cost()[0] for daemon in (embedded, bare)}
        time.sleep(scale.idle_seconds)
        for daemon in (embedded, bare):
            after, size[daemon.kind] = daemon.cost()
            spent[daemon.kind] = (after - before[daemon.kind]) * DAY_SECONDS / scale.idle_seconds
    return [
        Fact("an idle Updater, a day", spent["updater"] - spent["bare"], "CPU-s"),
        Fact("an idle daemon resident, with Updater", size["updater"] / MIB, "MiB"),
        Fact("the same without", size["bare"] / MIB, "MiB"),
    ]


def _median(values: list[float]) -> float:
    return statistics.median(values)
