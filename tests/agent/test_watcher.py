"""The polling loop, in a time of its own: sleeping costs nothing, and what is slept is counted."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from newleaf.agent.check import Checked
from newleaf.agent.signal import SignalFile
from newleaf.agent.watcher import NOTICED_EVERY_SECONDS, Watcher
from newleaf.core.errors import FailedError, NewleafError
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.git_errors import RemoteUnreachable
from newleaf.core.releases.polling import Interval
from newleaf.core.releases.signals import Signal
from newleaf.core.releases.source_errors import ApiLimited

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
HERE, THERE = Release(CommitId("a" * 40)), Release(CommitId("b" * 40))
IDLE = Checked("up_to_date", "alpha", HERE)
FOUND = Checked("available", "alpha", HERE, THERE)
SAID = Signal(HERE.commit, THERE.commit, "alpha")
OFFLINE = RemoteUnreachable(url="https://git.example.org/x", reason="no route to host")


class Enough(Exception):
    """The test has seen what it wanted."""


@dataclass
class World:
    """A clock that sleeping moves, looks with prepared results, and what happened when."""

    state: Path
    results: list[Checked | NewleafError] = field(default_factory=list)
    until: float = 10_000.0
    chance: float = 0.5
    slept: float = 0.0
    looked: list[float] = field(default_factory=list)
    found: list[Checked] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    objection: str | None = None
    at: dict[float, Callable[[], object]] = field(default_factory=dict)

    def look(self) -> Checked:
        self.looked.append(self.slept)
        result = self.results.pop(0) if self.results else IDLE
        if isinstance(result, NewleafError):
            raise result
        return result

    def heeds(self) -> str | None:
        return self.objection

    def now(self) -> datetime:
        return START + timedelta(seconds=self.slept)

    async def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= NOTICED_EVERY_SECONDS
        self.slept += seconds
        if self.slept >= self.until:
            raise Enough
        for moment in [moment for moment in self.at if moment <= self.slept]:
            self.at.pop(moment)()
        await asyncio.sleep(0)

    @property
    def signal(self) -> SignalFile:
        return SignalFile(self.state)

    def hasten(self) -> None:
        """Somebody says that there may be something."""
        self.watcher.look_soon()

    def run(self, seconds: float = 300, jitter: float = 0.0) -> None:
        """Watches until `until`."""
        interval = Interval(seconds, jitter)
        self.watcher = Watcher(
            self, self.signal, interval, self.now, self.said.append, self.sleep, lambda: self.chance
        )
        with pytest.raises(Enough):
            asyncio.run(self.watcher.run(self.found.append))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def near(*seconds: float) -> object:
    return pytest.approx(seconds, abs=0.01)


# --- when it looks --------------------------------------------------------------------


@pytest.mark.parametrize("chance", [0.0, 0.25, 0.9])
def test_start_then_the_first_look_at_a_random_part_of_the_interval(chance: float, world: World) -> None:
    """lessons.md L44."""
    world.chance, world.until = chance, 301
    world.run(300)
    assert world.looked[0] == pytest.approx(300 * chance, abs=0.01)


def test_nothing_new_then_a_look_in_every_interval(world: World) -> None:
    world.until = 1000
    world.run(300)
    assert world.looked == near(150, 450, 750)
    assert (world.found, world.said) == ([], [])


def test_somebody_says_that_there_may_be_something_then_a_look_at_once_and_the_interval_begins_anew(
    world: World,
) -> None:
    world.at, world.until = {200.0: world.hasten}, 700
    world.run(300)
    assert world.looked == near(150, 200, 500)
    assert world.watcher.origin == "poll"


def test_chance_differs_then_the_interval_does(world: World) -> None:
    """lessons.md L44."""
    world.chance, world.until = 0.75, 1000
    world.run(300, jitter=0.2)
    assert world.looked == near(225, 555, 885)


def test_target_found_then_told_at_every_look(world: World) -> None:
    world.results, world.until = [FOUND, IDLE, FOUND], 800
    world.run(300)
    assert world.found == [FOUND, FOUND]


# --- failures -------------------------------------------------------------------------


def test_failures_then_told_once_backed_off_and_never_the_end(world: World) -> None:
    """lessons.md L5: 48 identical alarms a day."""
    world.results, world.until = [OFFLINE, OFFLINE, OFFLINE, OFFLINE, FOUND], 6000
    world.run(300)
    assert world.looked[:5] == near(150, 450, 1050, 2250, 4650)
    assert world.said == [OFFLINE.message]
    assert world.found == [FOUND]


def test_another_failure_then_told_too(world: World) -> None:
    other = FailedError(reason="something else")
    world.results, world.until = [OFFLINE, other, other], 2000
    world.run(300)
    assert world.said == [OFFLINE.message, other.message]


def test_same_failure_after_a_success_then_told_again(world: World) -> None:
    world.results, world.until = [OFFLINE, IDLE, OFFLINE], 1000
    world.run(300)
    assert world.said == [OFFLINE.message, OFFLINE.message]


def test_success_then_the_interval_is_the_plain_one_again(world: World) -> None:
    world.results, world.until = [OFFLINE, OFFLINE, IDLE], 1700
    world.run(300)
    assert world.looked == near(150, 450, 1050, 1350, 1650)


def test_server_asks_to_wait_then_it_is_left_alone_so_long(world: World) -> None:
    """lessons.md L44: Retry-After is obeyed."""
    limited = ApiLimited(host="example.org", status=429, until=START + timedelta(seconds=3000))
    world.results, world.until = [limited], 3400
    world.run(300)
    assert world.looked == near(150, 3000, 3300)


def test_defect_in_a_look_then_not_hidden(world: World) -> None:
    class Broken(World):
        def look(self) -> Checked:
            raise ZeroDivisionError

    broken = Broken(world.state)
    watcher = Watcher(broken, broken.signal, Interval(1, 0), broken.now, print, broken.sleep, lambda: 0.0)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(watcher.run(print))


# --- the signal -----------------------------------------------------------------------


def test_somebody_writes_the_signal_then_a_look_within_two_seconds(world: World) -> None:
    world.at[100.0] = lambda: world.signal.write(SAID)
    world.results, world.until, world.chance = [FOUND], 200, 0.9
    world.run(300)
    (looked,) = world.looked
    assert 100 <= looked <= 102
    assert world.found == [FOUND]


def test_looks_are_made_then_it_is_known_what_for(world: World) -> None:
    world.at[100.0] = lambda: world.signal.write(SAID)
    world.results, world.until = [FOUND, FOUND], 500
    origins: list[str] = []
    interval = Interval(300, 0.0)
    watcher = Watcher(world, world.signal, interval, world.now, print, world.sleep, lambda: 0.5)
    with pytest.raises(Enough):
        asyncio.run(watcher.run(lambda _: origins.append(watcher.origin)))
    assert origins == ["signal", "poll"]


def test_signal_that_is_not_heeded_then_told_once_and_no_look(world: World) -> None:
    world.objection = "the signal was ignored: it is not JSON"
    for moment in (20.0, 40.0):
        world.at[moment] = lambda: (world.state / "update_available.json").write_text("{")
    world.until, world.chance = 200, 0.9
    world.run(300)
    assert world.looked == []
    assert world.said == ["the signal was ignored: it is not JSON"]


def test_signal_cannot_be_judged_then_told_and_no_look(world: World) -> None:
    class Failing(World):
        def heeds(self) -> str | None:
            raise OFFLINE

    failing = Failing(world.state, until=200, chance=0.9)
    failing.at[20.0] = lambda: failing.signal.write(SAID)
    failing.run(300)
    assert (failing.looked, failing.said) == ([], [OFFLINE.message])


def test_signal_was_there_at_the_start_then_a_look_within_two_seconds(world: World) -> None:
    world.signal.write(SAID)
    world.results, world.until, world.chance = [FOUND], 200, 0.9
    world.run(300)
    (looked,) = world.looked
    assert looked <= 2


def test_an_attempt_has_followed_the_signal_that_was_there_at_the_start_then_no_news(world: World) -> None:
    world.signal.write(SAID)
    (world.state / "journal.jsonl").write_text("")
    world.until, world.chance = 200, 0.9
    world.run(300)
    assert world.looked == []


def test_look_writes_the_signal_itself_then_no_news(world: World) -> None:
    class Writing(World):
        def look(self) -> Checked:
            self.signal.write(SAID)
            return super().look()

    writing = Writing(world.state, [FOUND], until=600)
    writing.run(300)
    assert writing.looked == near(150, 450)


def test_signal_removed_by_somebody_then_no_look(world: World) -> None:
    world.signal.write(SAID)
    (world.state / "journal.jsonl").write_text("")
    world.at[20.0] = world.signal.remove
    world.until, world.chance = 200, 0.9
    world.run(300)
    assert world.looked == []


# --- the loop -------------------------------------------------------------------------


def real_watcher(check: object, state: Path, seconds: float = 0.01) -> Watcher:
    interval = Interval(seconds, 0)
    return Watcher(check, SignalFile(state), interval, lambda: START, print, chance=lambda: 0.5)  # type: ignore[arg-type]


class Hanging:
    """A remote that does not answer."""

    def __init__(self) -> None:
        self.began, self.released = threading.Event(), threading.Event()

    def look(self) -> Checked:
        self.began.set()
        self.released.wait(30)
        return IDLE

    def heeds(self) -> str | None:
        return None


def test_look_hangs_then_the_loop_goes_on_and_can_be_cancelled(tmp_path: Path) -> None:
    """lessons.md L30: nothing blocks the loop for more than 50 ms."""
    hanging = Hanging()

    async def main() -> float:
        task = asyncio.ensure_future(real_watcher(hanging, tmp_path).run(print))
        await asyncio.to_thread(hanging.began.wait, 5)
        worst = 0.0
        for _ in range(20):
            began = time.monotonic()
            await asyncio.sleep(0.005)
            worst = max(worst, time.monotonic() - began - 0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return worst

    start = time.monotonic()
    worst = asyncio.run(main())
    assert worst < 1.0  # a loop that waits for the look waits far longer
    assert time.monotonic() - start < 5
    hanging.released.set()


def test_cancelled_while_it_waits_then_ends_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(real_watcher(World(tmp_path), tmp_path, 1000).run(print))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    start = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - start < 5
