"""What may happen to a launcher, in any order: processes fail and speak, people and attempts ask, lines go.

The clients are honest, as newleaf's own are: one attempt at a time (they hold a lock), each with one line.
What may never be is checked at every step.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from newleaf.core.launch import events as e
from newleaf.core.launch.child import INCOMING, LEAVING, SERVING
from newleaf.core.launch.plan import OVERLAP, SEQUENTIAL, Health
from tests.support.fake_daemon import Behaviour, FakeDaemon, commit_of, counters_of

RELEASES = "ABCD"
FINAL = {"confirmed", "refused", "running"}
SAYS = [
    {"READY": "1"},
    {"WATCHDOG": "1"},
    {"X_NEWLEAF_WAITS": "1"},
    {"EXTEND_TIMEOUT_USEC": "5000000"},
    {"X_NEWLEAF_COMMIT": commit_of("D")},
]
names = st.sampled_from(RELEASES)
places = st.integers(0, 3)
seconds = st.sampled_from([0.0, 0.05, 0.3, 1.0, 3.0, 12.0, 65.0])
behaviours = st.builds(
    Behaviour,
    ready=st.sampled_from([0.0, 0.2, 2.0, None]),
    dies=st.sampled_from([None, None, 0.01, 0.5, 4.0]),
    status=st.sampled_from([0, 1, -9, 42]),
    health=st.sampled_from([None, None, "it answers 500", e.SILENT]),
    private=st.sampled_from([None, e.SILENT]),
    waits=st.booleans(),
    early=st.booleans(),
    stops=st.sampled_from([0.0, 0.5, 8.0, None]),
    starts=st.sampled_from([True, True, True, False]),
)


class RandomLife(RuleBasedStateMachine):
    """One daemon. `lines` are the open ones, with the last word that each has heard."""

    def __init__(self) -> None:
        super().__init__()
        self.daemon = FakeDaemon()
        self.lines: dict[int, str] = {}
        self.last = 0
        self.attempt: int | None = None
        self.attempts: set[int] = set()

    @initialize(
        handover=st.sampled_from([OVERLAP, SEQUENTIAL]),
        url=st.sampled_from([None, "http://localhost/health"]),
        first=st.booleans(),
        waits=st.booleans(),
    )
    def begin(self, handover: str, url: str | None, first: bool, waits: bool) -> None:
        health = Health(ready=5.0, probation=3.0, url=url)
        counters = counters_of(None if first else "A", waits=waits)
        self.daemon = FakeDaemon(counters, handover=handover, health=health, stop_seconds=4.0)
        self.daemon.checks.append(self.require_order)
        self.daemon.begin()

    # --- what happens -------------------------------------------------------------------

    @rule(seconds=seconds)
    def time_passes(self, seconds: float) -> None:
        self.daemon.pass_time(seconds)

    @rule(name=names, behaviour=behaviours)
    def a_release_behaves(self, name: str, behaviour: Behaviour) -> None:
        self.daemon.behaves[name] = behaviour

    @rule(place=places, status=st.sampled_from([0, 1, -9, 42]))
    def a_process_ends(self, place: int, status: int) -> None:
        if self.daemon.live:
            self.daemon.end(sorted(self.daemon.live)[-1 - place % len(self.daemon.live)], status)

    @rule(place=places, fields=st.sampled_from(SAYS))
    def a_process_says(self, place: int, fields: dict[str, str]) -> None:
        if self.daemon.live:
            self.daemon.say(sorted(self.daemon.live)[-1 - place % len(self.daemon.live)], **fields)

    @rule(fault=st.sampled_from([None, "it is damaged"]), seconds=st.sampled_from([0.0, 0.4, 3.0]))
    def plans_are_made(self, fault: str | None, seconds: float) -> None:
        self.daemon.plan_fault, self.daemon.plan_seconds = fault, seconds

    @rule(name=names, seconds=st.sampled_from([0.01, 0.5, 7.0]))
    def verdicts_are_dealt_with(self, name: str, seconds: float) -> None:
        self.daemon.settles_as, self.daemon.settle_seconds = name, seconds

    @rule(name=names)
    def another_release_lies_there(self, name: str) -> None:
        self.daemon.loads = name

    @precondition(lambda self: self.attempt is None)
    @rule(name=names, again=st.booleans(), holds=st.booleans())
    def an_attempt_asks(self, name: str, again: bool, holds: bool) -> None:
        attempt = f"to {name}" if again else f"{self.last} to {name}"
        self.attempt = self._call()
        self.attempts.add(self.attempt)
        if holds:
            self.daemon.feed(e.Hold(self.attempt, attempt))
        else:
            self.daemon.hand_over(name, self.attempt, attempt)

    @precondition(lambda self: self.lines.get(self.attempt) == "stopped")
    @rule(name=names)
    def who_holds_hands_over(self, name: str) -> None:
        assert self.attempt is not None
        self.daemon.hand_over(name, self.attempt, f"{self.last} to {name}")

    @precondition(lambda self: self.lines.get(self.attempt) in ("stopped", "failed"))
    @rule(name=names)
    def who_holds_or_has_a_bad_verdict_deals_with_it(self, name: str) -> None:
        self._deal(name)

    @precondition(lambda self: self.lines.get(self.attempt) == "failed")
    @rule()
    def who_has_a_bad_verdict_holds(self) -> None:
        assert self.attempt is not None
        self.lines[self.attempt] = "asked"
        self.daemon.feed(e.Hold(self.attempt, "x"))

    @rule()
    def a_person_reloads(self) -> None:
        self.daemon.feed(e.Reload(self._call()))

    @precondition(lambda self: self.lines)
    @rule(place=places)
    def a_line_hangs_up(self, place: int) -> None:
        self._hang_up(sorted(self.lines)[-1 - place % len(self.lines)])

    # --- who calls ----------------------------------------------------------------------

    def _call(self) -> int:
        self.last += 1
        self.lines[self.last] = "asked"
        return self.last

    def _deal(self, name: str) -> None:
        assert self.attempt is not None
        self.lines[self.attempt] = "settled"
        self.daemon.settle(self.attempt, name)

    def _hang_up(self, line: int) -> None:
        if self.lines.pop(line, None):
            self.attempt = None if self.attempt == line else self.attempt
            self.daemon.feed(e.Hung(line))

    def _hear(self, line: int | None, word: str) -> None:
        assert line is not None
        assert line in self.lines, f"{word!r} is told to {line}, where nobody is"
        assert not self._is_final(line), f"{word!r} follows {self.lines[line]!r} on {line}"
        self.lines[line] = word
        if self._is_final(line):
            self.attempt = None if self.attempt == line else self.attempt
            self.daemon.after(0.1, lambda: self._hang_up(line))

    def _is_final(self, line: int) -> bool:
        """Whether nothing more is waited for on a line; an attempt has a bad verdict still to deal with."""
        word = self.lines[line]
        return word in FINAL or (word == "failed" and line not in self.attempts)

    # --- what may never be --------------------------------------------------------------

    def require_order(self, actions: list[e.Action]) -> None:
        """At every step."""
        supervision, live = self.daemon.supervision, self.daemon.live
        roles = [child.role for child in supervision.children.all.values()]
        assert roles.count(SERVING) <= 1
        assert roles.count(INCOMING) <= 1
        gated = {number for number, process in live.items() if process.gated}
        for action in actions:
            match action:
                case e.Tell(line, word):
                    self._hear(line, word)
                case e.Start(number, plan, is_gated):
                    barred = supervision.settling or supervision.holder or supervision.stopping
                    assert not barred, f"{number} is started, and nothing may be"
                    alone = is_gated or plan.handover == OVERLAP
                    assert alone or not live, f"{number} is started beside {sorted(live)}"
                case e.Go(number):
                    working = set(live) - gated - {number}
                    is_overlap = live[number].plan.handover == OVERLAP
                    assert is_overlap or not working, f"{number} is let in beside {sorted(working)}"
                case e.Settle("failed") | e.Tell(_, "failed"):
                    assert not any(child.reason for child in supervision.children.all.values())
                case e.Exit(code):
                    assert code == 1
                    assert supervision.counters.confirmed is None
                    assert not supervision.children.all
                case _:
                    pass

    def quiet_down(self) -> None:
        """Everything is well from now on, and who holds lets go: who asked has an answer, and one serves."""
        daemon = self.daemon
        if daemon.has_exited:
            return
        daemon.behaves = {
            name: Behaviour(waits=daemon.behaves.get(name, Behaviour()).waits) for name in RELEASES
        }
        daemon.plan_fault, daemon.plan_seconds, daemon.settle_seconds = None, 0.0, 0.1
        for _ in range(6):
            for number in list(daemon.live):
                if number in daemon.live and self._is_hopeless(number):
                    daemon.end(number)
            if self.attempt is not None and self.lines[self.attempt] in ("stopped", "failed"):
                self._deal(daemon.loads)
            daemon.pass_time(45)
        supervision = daemon.supervision
        if daemon.has_exited:
            return
        assert all(self._is_final(line) for line in self.lines), self.lines
        assert daemon.serving
        assert (supervision.order, supervision.line, supervision.holder) == (None, None, None)
        assert not supervision.settling
        assert not supervision.counters.is_on_trial
        daemon.pass_time(70)
        assert supervision.seconds_to_look() >= 1.0 or daemon.has_exited

    def _is_hopeless(self, number: int) -> bool:
        """It was never to become ready; nobody will make it so."""
        child = self.daemon.supervision.children.all[number]
        return child.ready_at is None and child.role != LEAVING

    def teardown(self) -> None:
        self.quiet_down()
