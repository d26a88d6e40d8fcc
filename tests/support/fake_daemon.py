"""A daemon that is not there, under a real `core.launch.supervision`, in a time of its own.

Its processes behave as their release is said to; what the supervision does about them is noted as short
words: "start 2 B gated health", "tell 7 failed". At every step a second supervision that was written down
as JSON and read again does the very same.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, NamedTuple

from newleaf.core.launch import events as e
from newleaf.core.launch.counters import Counters
from newleaf.core.launch.notify_fields import WAITS_FIELD
from newleaf.core.launch.plan import Health, Plan
from newleaf.core.launch.resumption import read_supervision, supervision_record
from newleaf.core.launch.supervision import Supervision
from newleaf.core.release import CommitId, Release

NOON = 1_795_176_000.0
PROBATION = 5.0
MOST_AT_ONCE = 1000


def commit_of(name: str) -> CommitId:
    """The commit of release A, B, …"""
    return CommitId(name.lower() * 40)


def plan_of(name: str = "A", **changes: Any) -> Plan:
    """How a release is run; what is said of `health` in part is the rest's default."""
    plan = Plan("app", Release(commit_of(name)), ("daemon",), "/app", {}, health=Health(probation=PROBATION))
    return plan._replace(**changes)


def counters_of(confirmed: str | None, **changes: Any) -> Counters:
    """What a launcher remembers when this release was confirmed last."""
    return Counters.read({"confirmed": confirmed and commit_of(confirmed), **changes})


class Behaviour(NamedTuple):
    """How the processes of a release behave. `ready` and `dies` are seconds after they were let in (after
    their start for what needs no "go", or is `early`), `stops` after they were asked to; None: never."""

    ready: float | None = 0.2
    dies: float | None = None
    status: int = 1
    health: str | None = None
    private: str | None = None
    waits: bool = False
    early: bool = False
    stops: float | None = 0.1
    says: Mapping[str, str] = {}
    starts: bool = True


class Process(NamedTuple):
    plan: Plan
    gated: bool


class FakeDaemon:
    """`loads` is the release that a start would load, `behaves` how releases do."""

    def __init__(self, counters: Counters | None = None, **plan: Any) -> None:
        self.supervision = Supervision(counters or Counters())
        self._twin = self.supervision_again()
        self.plan = plan
        self.loads = "A"
        self.behaves: dict[str, Behaviour] = {}
        self.plan_fault: str | None = None
        self.plan_seconds = 0.0
        self.settles_as: str | None = None
        self.settle_seconds = 0.5
        self.live: dict[int, Process] = {}
        self.last: dict[tuple[type[e.Action], int | None], e.Action] = {}
        self.checks: list[Callable[[list[e.Action]], None]] = []
        self.has_exited = False
        self.now = 1000.0
        self.wall = NOON
        self._words: list[tuple[float, str]] = []
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._order = count()
        self._is_to_trip = True

    # --- what a story says ----------------------------------------------------------------

    def begin(self, seconds: float = 0.0) -> FakeDaemon:
        """Its launcher has started."""
        self.feed(e.Tick())
        return self.pass_time(seconds)

    def hand_over(self, name: str, line: int = 7, attempt: str | None = None) -> FakeDaemon:
        """An attempt has made this release what a start would load, and asks for it."""
        self.loads = name
        return self.feed(e.Handover(line, attempt or f"to {name}", commit_of(name)))

    def settle(self, line: int | None, name: str) -> FakeDaemon:
        """An attempt has dealt with its verdict: from now on a start would load this release."""
        self.loads = name
        return self.feed(e.Settled(line))

    def say(self, number: int, **fields: str) -> FakeDaemon:
        """A process says something of itself."""
        return self.feed(e.Notified(number, fields))

    def end(self, number: int, status: int = 1) -> FakeDaemon:
        """A process ends."""
        if self.live.pop(number, None):
            self.feed(e.Exited(number, status))
        return self

    def pass_time(self, seconds: float) -> FakeDaemon:
        """So much time passes; the launcher looks when it wants to, and whenever something happens."""
        until = self.now + seconds
        while self.now < until and not self.has_exited:
            look = self.now + self.supervision.seconds_to_look()
            self._move_to(min(look, until, self._due[0][0] if self._due else until))
            self._happen()
        return self

    def until(self, word: str, seconds: float = 200.0) -> float:
        """Lets time pass until this is done; returns how long that took."""
        began, end = self.now, self.now + seconds
        while word not in self.story():
            assert self.now < end, f"no {word!r} within {seconds:g} s: {self.story()}"
            self.pass_time(0.05)
        return self.now - began

    def story(self, *beginnings: str) -> list[str]:
        """What was done since the last `forget`: words that begin so, or all but looks and talk."""
        said = [word for _, word in self._words]
        if beginnings:
            return [word for word in said if word.startswith(beginnings)]
        return [word for word in said if not word.startswith(("say", "ask", "plan"))]

    def times(self, beginning: str) -> list[float]:
        """When this was done, in seconds since the launcher's start."""
        return [round(at - 1000.0, 2) for at, word in self._words if word.startswith(beginning)]

    def forget(self) -> FakeDaemon:
        """What was done so far is no part of what is asked next."""
        self._words.clear()
        return self

    @property
    def said(self) -> str:
        """All that was said to people."""
        return "\n".join(self.story("say", "alarm"))

    @property
    def serving(self) -> str | None:
        """The release that serves."""
        child = self.supervision.children.serving
        return _name(child.plan) if child else None

    # --- how it goes ----------------------------------------------------------------------

    def feed(self, event: e.Event) -> FakeDaemon:
        """Something happens; what follows from it at once is done."""
        now = e.Now(self.now, self.wall)
        if self._is_to_trip:
            self._twin = self.supervision_again()
        actions = self.supervision.handle(event, now)
        assert self._twin.handle(event, now) == actions
        assert self._twin.seconds_to_look() == self.supervision.seconds_to_look()
        self._is_to_trip = bool(actions) or not isinstance(event, e.Tick)
        self._words += [(self.now, _word(action)) for action in actions]
        for check in self.checks:
            check(actions)
        for action in actions:
            self._do(action)
        return self

    def supervision_again(self) -> Supervision:
        """The same supervision, as a launcher that was loaded anew has it."""
        record = supervision_record(self.supervision)
        again = read_supervision(json.loads(json.dumps(record)))
        assert supervision_record(again) == record
        return again

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        """Something will happen."""
        heapq.heappush(self._due, (self.now + seconds, next(self._order), act))

    def _move_to(self, moment: float) -> None:
        self.wall += moment - self.now
        self.now = moment

    def _happen(self) -> None:
        """What is due by now; where nothing is, the launcher looks at the time."""
        if not self._is_due():
            self.feed(e.Tick())
        for _ in range(MOST_AT_ONCE):
            if not self._is_due() or self.has_exited:
                return
            heapq.heappop(self._due)[2]()
        raise AssertionError(f"it goes round and round at one moment: {self.story()[-5:]}")

    def _is_due(self) -> bool:
        return bool(self._due) and self._due[0][0] <= self.now

    def _do(self, action: e.Action) -> None:
        self.last[type(action), getattr(action, "line", None)] = action
        match action:
            case e.Start():
                self._start(action)
            case e.Go(number):
                self.live[number] = self.live[number]._replace(gated=False)
                self._work(number)
            case e.Terminate(number):
                seconds = self._of(number).stops
                if seconds is not None:
                    self.after(seconds, lambda: self.end(number, 0))
            case e.Kill(number):
                self.after(0.01, lambda: self.end(number, -9))
            case e.Ask(number, _, private):
                behaviour = self._of(number)
                fault = behaviour.private if private and behaviour.private else behaviour.health
                self.after(0.01, lambda: self.feed(e.Checked(number, fault)))
            case e.MakePlan():
                made = self._make_plan()
                self.after(self.plan_seconds, lambda: self.feed(made))
            case e.Exit():
                self.has_exited = True
            case e.Settle(word) if word != "confirmed":
                self.after(self.settle_seconds, self._settled)
            case _:
                pass

    def _start(self, start: e.Start) -> None:
        number, behaviour = start.child, self.behaves.get(_name(start.plan), Behaviour())
        if not behaviour.starts:
            self.after(0.0, lambda: self.feed(e.StartFailed(number, "no such file")))
            return
        self.live[number] = Process(start.plan, start.gated)
        if behaviour.waits:
            self.after(0.1, lambda: self._says(number, {WAITS_FIELD: "1"}))
        if behaviour.early and behaviour.ready is not None:
            self.after(behaviour.ready, lambda: self._says(number, {"READY": "1", **behaviour.says}))
        if not (behaviour.waits and start.gated):
            self._work(number)

    def _work(self, number: int) -> None:
        """One begins to work."""
        behaviour = self._of(number)
        if behaviour.ready is not None and not behaviour.early:
            self.after(behaviour.ready, lambda: self._says(number, {"READY": "1", **behaviour.says}))
        if behaviour.dies is not None:
            self.after(behaviour.dies, lambda: self.end(number, behaviour.status))

    def _says(self, number: int, fields: Mapping[str, str]) -> None:
        if number in self.live:
            self.feed(e.Notified(number, fields))

    def _make_plan(self) -> e.PlanMade | e.PlanFailed:
        return (
            e.PlanFailed(self.plan_fault) if self.plan_fault else e.PlanMade(plan_of(self.loads, **self.plan))
        )

    def _settled(self) -> None:
        """A program of newleaf's has dealt with a verdict."""
        self.loads = self.settles_as or self.loads
        self.feed(e.Settled())

    def _of(self, number: int) -> Behaviour:
        process = self.live.get(number)
        return self.behaves.get(_name(process.plan), Behaviour()) if process else Behaviour()


def _name(plan: Plan) -> str:
    return plan.release.commit[0].upper()


def _word(action: e.Action) -> str:
    """The action's name, numbers, release, and what of it is true."""
    words = [_VERBS.get(type(action), type(action).__name__.lower())]
    for name, value in action._asdict().items():
        if isinstance(value, bool):
            words += [name] * value
        elif isinstance(value, Plan):
            words += [_name(value)] * isinstance(action, e.Start)
        elif name not in ("reason", "seconds"):
            words.append(str(value))
    return " ".join(words)


_VERBS: Mapping[type, str] = {e.Terminate: "stop", e.MakePlan: "plan"}
