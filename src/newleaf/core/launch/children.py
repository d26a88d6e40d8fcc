"""The processes of one daemon: who serves, who is coming, who is leaving.

One serves and one is coming, at most; any number may be leaving. What has failed is asked to leave, and
counts as lost when it has: `core.launch.supervision` says what follows from that. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping

from newleaf.core.launch import events as e
from newleaf.core.launch.child import INCOMING, LEAVING, SERVING, Child
from newleaf.core.launch.counters import Counters
from newleaf.core.launch.judging import (
    find_fault,
    grow_ready,
    hear,
    is_check_due,
    is_proven,
    may_go,
    note_check,
    plan_to_ask,
)
from newleaf.core.launch.plan import OVERLAP, Plan
from newleaf.core.verdict import CRASH_LOOP, backoff_seconds, is_spent

FAILED_STOP_SECONDS = 5.0
"""How long a process that has failed is given to end."""
AWAY_SECONDS = 30.0
STABLE_SECONDS = 60.0
"""Who has been proven for so long did not crash at its start."""


class Children:
    """`done` is where what is to be done is added; `now` is set before each event."""

    def __init__(self, counters: Counters) -> None:
        self.counters = counters
        self.all: dict[int, Child] = {}
        self.started = 0
        self.now = e.Now(0.0, 0.0)
        self.done: list[e.Action] = []

    def of(self, role: str) -> Child | None:
        """The child in a role that only one has."""
        return next((child for child in self.all.values() if child.role == role), None)

    @property
    def serving(self) -> Child | None:
        return self.of(SERVING)

    @property
    def incoming(self) -> Child | None:
        return self.of(INCOMING)

    @property
    def are_leaving(self) -> bool:
        return any(child.role == LEAVING for child in self.all.values())

    @property
    def have_failed(self) -> bool:
        """Whether one that is no good has still to leave: what follows from that is decided when it has."""
        return any(child.reason for child in self.all.values())

    def are_clear(self, plan: Plan | None) -> bool:
        """Whether one that serves may be started, by this plan where it is known already."""
        plans = [child.plan for child in self.all.values()] + ([plan] if plan else [])
        is_exclusive = any(known.handover != OVERLAP for known in plans)
        return not self.all if is_exclusive else self.serving is None

    def may_join(self, plan: Plan) -> bool:
        """Whether one may be started beside the process that serves."""
        serving = self.serving
        if serving is None or serving.plan.handover != plan.handover:
            return False
        return plan.handover == OVERLAP or self.counters.waits

    def count_start(self, plan: Plan, order: e.Handover | e.Reload | None) -> None:
        """One is about to be started, because of `order` where there is one."""
        self.counters.count_start(plan, order.attempt if isinstance(order, e.Handover) else None)
        if order:
            self.counters.note(self.counters.restarts, self.now.wall)

    def start(self, plan: Plan, role: str) -> None:
        """Starts one more."""
        self.started += 1
        child = Child(self.started, plan, role, self.now.steady)
        self.all[child.number] = child
        self.done.append(e.Start(child.number, plan, child.is_gated, child.has_health))
        if role == SERVING:
            self.done.append(e.Serves(child.number, plan))

    def let_go(self, child: Child) -> None:
        """Tells one that it may accept."""
        child.let_in(self.now.steady)
        self.done.append(e.Go(child.number))

    def take_over(self) -> bool:
        """Lets the incoming process in when it has shown what it can; True once it is the daemon."""
        incoming, serving = self.incoming, self.serving
        if incoming is None:
            return False
        if incoming.plan.handover == OVERLAP:
            if may_go(incoming):
                self.let_go(incoming)
            elif is_proven(incoming) and not (incoming.is_gated and incoming.waits):
                self.let_serve(incoming)
        elif incoming.waits or incoming.ready_at is not None:
            if serving:
                self.dismiss(serving)
            elif not self.are_leaving:
                self.let_serve(incoming)
        return incoming.role == SERVING

    def let_serve(self, child: Child) -> None:
        """The incoming one is the daemon from now on."""
        if self.serving:
            # First, so that there is one that serves, whoever looks.
            self.dismiss(self.serving)
        child.role = SERVING
        if child.is_gated:
            self.let_go(child)
        child.has_health, child.failed, child.ask_at = False, 0, self.now.steady
        self.done.append(e.Serves(child.number, child.plan))

    def dismiss(self, child: Child, seconds: float | None = None) -> None:
        """Asks one to leave, within its own time to stop, or less."""
        if child.role == LEAVING:
            return
        stop = child.plan.stop_seconds if seconds is None else min(seconds, child.plan.stop_seconds)
        child.role, child.leaves_by = LEAVING, self.now.steady + stop
        self.done.append(e.Terminate(child.number))

    def dismiss_all(self, *, at_once: bool = False) -> None:
        """Asks every one to leave; `at_once`: kills them."""
        for child in self.all.values():
            self.dismiss(child)
            if at_once:
                self.done.append(e.Kill(child.number))

    def start_again(self, child: Child, reason: str, failures: int) -> float:
        """One has ended that should run; returns when the next is to be started."""
        seconds = backoff_seconds(failures)
        self.done.append(e.Say(f"{child.plan.release.name}: {reason}; started again in {seconds:g} s"))
        return self.now.steady + seconds

    def crash(self, child: Child, reason: str, in_a_row: int) -> float:
        """A proven one has ended; returns when the next is to be started."""
        counters, wall = self.counters, self.now.wall
        counters.note(counters.crashes, wall)
        if is_spent(CRASH_LOOP, counters.crashes, wall):
            name = child.plan.release.name
            self.alarm(f"{name} has crashed again and again; the last time {reason}")
        return self.start_again(child, reason, in_a_row)

    def fail(self, child: Child, reason: str) -> None:
        """One is no good: it is asked to leave, and is lost once it has."""
        child.reason = reason
        self.done.append(e.Say(f"{child.plan.release.name} failed: {reason}"))
        self.dismiss(child, FAILED_STOP_SECONDS)

    def announce(self, reason: str, *others: Child) -> None:
        """Watchdogs are told that the daemon may be away for as long as it takes to stop and to start."""
        known = (*self.all.values(), *others)
        limits = [child.plan.stop_seconds + child.plan.health.ready for child in known]
        self.done.append(e.Announce(reason, max(limits, default=AWAY_SECONDS)))

    def alarm(self, text: str) -> None:
        """Says it once, until a process has been stable."""
        if not self.counters.alarmed:
            self.counters.alarmed = True
            self.done.append(e.Alarm(text))

    def heard(self, number: int, fields: Mapping[str, str]) -> None:
        """One has said something of itself."""
        child = self.all.get(number)
        if child is None:
            return
        fault = hear(child, fields, self.now.steady)
        self.counters.notifies = self.counters.notifies or child.said_ready
        self.counters.waits = self.counters.waits or child.waits
        if fault and child.role != LEAVING:
            self.fail(child, fault)

    def checked(self, number: int, fault: str | None) -> None:
        """A health check came back."""
        if child := self.all.get(number):
            note_check(child, fault, self.now.steady, notifies=self.counters.notifies)

    def watch(self) -> None:
        """What the time that has passed means for each."""
        for child in list(self.all.values()):
            if child.role == LEAVING:
                self._watch_leaving(child)
            else:
                self._watch_working(child)

    def _watch_leaving(self, child: Child) -> None:
        if child.leaves_by is not None and self.now.steady > child.leaves_by and not child.was_killed:
            child.was_killed = True
            self.done.append(e.Say(f"{child.plan.release.name} did not stop in time and is killed"))
            self.done.append(e.Kill(child.number))

    def _watch_working(self, child: Child) -> None:
        now, notifies = self.now.steady, self.counters.notifies
        grow_ready(child, now, notifies=notifies)
        fault = find_fault(child, now)
        if fault:
            self.fail(child, fault)
        elif self._is_judged(child) and is_check_due(child, now, notifies=notifies):
            child.is_asked = True
            self.done.append(e.Ask(child.number, plan_to_ask(child), child.has_health))

    def _is_judged(self, child: Child) -> bool:
        return child.role == INCOMING or self.counters.commit == child.commit or not is_proven(child)


def how_it_ended(status: int) -> str:
    """For people: an exit code, or minus a signal's number."""
    return f"it was ended by signal {-status}" if status < 0 else f"it ended with exit code {status}"
