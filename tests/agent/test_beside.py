"""The agent's loop, in a time of its own: when an attempt is made, and what is said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import pytest

from newleaf.agent.beside import BREATH_SECONDS, LOOK_SECONDS, Beside, BesideParts
from newleaf.agent.check import Checked
from newleaf.agent.one_slot import Answer
from newleaf.agent.watcher import OnTarget
from newleaf.core.errors import SettingsInvalid
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.polling import Interval
from newleaf.core.requests import Request
from newleaf.core.retries import Ended
from tests.support.fake_time import run_in_fake_time

HERE = Release(CommitId("0" * 40))
A, B, C = (CommitId(letter * 40) for letter in "abc")
IDLE, RESTART, WINDOW = frozenset({"idle"}), frozenset({"restart"}), frozenset({"window"})
POLL = 300.0


def waiting(gates: frozenset[str], to: str = A) -> Ended:
    return Ended("waiting", gates, to, (f"waits for {', '.join(gates)}",))


@dataclass
class World:
    """A host: what its looks find and when, how its attempts end, and what else happens at which second."""

    at: dict[float, Callable[[], object]] = field(default_factory=dict)
    found: dict[float, tuple[str, str]] = field(default_factory=dict)
    """At which second the watcher finds a target: what the look was made for, and the commit."""
    results: list[Ended | Exception] = field(default_factory=list)
    attempt_seconds: float = 0.0
    is_unreadable: bool = False
    busy: bool = False
    locked: bool = False
    open: bool = False
    traces: dict[str, object] = field(default_factory=dict)
    tried: list[tuple[float, str]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    made: int = 0
    origin: str = "poll"
    beside: Beside | None = None
    answers: dict[str, Answer] = field(default_factory=dict)

    # What the loop asks.

    async def run_watcher(self, on_target: OnTarget) -> None:
        while True:
            due = [moment for moment in self.found if moment <= now()]
            for moment in sorted(due):
                self.origin, commit = self.found.pop(moment)
                on_target(Checked("available", "alpha", HERE, Release(CommitId(commit))))
            await asyncio.sleep(min(self.found, default=1e9) - now())

    async def make_attempt(self, request: Request) -> Ended:
        self.tried.append((round(now()), request.origin))
        self.requests.append(request)
        await asyncio.sleep(self.attempt_seconds)
        result = self.results.pop(0) if self.results else Ended("up_to_date")
        if isinstance(result, Exception):
            raise result
        return result

    def trace(self, what: str) -> object:
        return self.traces.get(what)

    def is_busy(self) -> bool:
        return self.busy

    def is_locked(self) -> bool:
        return self.locked

    def owes(self) -> bool:
        return self.open

    # What the test does.

    def read(self) -> BesideParts:
        if self.is_unreadable:
            raise SettingsInvalid(listed="app.name is wrong")
        self.made += 1
        return BesideParts(_Watcher(self), _Attempts(self), self, Interval(POLL, 0.0))

    async def _live(self) -> None:
        for moment in sorted(self.at):
            await asyncio.sleep(max(0.0, moment - now()))
            self.at[moment]()

    def ask(self, name: str, request: Request) -> Callable[[], None]:
        """Somebody asks, and waits for the answer."""

        def ask() -> None:
            assert self.beside
            self.answers[name] = Future()
            self.beside.ask(request, self.answers[name])

        return ask

    def told(self, name: str) -> tuple[str, list[str]]:
        """The outcome and the notes that somebody was answered with."""
        record = self.answers[name].result(timeout=0)
        return record["outcome"], record["notes"]

    def run(self, seconds: float) -> None:
        async def main() -> None:
            beside = Beside(self.read, self.said.append, self.read(), self.at_once, lambda: 0.5)
            self.beside = beside
            living = asyncio.ensure_future(self._live())
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(seconds):
                    await beside.run()
            living.cancel()

        run_in_fake_time(main())

    @staticmethod
    async def at_once(work: Callable[[], Any], _: str) -> Any:
        return work()

    def change(self, what: str) -> Callable[[], None]:
        """Writes the files of what is meant."""
        return lambda: self.traces.update({what: object()})

    def become(self, **facts: bool) -> Callable[[], None]:
        """Changes the host."""
        return lambda: vars(self).update(facts)


class _Watcher:
    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def origin(self) -> str:
        return self._world.origin

    async def run(self, on_target: OnTarget) -> None:
        await self._world.run_watcher(on_target)

    def look_soon(self) -> None:
        raise AssertionError


class _Attempts:
    def __init__(self, world: World) -> None:
        self._world = world

    async def run(self, request: Request) -> Ended:
        return await self._world.make_attempt(request)


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture
def world() -> World:
    return World()


def soon(*moments: float) -> list[object]:
    """Each at that second or the look after it."""
    return [pytest.approx(moment + LOOK_SECONDS / 2, abs=LOOK_SECONDS / 2 + 0.6) for moment in moments]


def times(world: World) -> list[float]:
    return [moment for moment, _ in world.tried]


# --- what makes a try -------------------------------------------------------------------


def test_nothing_is_found_then_no_attempt_is_made(world: World) -> None:
    world.run(5000)
    assert (world.tried, world.said) == ([], [])


@pytest.mark.parametrize("origin", ["poll", "signal"])
def test_a_target_is_found_then_one_attempt_at_once_that_says_what_for(origin: str, world: World) -> None:
    world.found = {100: (origin, A)}
    world.results = [Ended("updated", to=A, lines=("updated: a",))]
    world.run(1000)
    assert world.tried == [(100, origin)]
    assert world.said == ["updated: a"]


def test_an_attempt_is_open_at_the_start_then_it_is_finished_at_once(world: World) -> None:
    """lessons.md L13, L27"""
    world.open = True
    world.run(100)
    assert world.tried == [(0, "owed")]


def test_somebody_else_leaves_an_attempt_open_then_it_is_finished_once_their_update_ends(
    world: World,
) -> None:
    """lessons.md L27: what waits for its restart no poll would find."""
    world.at = {
        50: world.become(locked=True, open=True),
        51: world.change("journal"),
        90: world.become(locked=False),
    }
    world.run(200)
    assert [origin for _, origin in world.tried] == ["owed"]
    assert times(world) == soon(90)


def test_what_an_attempt_of_its_own_has_left_open_is_not_tried_at_once(world: World) -> None:
    world.found, world.results = {10: ("poll", A)}, [waiting(WINDOW)] * 9
    world.attempt_seconds = 2
    world.at = {11: world.become(open=True), 11.5: world.change("journal")}
    world.run(40)
    assert times(world) == [10]


def test_a_person_decides_then_an_attempt_at_once(world: World) -> None:
    world.found, world.results = {10: ("poll", A)}, [Ended("held", to=A), Ended("updated", to=A)]
    world.at = {500: world.change("decisions")}
    world.run(1000)
    assert [origin for _, origin in world.tried] == ["poll", "decision"]
    assert times(world) == [10, *soon(500)]


# --- one at a time, the newest wins ------------------------------------------------------


def test_found_again_and_again_while_an_attempt_runs_then_one_more_attempt_only(world: World) -> None:
    """lessons.md L36"""
    world.attempt_seconds = 60
    world.found = {10: ("poll", A), 20: ("poll", B), 30: ("signal", C), 40: ("poll", B), 50: ("poll", C)}
    world.results = [Ended("updated", to=A), Ended("updated", to=C)]
    world.run(1000)
    assert world.tried == [(10, "poll"), (70, "poll")]


@pytest.mark.parametrize("commit", [A, B])
def test_what_is_found_meanwhile_is_where_the_attempt_went_then_no_more_attempt(
    commit: str, world: World
) -> None:
    """lessons.md L36: the attempt asks the remote itself, and may have come to the newer one."""
    world.attempt_seconds = 60
    world.found = {10: ("poll", A), 20: ("poll", commit), 30: ("signal", commit)}
    world.results = [Ended("updated", to=commit)]
    world.run(1000)
    assert times(world) == [10]


# --- somebody asks ------------------------------------------------------------------------

CHAT, HTTP = Request("chat"), Request("http")
UPDATED, UP_TO_DATE = (Ended(word, to=A, record={"outcome": word}) for word in ("updated", "up_to_date"))
ONE_FOR_TWO = "one update was made for 2 requests"


def test_somebody_asks_then_an_attempt_at_once_and_its_record_for_an_answer(world: World) -> None:
    world.at, world.results = {10: world.ask("chat", Request("chat", to="1.2.0", now=True))}, [UPDATED]
    world.run(20)
    assert times(world) == [10]
    assert world.requests == [Request("chat", to="1.2.0", now=True)]
    assert world.told("chat") == ("updated", [])


def test_two_ask_while_a_poll_is_tried_then_one_more_look_and_both_get_what_came_of_it(world: World) -> None:
    """lessons.md L36: one update, two answers."""
    world.attempt_seconds, world.found = 60, {10: ("poll", A)}
    world.at = {20: world.ask("chat", CHAT), 30: world.ask("http", HTTP)}
    world.results = [UPDATED, UP_TO_DATE]
    world.run(200)
    assert times(world) == [10, 70]
    assert [world.told(name)[0] for name in ("chat", "http")] == ["updated", "updated"]
    assert "an update ran already" in world.told("http")[1][0]


def test_something_newer_came_meanwhile_then_that_is_the_answer(world: World) -> None:
    """lessons.md L36: the newest target"""
    world.attempt_seconds, world.found = 60, {10: ("poll", A)}
    world.at = {20: world.ask("chat", CHAT)}
    world.results = [UPDATED, Ended("updated", to=B, record={"outcome": "updated", "to": B, "notes": ["n"]})]
    world.run(200)
    assert world.answers["chat"].result(timeout=0) == {"outcome": "updated", "to": B, "notes": ["n"]}


def test_a_newer_request_comes_then_it_wins_and_the_older_one_is_told_and_gets_the_outcome(
    world: World,
) -> None:
    """lessons.md L36"""
    world.attempt_seconds, world.found = 60, {10: ("poll", A)}
    world.at = {
        20: world.ask("old", Request("chat", to="1.2.0")),
        30: world.ask("new", Request("chat", to="1.3.0")),
    }
    world.results = [UP_TO_DATE, UPDATED]
    world.run(200)
    assert [request.to for request in world.requests] == [None, "1.3.0"]
    assert world.told("new") == ("updated", [ONE_FOR_TWO])
    assert world.told("old") == ("updated", [ONE_FOR_TWO, "a newer request took the place of this one"])


def test_a_thousand_ask_in_a_second_then_two_attempts_at_most(world: World) -> None:
    """threats.md: webhook floods"""
    world.attempt_seconds, world.results = 5, [UPDATED, UP_TO_DATE]
    world.at = {10 + n / 1000: world.ask(str(n), HTTP) for n in range(1000)}
    world.run(30)
    assert len(world.tried) == 2
    assert {world.told(str(n))[0] for n in range(1000)} == {"updated"}


def test_what_a_poll_finds_never_takes_the_place_of_what_somebody_asks_for(world: World) -> None:
    world.attempt_seconds, world.found = 60, {10: ("poll", A), 30: ("poll", B)}
    world.at = {20: world.ask("chat", Request("chat", to="1.2.0"))}
    world.results = [UPDATED, UPDATED]
    world.run(100)
    assert [request.to for request in world.requests] == [None, "1.2.0"]


def test_another_update_runs_then_the_answer_comes_when_it_has_ended(world: World) -> None:
    """lessons.md L36: a timer and a chat command at the same moment."""
    world.locked = True
    world.at = {10: world.ask("chat", CHAT), 50: world.become(locked=False)}
    world.results = [Ended("locked", lines=("by a timer",), record={"outcome": "locked"}), UP_TO_DATE]
    world.run(100)
    assert times(world) == [10, *soon(50)]
    assert world.told("chat")[0] == "up_to_date"


def test_what_somebody_asked_for_fails_then_not_again_and_what_was_owed_before_is_not_forgotten(
    world: World,
) -> None:
    """lessons.md L27"""
    world.open = True
    world.at = {10: world.ask("chat", Request("chat", to="9.9.9"))}
    world.results = [waiting(WINDOW), Ended("failed", record={"outcome": "failed"}), Ended("up_to_date")]
    world.run(25)
    assert [origin for _, origin in world.tried] == ["owed", "chat", "owed"]


def test_a_defect_then_whoever_asked_is_told(world: World) -> None:
    world.at, world.results = {10: world.ask("chat", CHAT)}, [OSError("boom")]
    world.run(20)
    record = world.answers["chat"].result(timeout=0)
    assert (record["outcome"], record["errors"][0]["code"]) == ("failed", "defect")


def test_it_ends_while_somebody_waits_then_they_are_told(world: World) -> None:
    world.attempt_seconds = 60
    world.at = {10: world.ask("running", CHAT), 20: world.ask("waiting", HTTP)}
    world.run(30)
    assert world.beside
    assert not world.beside.is_trying
    world.beside.answer_rest(Ended("failed", record={"outcome": "failed"}))
    assert [world.told(name)[0] for name in ("running", "waiting")] == ["failed", "failed"]


def test_only_idle_keeps_it_back_then_it_says_so_until_something_else_came_of_it(world: World) -> None:
    """lessons.md L26: job loops stop for what waits for them alone."""
    seen: dict[int, bool] = {}
    world.busy, world.found = True, {10: ("poll", A)}
    world.results = [waiting(IDLE), waiting(IDLE | WINDOW), Ended("updated", to=A)]

    def look() -> None:
        assert world.beside
        seen[round(now())] = world.beside.waits_for_idle

    world.at |= dict.fromkeys((5, 15, 45, 120), look)
    world.run(130)
    assert seen == {5: False, 15: True, 45: False, 120: False}


# --- trying again -----------------------------------------------------------------------


def test_waits_for_idle_then_tried_as_soon_as_the_job_has_ended(world: World) -> None:
    world.busy, world.found = True, {10: ("poll", A)}
    world.results = [waiting(IDLE), Ended("updated", to=A)]
    world.at = {20: world.become(busy=False)}
    world.run(1000)
    assert times(world) == [10, *soon(20)]


def test_the_job_ends_before_anybody_looks_then_tried_at_once(world: World) -> None:
    world.found, world.results = {10: ("poll", A)}, [waiting(IDLE), Ended("updated", to=A)]
    world.run(1000)
    assert times(world) == [10, *soon(10)]


def test_waits_for_idle_that_no_lock_tells_of_then_tried_by_the_clock(world: World) -> None:
    """An idle command or address says busy: no hot loop comes of it."""
    world.found, world.results = {10: ("poll", A)}, [waiting(IDLE)] * 50
    world.run(500)
    assert times(world) == [10, *soon(10), *soon(70, 190, 430)]


def test_job_after_job_then_tried_after_each(world: World) -> None:
    world.busy, world.found, world.results = True, {10: ("poll", A)}, [waiting(IDLE)] * 3
    for moment in (20, 24, 28):
        world.at |= {moment: world.become(busy=False), moment + 2: world.become(busy=True)}
    world.run(31)
    assert times(world) == [10, *soon(20, 24, 28)]


def test_waits_for_a_gate_then_tried_by_the_clock_and_said_once(world: World) -> None:
    """lessons.md L5, L27"""
    world.found, world.results = {10: ("poll", A)}, [*[waiting(WINDOW)] * 4, Ended("updated", to=A)]
    world.found |= dict.fromkeys(range(300, 2000, 300), ("poll", A))
    world.run(1000)
    assert times(world)[:5] == [10, *soon(40, 100, 220, 460)]
    assert world.said == ["waits for window"]


def test_waits_for_the_daemon_to_leave_then_tried_once_another_reports_itself(world: World) -> None:
    world.found, world.results = {10: ("poll", A)}, [waiting(RESTART), Ended("updated", to=A)]
    world.at = {22: world.change("daemon")}
    world.run(1000)
    assert times(world) == [10, *soon(22)]


def test_locked_then_tried_when_the_owner_is_gone_and_never_before(world: World) -> None:
    """lessons.md L35, L36"""
    world.locked, world.found = True, {10: ("poll", A)}
    world.found |= dict.fromkeys(range(300, 5000, 300), ("poll", A))
    world.results = [Ended("locked", lines=("locked: by somebody",)), Ended("updated", to=A)]
    world.at = {5000: world.become(locked=False)}
    world.run(5100)
    assert times(world) == [10, *soon(5000)]
    assert world.said == ["locked: by somebody"]


@pytest.mark.parametrize("outcome", ["failed", "usage"])
def test_failed_then_tried_with_growing_pauses_and_said_once(outcome: str, world: World) -> None:
    """lessons.md L2, L5"""
    world.found = dict.fromkeys(range(10, 6000, 300), ("poll", A))
    world.results = [Ended(outcome, to=A, lines=(f"exit after {n} s",)) for n in range(20)]
    world.run(5000)
    assert times(world) == [10, *soon(310, 910, 2110, 4510)]
    assert world.said == ["exit after 0 s"]


@pytest.mark.parametrize("outcome", ["held", "refused", "rolled_back", "inconsistent"])
def test_settled_then_no_poll_brings_it_again_and_a_new_target_does(outcome: str, world: World) -> None:
    """lessons.md L32, L42"""
    world.found = dict.fromkeys(range(10, 4000, 300), ("poll", A))
    world.found |= dict.fromkeys(range(4000, 6000, 300), ("poll", B))
    world.results = [Ended(outcome, to=A, lines=(outcome,)), Ended(outcome, to=B, lines=(outcome,))]
    world.run(5000)
    assert times(world) == [10, 4000]
    assert world.said == [outcome, outcome]


def test_settled_then_a_new_signal_is_worth_a_try(world: World) -> None:
    world.found = {10: ("poll", A), 500: ("signal", A)}
    world.results = [Ended("refused", to=A, lines=("no",)), Ended("refused", to=A, lines=("no",))]
    world.run(1000)
    assert world.tried == [(10, "poll"), (500, "signal")]
    assert world.said == ["no"]


def test_a_newer_target_comes_while_one_waits_then_it_is_tried_at_once(world: World) -> None:
    world.found, world.results = {10: ("poll", A), 20: ("poll", B)}, [waiting(WINDOW), waiting(WINDOW, B)]
    world.run(30)
    assert times(world) == [10, 20]


def test_something_has_arrived_then_the_next_failure_is_news_again(world: World) -> None:
    world.found = {10: ("poll", A), 400: ("poll", A), 1000: ("poll", A)}
    world.results = [
        Ended("refused", to=A, lines=("no",)),
        Ended("up_to_date"),
        Ended("refused", to=A, lines=("no",)),
    ]
    world.at = {600: world.change("decisions")}
    world.run(1100)
    assert world.said == ["no", "no"]


# --- settings and failures ----------------------------------------------------------------


def test_an_attempt_has_moved_the_release_then_settings_are_read_anew(world: World) -> None:
    world.found, world.results = {10: ("poll", A)}, [Ended("updated", to=A)]
    world.run(100)
    assert world.made == 2


def test_their_files_change_then_settings_are_read_anew_once(world: World) -> None:
    world.at = {50: world.change("settings")}
    world.run(100)
    assert (world.made, world.tried) == (2, [])


def test_settings_cannot_be_used_then_said_once_and_it_goes_on_with_those_of_before(world: World) -> None:
    """lessons.md L5"""
    world.at = {
        50: world.become(is_unreadable=True),
        51: world.change("settings"),
        60: world.change("settings"),
        300: world.become(is_unreadable=False),
        301: world.change("settings"),
    }
    world.found = {100: ("poll", A), 400: ("poll", B)}
    world.run(500)
    assert times(world) == [100, 400]
    assert world.said == ["app.name is wrong; until that is mended the settings of before hold"]
    assert world.made == 2


def test_a_defect_in_the_watcher_then_said_once_and_it_is_started_again_after_a_breath(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[float] = []

    async def fail(_: OnTarget) -> None:
        started.append(now())
        raise OSError("boom")

    monkeypatch.setattr(world, "run_watcher", fail)
    world.run(3 * BREATH_SECONDS + 1)
    assert started == [0, BREATH_SECONDS, 2 * BREATH_SECONDS, 3 * BREATH_SECONDS]
    assert world.said == ["a defect in newleaf: OSError: boom"]


def test_a_defect_in_the_loop_then_said_once_and_no_hot_loop(world: World) -> None:
    world.found, world.results = {10: ("poll", A), 20: ("poll", B)}, [OSError("boom"), OSError("boom")]
    world.run(200)
    assert times(world) == [10, 70]
    assert world.said == ["a defect in newleaf: OSError: boom"]
