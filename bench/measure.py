"""Times of programs, and the numbers that stand for many runs of one.

Rules: contestants of one row run in turns (A B A B …), so that all of them meet the same machine; what
prepares a run and what proves that it worked are not timed; a run that did not do its work has no time. Wall
time is what people wait; CPU time, children included, is what other programs on the machine spoil least.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

LIMIT_SECONDS = 300.0
SHOWN_CHARACTERS = 600


class DidNotWork(Exception):
    """A program ended in another way than it should, or what it was to do is not done."""


@dataclass(frozen=True)
class Timing:
    """What one run took."""

    wall_ms: float
    cpu_ms: float


@dataclass(frozen=True)
class Figures:
    """Many runs in a few numbers, in milliseconds: wall time, and the median of the CPU time."""

    runs: int
    median: float
    minimum: float
    maximum: float
    p90: float
    cpu: float


def summarize(timings: Sequence[Timing]) -> Figures:
    """The figures of at least one run."""
    walls = sorted(timing.wall_ms for timing in timings)
    return Figures(
        len(walls),
        statistics.median(walls),
        walls[0],
        walls[-1],
        nearest_rank(walls, 0.9),
        statistics.median(timing.cpu_ms for timing in timings),
    )


def nearest_rank(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


class Contestant(Protocol):
    """One way to do the work of a row."""

    @property
    def name(self) -> str: ...

    def run(self) -> Timing:
        """Does the work once. Raises: DidNotWork."""
        ...


def _nothing() -> None:
    """Prepares and proves nothing."""


@dataclass(frozen=True)
class Absent:
    """A contestant that is not here, and why: shown as such, never as a time."""

    name: str
    reason: str


@dataclass(frozen=True)
class Program:
    """A program that is started anew for every run. `prove` raises DidNotWork when its work is not done."""

    name: str
    argv: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    prove: Callable[[], None] = _nothing

    def run(self) -> Timing:
        """Starts the program and waits for its end. Raises: DidNotWork."""
        with tempfile.TemporaryFile() as said:
            began = time.perf_counter()
            process = subprocess.Popen(
                self.argv,
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
            with _limit(process):
                _, status, usage = os.wait4(process.pid, 0)
            wall_ms = (time.perf_counter() - began) * 1000
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode != 0:
                said.seek(0)
                words = said.read().decode(errors="replace").strip()[-SHOWN_CHARACTERS:]
                raise DidNotWork(f"exit {process.returncode}: {words}")
        self.prove()
        return Timing(wall_ms, (usage.ru_utime + usage.ru_stime) * 1000)


@dataclass
class Resident:
    """A program that stays, as an agent does, and does its work once for every line that it is sent.

    It answers with one line of JSON: `wall_ms` and `cpu_ms` by its own clocks, or `failure`.
    """

    name: str
    argv: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    prove: Callable[[], None] = _nothing
    _process: subprocess.Popen[str] | None = field(default=None, init=False)

    def run(self) -> Timing:
        """Asks for the work once. Raises: DidNotWork."""
        process = self._process = self._process or self._start()
        assert process.stdin
        assert process.stdout
        with _limit(process):
            process.stdin.write("\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        if not answer:
            raise DidNotWork("it ended by itself")
        said = json.loads(answer)
        if "failure" in said:
            raise DidNotWork(said["failure"])
        self.prove()
        return Timing(said["wall_ms"], said["cpu_ms"])

    def end(self) -> None:
        """Lets the program go."""
        if self._process:
            self._process.communicate(timeout=LIMIT_SECONDS)
            self._process = None

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.argv,
            cwd=self.folder,
            env=dict(self.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


@contextlib.contextmanager
def _limit(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> Iterator[None]:
    """Kills what hangs, with all that it started."""
    timer = threading.Timer(LIMIT_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@dataclass(frozen=True)
class Measured:
    """What came of one contestant: its figures, or why there are none. `absent`: it could not take part."""

    name: str
    figures: Figures | None = None
    failure: str = ""
    absent: bool = False


def take_turns(
    contestants: Sequence[Contestant | Absent],
    rounds: int,
    warmups: int,
    begin_round: Callable[[], object] = _nothing,
) -> list[Measured]:
    """Runs all contestants, one after another, round by round; the warm-up rounds do not count.

    A contestant that did not work once takes no further part.
    """
    timings: dict[str, list[Timing]] = {each.name: [] for each in contestants}
    failures: dict[str, str] = {}
    present = [each for each in contestants if not isinstance(each, Absent)]
    for number in range(warmups + rounds):
        begin_round()
        for contestant in present:
            if contestant.name in failures:
                continue
            try:
                timing = contestant.run()
            except DidNotWork as error:
                failures[contestant.name] = str(error)
                continue
            if number >= warmups:
                timings[contestant.name].append(timing)
    for contestant in present:
        if isinstance(contestant, Resident):
            contestant.end()
    return [
        Measured(each.name, failure=each.reason, absent=True)
        if isinstance(each, Absent)
        else Measured(each.name, failure=failures[each.name])
        if each.name in failures
        else Measured(each.name, summarize(timings[each.name]))
        for each in contestants
    ]
