"""One host's story in the matrix: an update that is hurt, what is true then, and the updates after it."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.kill_matrix.matrix_host import MatrixHost, data_of, leaflet_of, make_host
from tests.kill_matrix.scenarios import Scenario
from tests.kill_matrix.service import Service
from tests.support.data import Look
from tests.support.deployment import Answer, wait_until

PROGRAM = Path(__file__).with_name("observed_newleaf.py")
PATIENCE = 6
"""So many plain updates bring a host to its end, or something is wrong."""
Event = dict[str, Any]
Fault = dict[str, Any]


@dataclass(frozen=True)
class Base:
    """A host at the first release, kept aside; every story begins with a copy of it."""

    host: MatrixHost
    scenario: Scenario
    first: str
    second: str
    kept: Path


class Bench:
    """Makes hosts, always at the same place: git, uv and newleaf note absolute paths."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = folder / "host"
        self._bases: dict[tuple[str, str], Base] = {}
        self._clean: dict[tuple[str, str], Story] = {}

    def clean(self, layout: str, scenario: Scenario) -> Story:
        """The story without a fault, told once."""
        key = (layout, scenario.name)
        if key not in self._clean:
            with self.story(layout, scenario, is_clean=True) as story:
                story.arrive()
                _ = story.ending, story.seconds
            self._clean[key] = story
        return self._clean[key]

    @contextmanager
    def story(self, layout: str, scenario: Scenario, *, is_clean: bool = False) -> Iterator[Story]:
        """A host with a running daemon, about to be updated. What is compared with is made before."""
        base = self._base(layout, scenario)
        if not is_clean:
            self.clean(layout, scenario)
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(base.kept, self.place, symlinks=True)
        deployment = base.host.deployment
        environment = deployment.variables | {"NEWLEAF_STATE_DIR": str(deployment.state)}
        service = Service(base.host.app, environment, deployment.home / "serves")
        try:
            service.await_start(1)
            story = Story(base, service)
            yield story
            story.final_states = story.states
        finally:
            service.stop()

    def _base(self, layout: str, scenario: Scenario) -> Base:
        key = (layout, scenario.name)
        if key not in self._bases:
            shutil.rmtree(self.place, ignore_errors=True)
            made = make_host(layout, self.place, self.folder / "uv-cache", scenario)
            kept = self.folder / f"base-{len(self._bases)}"
            shutil.copytree(self.place, kept, symlinks=True)
            self._bases[key] = Base(made[0], scenario, *made[1:], kept)
        return self._bases[key]


@dataclass(frozen=True)
class Ending:
    """What a host is like when nothing is left to do."""

    live: str
    leaflet: str
    data: Look
    keepsakes: dict[str, object]
    leftovers: set[str]
    halfway: list[str]
    status: str
    running: str | None
    denied: set[str]
    outcomes: list[tuple[str, Any]]
    """The attempts that the history tells, oldest first: outcome, and whether confirmed."""


@dataclass
class Story:
    """Runs `newleaf update` again and again on one host, and remembers what it saw."""

    base: Base
    service: Service
    began: float = field(default_factory=time.monotonic)
    answers: list[Answer] = field(default_factory=list)
    runs: list[list[Event]] = field(default_factory=list)
    hurt_run: int = 0
    final_states: list[str] | None = None
    """Kept when the story is over: the next one takes place on the same ground."""
    cut_at: int | None = None
    """How many states the journal had when the fault struck."""

    def __post_init__(self) -> None:
        self.old_states = len(self.deployment.states())
        self.old_attempts = len(self.deployment.lines("history.jsonl"))
        self.at_first = self.look()

    @property
    def host(self) -> MatrixHost:
        return self.base.host

    @property
    def deployment(self) -> Any:
        return self.base.host.deployment

    @property
    def states(self) -> list[str]:
        """The states that the journal has got in this story."""
        if self.final_states is not None:
            return self.final_states
        return list(self.deployment.states()[self.old_states :])

    @property
    def words(self) -> list[str]:
        """The status words that updates have published, the same word twice running told once."""
        said = [event["word"] for run in self.runs for event in run if "word" in event]
        return [word for at, word in enumerate(said) if at == 0 or said[at - 1] != word]

    def update(self, fault: Fault | None = None, **environment: str) -> Answer:
        """One `newleaf update`."""
        trace = self.deployment.folder / f"trace-{len(self.runs)}"
        journal = self.deployment.state / "journal.jsonl"
        plan = {"trace": str(trace), "journal": str(journal), "fault": fault}
        kept = dict(self.deployment.environment)
        self.deployment.environment |= environment
        try:
            answer = self.deployment.run("update", program=(sys.executable, str(PROGRAM), json.dumps(plan)))
        finally:
            self.deployment.environment.clear()
            self.deployment.environment |= kept
        self.answers.append(answer)
        told = trace.read_text().splitlines() if trace.exists() else []
        self.runs.append([json.loads(line) for line in told])
        return answer

    def hurt(self, fault: Fault | None, **environment: str) -> Answer:
        """The update in which something goes wrong."""
        answer = self.update(fault, **environment)
        self.cut_at, self.hurt_run = len(self.states), len(self.runs) - 1
        return answer

    def arrive(self, *, is_over: bool = False) -> Answer:
        """Plain updates until one has ended; another must find nothing to do, unless it `is_over` then."""
        self.let_daemon_follow()
        answer = self.update()
        for _ in range(PATIENCE - 1):
            if answer.outcome not in {"waiting", "failed"}:
                break
            self.let_daemon_follow()
            answer = self.update()
        self.let_daemon_follow()
        if is_over:
            return answer
        states = self.states
        last = self.update()
        assert last.outcome in ("up_to_date", "held"), last
        assert self.states == states, "an update that has nothing to do writes nothing"
        return answer

    def let_daemon_follow(self) -> None:
        """A daemon that was asked to leave has done so, and the next one serves."""
        flag = self.deployment.state / "restart-requested"
        wait_until(lambda: not flag.exists())
        self.service.await_serving()

    def look(self) -> tuple[Look, dict[str, object], str]:
        """Data, keepsakes and dependency as they are now."""
        return data_of(self.host), self.host.keepsakes(), leaflet_of(self.host)

    @cached_property
    def ending(self) -> Ending:
        """What the host is like now, at the end."""
        data, keepsakes, leaflet = self.look()
        status = self.deployment.record("status.json")["status"]
        daemon = self.deployment.record("daemon.pid")
        denied = self.deployment.state / "denied.json"
        told: dict[str, tuple[str, Any]] = {}
        for line in self.deployment.lines("history.jsonl")[self.old_attempts :]:
            told[line["attempt"]] = (line["outcome"], line["confirmed"])
        return Ending(
            self.host.live(),
            leaflet,
            data,
            keepsakes,
            self.host.leftovers(),
            self.host.halfway(),
            status,
            daemon["commit"] if daemon["pid"] == self.service.pid else None,
            set(json.loads(denied.read_text())) - {"schema"} if denied.exists() else set(),
            list(told.values()),
        )

    @cached_property
    def seconds(self) -> float:
        """How long the story took."""
        return time.monotonic() - self.began

    @property
    def struck_at(self) -> Event:
        """The event at which the fault struck."""
        events = [event for event in self.runs[self.hurt_run] if event["event"] != "killed"]
        return events[-1]

    def told(self) -> str:
        """The states, with a mark where the fault struck."""
        if self.cut_at is None:
            return shortened(self.states)
        return f"{shortened(self.states[: self.cut_at])} ✂ {shortened(self.states[self.cut_at :])}".strip()


def shortened(states: Sequence[str]) -> str:
    """States as text; one or two that come again and again are told once, with how often."""
    said, at = [], 0
    while at < len(states):
        length, times = max(
            ((length, _times(states, at, length)) for length in (1, 2)), key=lambda found: found[0] * found[1]
        )
        length, times = (length, times) if times > 2 else (1, 1)
        words = " ".join(states[at : at + length])
        said.append(words if times == 1 else f"{words} x{times}" if length == 1 else f"({words}) x{times}")
        at += length * times
    return " ".join(said)


def _times(states: Sequence[str], at: int, length: int) -> int:
    """How often the next few states follow each other."""
    pattern, times = states[at : at + length], 0
    while states[at + times * length : at + (times + 1) * length] == pattern:
        times += 1
    return times
