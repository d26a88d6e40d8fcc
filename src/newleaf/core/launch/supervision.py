"""The daemon's life, decided: what is started, let in, asked to leave, given up.

Rules:

1. One process serves. In an overlap the next one is proven beside it and then takes over; where the daemon is
   exclusive, the old one has ended before the new one may work. One that was seen to wait for "go" is started
   beside the old one even then.
2. A release on trial that fails often enough is given up: nothing of it runs any more when that is said. A
   proven one is started for ever, with back-off, and five crashes in half an hour raise an alarm.
3. Who leaves with the exit code of a restart is started at once, within the restart budget.
4. A verdict goes to the attempt's line; where nobody is left on it, a program of newleaf's deals with it.
   Until a bad verdict has been dealt with, nothing is started.
5. Who does not leave in time is killed, and that is said.

Each event is answered by actions, in their order. No I/O, no clock. Standard library only.
"""

from __future__ import annotations

from newleaf.core.launch import events as e
from newleaf.core.launch.child import INCOMING, LEAVING, SERVING, Child
from newleaf.core.launch.children import Children
from newleaf.core.launch.counters import Counters
from newleaf.core.launch.judging import is_proven, may_go
from newleaf.core.launch.pace import seconds_to_look
from newleaf.core.launch.plan import OVERLAP, Plan
from newleaf.core.verdict import CRASH_LOOP, backoff_seconds, is_spent

STABLE_SECONDS = 60.0
UNDER_WAY = "another handover is under way"


class Supervision:
    """One daemon under one launcher.

    `order` is a handover or a reload that has not led to a new process yet; `line` is where the verdict on
    the release on trial goes, `watchers` where it is told that a process serves again; `next` is what is
    started once nobody is left of the old process; `verdict` is what a release was given up for, `settling`
    says that this, or an interrupted update, is being dealt with.
    """

    def __init__(self, counters: Counters) -> None:
        self.counters = counters
        self.children = Children(counters)
        self.order: e.Handover | e.Reload | None = None
        self.line: int | None = None
        self.holder: e.Hold | None = None
        self.next: Plan | None = None
        self.verdict = ""
        self.settling = False
        self.planning = False
        self.stopping = False
        self.is_hold_told = False
        self.is_told = False
        self.is_vouched = False
        self.has_served = False
        self.watchers: list[int] = []
        self.resume_at = 0.0
        self.in_a_row = 0
        self.unplanned_in_a_row = 0

    def handle(self, event: e.Event, now: e.Now) -> list[e.Action]:
        """What is to be done about an event."""
        self.children.now, self.children.done = now, []
        match event:
            case e.Notified(number, fields):
                self.children.heard(number, fields)
            case e.Checked(number, fault):
                self.children.checked(number, fault)
            case e.PlanMade() | e.PlanFailed():
                self._planned(event)
            case e.Exited(number, status):
                self._exited(number, status)
            case e.StartFailed(number, reason):
                self._never_started(number, reason)
            case e.Handover() | e.Reload():
                self._ordered(event)
            case e.Hold():
                self._hold(event)
            case e.Settled(line):
                self._settled(line)
            case e.Hung(line):
                self._hung(line)
            case e.Stop():
                self.children.dismiss_all(at_once=self.stopping)
                self.stopping = True
        self._advance()
        return self.children.done

    def seconds_to_look(self) -> float:
        """After how long time itself may have changed something."""
        serving, everyone = self.children.serving, self.children.all
        asked = self.order or self.settling or self.holder or self.in_a_row
        is_busy = bool(asked) or not self.is_told or self.counters.is_on_trial or serving is None
        is_watched = serving is not None and serving.pinged_at is not None
        return seconds_to_look(len(everyone), is_busy=is_busy, is_watched=is_watched)

    @property
    def _now(self) -> float:
        return self.children.now.steady

    def _do(self, *actions: e.Action) -> None:
        self.children.done += actions

    # --- orders -------------------------------------------------------------------------

    def _ordered(self, order: e.Handover | e.Reload) -> None:
        if isinstance(order, e.Handover) and self._is_known(order):
            return
        is_held = self.holder is not None and self.holder.line != order.line
        if self.stopping or self.settling or self.order or is_held or self._is_tried_for_somebody():
            self._do(e.Tell(order.line, "refused", UNDER_WAY))
            return
        self.order, self.holder = order, None
        self.resume_at = self._now
        self._do(e.Tell(order.line, "accepted"))

    def _is_tried_for_somebody(self) -> bool:
        """A release whose attempt nobody stands for any more may be superseded."""
        return self.counters.is_on_trial and self.line is not None

    def _is_known(self, order: e.Handover) -> bool:
        """Whether what is asked for is here, or on its way: its verdict goes to the new line."""
        serving, counters = self.children.serving, self.counters
        is_awaited = isinstance(self.order, e.Handover) and self.order.attempt == order.attempt
        is_tried = self.counters.is_on_trial and counters.attempt == order.attempt and not self.settling
        if is_awaited or is_tried:
            self.order = order if is_awaited else self.order
            self.line = order.line
            self._do(e.Tell(order.line, "accepted"))
            return True
        is_here = serving is not None and serving.commit == order.commit
        if not is_here or self.order or self.settling or self.stopping or self._is_tried_for_somebody():
            return False
        self._do(e.Tell(order.line, "accepted"))
        self.line = order.line
        if counters.confirmed == order.commit and not self.counters.is_on_trial:
            self._do(e.Tell(order.line, "confirmed"))
            self.line = None
            return True
        # It was started without being asked for, and is judged from now on.
        counters.begin_trial(order.attempt, order.commit)
        counters.starts += 1
        return True

    def _hold(self, hold: e.Hold) -> None:
        # Who deals with a bad verdict may need the old process stopped, to put its data back.
        is_dealing = self.settling and self.line in (None, hold.line)
        is_other = self.settling or self.order or self._is_tried_for_somebody()
        if self.stopping or self.holder or (is_other and not is_dealing):
            self._do(e.Tell(hold.line, "refused", UNDER_WAY))
            return
        self.holder, self.is_hold_told = hold, False
        self.children.announce("an update changes what must not be in use")
        self.children.dismiss_all()

    def _settled(self, line: int | None) -> None:
        if line is not None:
            self.watchers.append(line)
        self.is_vouched = line is not None
        if self.holder and self.holder.line == line:
            self.holder, self.resume_at, self.is_told = None, self._now, False
        if not self.settling:
            return
        self.settling, self.verdict, self.line = False, "", None
        self.counters.end_trial(None)
        pause = backoff_seconds(self.unplanned_in_a_row + 3) if self.unplanned_in_a_row else 0.0
        self.resume_at, self.in_a_row, self.is_told = self._now + pause, 0, False

    def _hung(self, line: int) -> None:
        self.watchers = [other for other in self.watchers if other != line]
        if self.order and self.order.line == line:
            self.order = self.order._replace(line=None)
        if self.holder and self.holder.line == line:
            self.holder = None
            self._settle("left", "the update was interrupted")
        if self.line == line:
            self.line = None
            if self.verdict:
                self._settle("failed", self.verdict)

    # --- plans and starts ---------------------------------------------------------------

    def _planned(self, made: e.PlanMade | e.PlanFailed) -> None:
        """It is known what a start would load now, or why that is not known."""
        self.planning = False
        if self.stopping or self.settling or self.holder:
            return
        if isinstance(made, e.PlanFailed):
            self._cannot_plan(made.reason)
            return
        self.unplanned_in_a_row = 0
        plan, serving = made.plan, self.children.serving
        if isinstance(self.order, e.Handover) and plan.release.commit != self.order.commit:
            self._end_order("refused", f"{plan.release.name} is what a start would load")
        if serving is None:
            self._begin(plan)
        elif self.order:
            self.children.announce(f"handing over to {plan.release.name}")
            if plan.handover == OVERLAP or self.counters.waits:
                self._count_start(plan)
                self.children.start(plan, INCOMING)
            else:
                self.next = plan
                self.children.dismiss(serving)

    def _cannot_plan(self, reason: str) -> None:
        self.unplanned_in_a_row += 1
        self._do(e.Say(f"nothing can be started: {reason}"))
        if self.order and self.children.serving:
            self._end_order("refused", reason)
        else:
            self._settle("left", reason)

    def _begin(self, plan: Plan) -> None:
        """Starts what is to serve, now that nobody does."""
        self.next, self.is_told = None, False
        self._count_start(plan)
        self._order_led_to_a_process()
        self.children.start(plan, SERVING)

    def _count_start(self, plan: Plan) -> None:
        attempt = self.order.attempt if isinstance(self.order, e.Handover) else None
        self.counters.count_start(plan, attempt)
        if self.order:
            self.counters.note(self.counters.restarts, self.children.now.wall)

    def _order_led_to_a_process(self) -> None:
        if isinstance(self.order, e.Handover):
            self.line = self.order.line
        elif self.order and self.order.line is not None:
            self.watchers.append(self.order.line)
        self._end_order("started")

    def _end_order(self, word: str, reason: str = "") -> None:
        """The order has led to a process, or to nothing."""
        order, self.order = self.order, None
        if order is not None:
            self._do(e.Tell(order.line, word, reason))
            if word in ("failed", "refused"):
                self._do(e.Withdraw())

    # --- the end of a child -------------------------------------------------------------

    def _never_started(self, number: int, reason: str) -> None:
        child = self.children.all.pop(number, None)
        if child is None:
            return
        if self.counters.confirmed is None and self.counters.attempt is None and not self.order:
            self._do(e.Say(f"the daemon cannot be started: {reason}"), e.Exit(1))
            return
        self._lose(child, reason)

    def _exited(self, number: int, status: int) -> None:
        child = self.children.all.pop(number, None)
        if child is None or self.stopping:
            return
        if child.role == LEAVING:
            if child.reason:
                self._lose(child, child.reason)
        elif child.role == SERVING and status == child.plan.exit_code:
            self._wants_restart(child)
        else:
            is_signal = status < 0
            how = f"was ended by signal {-status}" if is_signal else f"ended with exit code {status}"
            self._lose(child, f"it {how}")

    def _wants_restart(self, child: Child) -> None:
        budget, counters, wall = child.plan.budget, self.counters, self.children.now.wall
        if is_spent(budget, counters.restarts, wall):
            self.children.alarm(f"it asked for more than {budget.times} restarts in {budget.seconds:g} s")
            self._lose(child, "the restart budget is spent")
        elif counters.is_given_up(child.plan):
            self._lose(child, "it asked for a restart again before it was proven")
        else:
            counters.note(counters.restarts, wall)
            self._do(e.Say("the daemon asked for a restart"))
            self.children.announce("the daemon asked for it", child)
            self.resume_at = self._now

    def _lose(self, child: Child, reason: str) -> None:
        """A child has ended that was not asked to, or that had failed."""
        if self.holder or self.settling or self.stopping:
            return
        if self.counters.is_tried(child.commit):
            if self.counters.is_given_up(child.plan):
                self._give_up(reason)
            else:
                self.resume_at = self.children.start_again(child, reason, self.counters.starts)
        elif self.order and self.children.serving:
            self._end_order("failed", reason)
        else:
            self._crashed(child, reason)

    def _crashed(self, child: Child, reason: str) -> None:
        counters, wall = self.counters, self.children.now.wall
        counters.note(counters.crashes, wall)
        self.in_a_row += 1
        if is_spent(CRASH_LOOP, counters.crashes, wall):
            self.children.alarm(
                f"{child.plan.release.name} has crashed again and again; the last time {reason}"
            )
        self.resume_at = self.children.start_again(child, reason, self.in_a_row)

    def _give_up(self, reason: str) -> None:
        """The release on trial is not kept."""
        if self.order:
            # Its process never came to serve; the verdict is what its line waits for.
            self.line, self.order = self.order.line, None
        self.next, self.verdict = None, reason
        self._do(e.Say(f"given up: {reason}"))
        if self.line is None:
            self._settle("failed", reason)
        else:
            self.settling = True
            self._do(e.Tell(self.line, "failed", reason))

    def _settle(self, word: str, reason: str) -> None:
        """A program of newleaf's deals with it, and nothing starts meanwhile."""
        self.settling = True
        self._do(e.Settle(word, reason))

    # --- time ---------------------------------------------------------------------------

    def _advance(self) -> None:
        """What follows from where all stands now."""
        self.children.watch()
        self._take_over()
        self._fill()
        self._conclude()
        if self.children.all:
            return
        if self.holder and not self.is_hold_told:
            self.is_hold_told = True
            self._do(e.Tell(self.holder.line, "stopped"))
        if self.stopping:
            self._do(e.Exit(0))

    def _take_over(self) -> None:
        """Lets the incoming process in when it has shown what it can."""
        incoming, serving = self.children.incoming, self.children.serving
        if incoming is None:
            return
        if incoming.plan.handover == OVERLAP:
            if may_go(incoming):
                self.children.let_go(incoming)
            elif is_proven(incoming) and not (incoming.is_gated and incoming.waits):
                self._let_serve(incoming, serving)
        elif incoming.waits or incoming.ready_at is not None:
            if serving:
                self.children.dismiss(serving)
            elif not self.children.are_leaving:
                self._let_serve(incoming, None)

    def _let_serve(self, incoming: Child, old: Child | None) -> None:
        if old:
            # First, so that there is one that serves, whoever looks.
            self.children.dismiss(old)
        self.children.let_serve(incoming)
        self.is_told = False
        self._order_led_to_a_process()

    def _fill(self) -> None:
        """Finds out what to start where a process is missing, once that may be."""
        if self.stopping or self.settling or self.holder or self.planning:
            return
        children = self.children
        is_clear = not children.all if children.are_exclusive else children.serving is None
        if self.next and is_clear:
            if self.order:
                self._do(e.Tell(self.order.line, "stopped"))
            self._begin(self.next)
            return
        is_wanted = is_clear or (self.order is not None and children.serving is not None)
        if is_wanted and not (self.next or children.incoming) and self._now >= self.resume_at:
            self.planning = True
            self._do(e.MakePlan(isinstance(self.order, e.Reload), self.is_vouched))
            self.is_vouched = False

    def _conclude(self) -> None:
        """The serving process is ready; the release on trial has come through its probation."""
        child, now = self.children.serving, self._now
        if child is None or not is_proven(child) or self.stopping:
            return
        child.proven_at = now if child.proven_at is None else child.proven_at
        if not self.is_told or self.watchers:
            self._tell_ready(child)
        is_tried = self.counters.commit == child.commit
        if is_tried and now >= child.proven_at + child.plan.health.probation:
            self._confirm(child)
        if (self.in_a_row or self.counters.alarmed) and now >= child.proven_at + STABLE_SECONDS:
            self.in_a_row, self.counters.alarmed = 0, False

    def _tell_ready(self, child: Child) -> None:
        self._do(e.Ready(child.number), *(e.Tell(line, "running") for line in self.watchers))
        self.is_told, self.watchers = True, []
        if self.order is None:
            self._do(e.Withdraw())
        if self.line is not None:
            self._do(e.Tell(self.line, "serving"))
        if not self.has_served and not self.counters.is_on_trial:
            # Whatever the last launcher left said is put right (lessons.md L3).
            self._do(e.Settle("confirmed"))
        self.has_served = True

    def _confirm(self, child: Child) -> None:
        self.counters.end_trial(child.commit)
        self._do(e.Say(f"{child.plan.release.name} is confirmed"))
        self._do(e.Settle("confirmed") if self.line is None else e.Tell(self.line, "confirmed"))
        self.line = None
