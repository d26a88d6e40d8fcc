"""What a load on a daemon sees of its updates: newleaf's, and those that people make today.

Rules: the same daemon, the same load, in the same run, one after another; a request that fails is counted,
one that waits is timed from when it was due. Between two updates there is a pause, so that each is alone.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import web_keepers
from bench.ground import Ground
from bench.measure import Absent, DidNotWork
from bench.web_app import WebApp

NAME = "restarts"
HEAD = ("updates under load", "requests", "failed", "p50", "p99", "max", "silence", "must", "met")
NUMBERS = range(1, 7)
PER_SECOND = 275
UPDATES, QUICK_UPDATES = 20, 4
PAUSE_SECONDS = 0.5
LOAD_SECONDS = 30.0
LOAD = Path(__file__).with_name("load.py")

OVERLAP = "newleaf update, overlap"
SEQUENTIAL = "newleaf update, sequential"
BY_HAND = "git pull, stop, start"
PM2 = "git pull, pm2 reload"
HUP = "git pull, gunicorn SIGHUP"
USR2 = "git pull, gunicorn SIGUSR2, SIGTERM"
NONE_FAILED = "0 failed"
P99_MS = 100


@dataclass(frozen=True)
class Way:
    """One way to run the daemon and to update it."""

    name: str
    keep: Callable[[WebApp], AbstractContextManager[web_keepers.Update]]
    handover: str = "overlap"
    must: str = ""


WAYS = (
    Way(OVERLAP, web_keepers.overlap, must=f"{NONE_FAILED}, p99 ≤ {P99_MS} ms"),
    Way(SEQUENTIAL, web_keepers.overlap, handover="sequential", must=NONE_FAILED),
    Way(BY_HAND, web_keepers.by_hand),
    Way(PM2, web_keepers.pm2),
    Way(HUP, web_keepers.gunicorn_hup),
    Way(USR2, web_keepers.gunicorn_usr2),
)


@dataclass(frozen=True)
class Seen:
    """What the load has seen of one way; `failure`: it did not work, or was absent."""

    way: Way
    figures: Mapping[str, Any]
    failure: str = ""
    absent: bool = False

    @property
    def is_met(self) -> bool | None:
        """None where nothing is asked, or nothing is known."""
        if not self.way.must or not self.figures:
            return None
        is_quick = self.figures["p99_ms"] <= P99_MS or "p99" not in self.way.must
        return self.figures["failed"] == 0 and is_quick

    def line(self) -> list[str]:
        """The cells of its row."""
        if not self.figures:
            return [self.way.name, "absent" if self.absent else "FAILED", *[""] * 5, self.way.must, ""]
        waits = (f"{self.figures[key]:,.0f} ms" for key in ("p50_ms", "p99_ms", "max_ms", "silence_ms"))
        count = self.figures["served"] + self.figures["failed"]
        met = {True: "yes", False: "NO", None: ""}[self.is_met]
        return [self.way.name, f"{count:,}", f"{self.figures['failed']:,}", *waits, self.way.must, met]

    def as_record(self) -> dict[str, Any]:
        """The same for programs."""
        said = {"failure": self.failure} if self.failure else {}
        return {"name": self.way.name, **self.figures, **said, "must": self.way.must, "met": self.is_met}


@dataclass(frozen=True)
class Measured:
    """One row for each way."""

    seen: Sequence[Seen] = ()

    @property
    def failures(self) -> list[str]:
        """What was there and did not work."""
        return [
            f"{NAME}: {each.way.name} did not work: {each.failure}"
            for each in self.seen
            if each.failure and not each.absent
        ]

    def lines(self) -> list[list[str]]:
        """The table, its head first; nothing when nothing was measured."""
        return [list(HEAD), *(each.line() for each in self.seen)] if self.seen else []

    def as_record(self) -> list[dict[str, Any]]:
        return [each.as_record() for each in self.seen]


def measure(ground: Ground, *, quick: bool, ways: Sequence[Way] = WAYS) -> Measured:
    """Updates again and again, by each way."""
    updates = QUICK_UPDATES if quick else UPDATES
    return Measured([_see(ground, number, way, updates) for number, way in enumerate(ways)])


def _see(ground: Ground, number: int, way: Way, updates: int) -> Seen:
    if way.name == PM2 and isinstance(ground.pm2, Absent):
        return Seen(way, {}, ground.pm2.reason, absent=True)
    try:
        app = WebApp(ground, f"way{number}", way.handover)
        with way.keep(app) as update, under_load(app.port) as figures:
            time.sleep(PAUSE_SECONDS)
            for _ in range(updates):
                app.publish()
                update()
                app.await_version()
                time.sleep(PAUSE_SECONDS)
        return Seen(way, {"updates": updates, **figures})
    except DidNotWork as error:
        return Seen(way, {}, str(error))


@contextlib.contextmanager
def under_load(port: int) -> Iterator[dict[str, Any]]:
    """The load, while the block runs; what it came to is there afterwards. Raises: DidNotWork."""
    argv = [sys.executable, str(LOAD), str(port), str(PER_SECOND)]
    figures: dict[str, Any] = {}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield figures
            answer, _ = process.communicate(timeout=LOAD_SECONDS)
        finally:
            process.kill()
    if process.returncode != 0 and not answer:
        raise DidNotWork("the load did not come to an end")
    figures.update(json.loads(answer))
