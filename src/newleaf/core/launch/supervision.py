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
from newleaf.core.launch.children import STABLE_SECONDS, Children, how_it_ended
from newleaf.core.launch.counters import Counters
from newleaf.core.launch.judging import is_proven
from newleaf.core.launch.pace import seconds_to_look
from newleaf.core.launch.plan import Plan
from newleaf.core.verdict import backoff_seconds, is_spent

MOST_UNPLANNED = 5
"""So often in a row the plan of a release on trial may fail, while its attempt waits."""
UNDER_WAY = "another handover is under way"
ASKED_AGAIN = "the same attempt has asked again"


class Supervision:
    """One daemon under one launcher.

    `order` is a handover or a reload that has not led to a new process yet; `line` is where the verdict on
    the release on trial goes, `watchers` where it is told that a process serves again; `next` is what is
    started once nobody is in its way; `verdict` is what a release was given up for, `settling` says that
    this, or an interrupted update, is being dealt with; `is_outdated` that the plan being made is of before.
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
        self.is_outdated = False
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

    def _tell(self, line: int | None, word: str, reason: str = "") -> None:
        if line is not None:
            self._do(e.Tell(line, word, reason))

    # --- orders -------------------------------------------------------------------------

    def _ordered(self, order: e.Handover | e.Reload) -> None:
        if isinstance(order, e.Handover) and self._is_known(order):
            return
        is_held = self.holder is not None and self.holder.line != order.line
        if self.stopping or self.settling or self.order or is_held or self._is_in_the_way(order):
            self._tell(order.line, "refused", UNDER_WAY)
            return
        self.order, self.holder = order, None
        self.resume_at = self._now
        self._plan_anew()
        self._tell(order.line, "accepted")

    def _is_in_the_way(self, order: e.Handover | e.Reload | e.Hold) -> bool:
        """Whether a release on trial is: another attempt may supersede one that nobody stands for."""
        if isinstance(order, e.Reload):
            return self.counters.attempt is not None
        return self.counters.is_on_trial and self.line is not None

    def _is_known(self, order: e.Handover) -> bool:
        """Whether what is asked for is here, or on its way: its verdict goes to the new line."""
        counters, awaited = self.counters, self.order
        if self.stopping or self.settling or (self.holder and self.holder.line == order.line):
            return False
        if isinstance(awaited, e.Handover) and awaited.attempt == order.attempt:
            self._tell(awaited.line, "refused", ASKED_AGAIN)
            self.order = order
            self._tell(order.line, "accepted")
            return True
        serving = self.children.serving
        is_tried = counters.is_on_trial and counters.attempt == order.attempt
        is_here = serving is not None and serving.commit == order.commit
        if not is_tried and (not is_here or awaited or self._is_in_the_way(order)):
            return False
        self._tell(self.line, "refused", ASKED_AGAIN)
        self.line = order.line
        self._do(*(e.Tell(order.line, word) for word in ("accepted", "started") if order.line is not None))
        if not is_tried and not counters.is_on_trial and counters.confirmed == order.commit:
            self._tell(order.line, "confirmed")
            self.line = None
        elif not is_tried:
            counters.begin_trial(order.attempt, order.commit)  # nobody had asked for it so far
            counters.starts += 1
        return True

    def _hold(self, hold: e.Hold) -> None:
        # Who deals with a bad verdict may need the old process stopped, to put its data back.
        is_dealing = self.settling and self.line in (None, hold.line)
        is_other = self.settling or self.order or self._is_in_the_way(hold)
        if self.stopping or self.holder or (is_other and not is_dealing):
            self._tell(hold.line, "refused", UNDER_WAY)
            return
        self.holder, self.is_hold_told = hold, False
        self._plan_anew()
        self.children.announce("an update changes what must not be in use")
        self.children.dismiss_all()

    def _settled(self, line: int | None) -> None:
        """Nothing is in the way any more of what lies there now, as far as this line can say so."""
        if line is not None:
            self.watchers.append(line)
        is_held = self.holder is not None and self.holder.line == line
        if is_held:
            self.holder = None
        elif not self.settling or line != (self.line if self.verdict else None):
            return
        self.is_vouched, self.is_told = line is not None, False
        if self.verdict:
            self.counters.end_trial(None)
            self.verdict, self.line = "", None
        self.settling = False
        self.has_served &= line is not None  # else nothing ran when it was last said what runs
        failures = self.unplanned_in_a_row + max(0, self.in_a_row - 1)
        self.resume_at = self._now + (backoff_seconds(failures + 3) if failures else 0.0)

    def _hung(self, line: int) -> None:
        self.watchers = [other for other in self.watchers if other != line]
        if self.order and self.order.line == line:
            self.order = self.order._replace(line=None)  # carried out all the same
        if self.holder and self.holder.line == line:
            self.holder = None
            if not self.settling:
                self._settle("left", "the update was interrupted")
        if self.line == line:
            self.line = None
            if self.verdict:
                self._settle("failed", self.verdict)

    # --- plans and starts ---------------------------------------------------------------

    def _plan_anew(self) -> None:
        """What a start would load has changed, or is about to."""
        self.next, self.is_outdated = None, self.planning

    def _planned(self, made: e.PlanMade | e.PlanFailed) -> None:
        """It is known what a start would load now, or why that is not known."""
        self.planning, is_outdated, self.is_outdated = False, self.is_outdated, False
        if self.stopping or self.settling or self.holder or is_outdated:
            return
        if isinstance(made, e.PlanFailed):
            self._cannot_plan(made.reason)
            return
        self.unplanned_in_a_row, plan, serving = 0, made.plan, self.children.serving
        if isinstance(self.order, e.Handover) and plan.release.commit != self.order.commit:
            self._end_order("refused", f"{plan.release.name} is what a start would load")
        if serving is None:
            self.next = plan
        elif self.order:
            self.children.announce(f"handing over to {plan.release.name}")
            if self.children.may_join(plan):
                self.children.count_start(plan, self.order)
                self.children.start(plan, INCOMING)
            else:
                self.next = plan
                self.children.dismiss(serving)

    def _cannot_plan(self, reason: str) -> None:
        self.unplanned_in_a_row += 1
        self._do(e.Say(f"nothing can be started: {reason}"))
        # Whoever waits for it may hold the lock that is needed to deal with it.
        self._end_order("refused", reason)
        self.resume_at = self._now + backoff_seconds(self.unplanned_in_a_row + 3)
        if self.children.serving is None and self.line is None:
            self._settle("left", reason)
        elif self.children.serving is None and self.unplanned_in_a_row >= MOST_UNPLANNED:
            self._give_up(reason)

    def _begin(self, plan: Plan) -> None:
        """Starts what is to serve, now that nobody does."""
        if unproven := self.counters.never_proven(plan):
            self._give_up(unproven)
            return
        self.next, self.is_told = None, False
        self._tell(self.order.line if self.order else None, "stopped")
        self.children.count_start(plan, self.order)
        self._order_led_to_a_process()
        self.children.start(plan, SERVING)

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
            self._tell(order.line, word, reason)
            if word in ("failed", "refused"):
                self._do(e.Withdraw())

    # --- the end of a child -------------------------------------------------------------

    def _never_started(self, number: int, reason: str) -> None:
        child = self.children.all.pop(number, None)
        is_first = self.counters.confirmed is None and self.counters.attempt is None
        if child and is_first and not (self.order or self.children.all or self.stopping):
            self._do(e.Say(f"the daemon cannot be started: {reason}"), e.Exit(1))
        elif child:
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
            self._lose(child, how_it_ended(status))

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
        order, counters = self.order, self.counters
        is_superseded = isinstance(order, e.Handover) and order.attempt != counters.attempt
        if counters.is_tried(child.commit) and not is_superseded:
            if counters.is_given_up(child.plan):
                self._give_up(reason)
            else:
                self.resume_at = self.children.start_again(child, reason, counters.starts)
        elif order and self.children.serving:
            if counters.commit == child.commit:
                counters.end_trial(None)
            self._end_order("failed", reason)
        else:
            self.in_a_row += 1
            self.resume_at = self.children.crash(child, reason, self.in_a_row)
            # Who only reloads gives up; who has put a release back waits on, for as long as it takes.
            self._do(*(e.Tell(line, "failed", reason) for line in self.watchers))

    def _give_up(self, reason: str) -> None:
        """The release on trial is not kept."""
        if isinstance(self.order, e.Handover):
            # Its process never came to serve; the verdict is what its line waits for.
            self.line, self.order = self.order.line, None
        self._end_order("failed", reason)
        self._plan_anew()
        self.verdict, self.in_a_row = reason, self.in_a_row + 1
        self._do(e.Say(f"given up: {reason}"))
        self.settling = True
        self._do(e.Settle("failed", reason) if self.line is None else e.Tell(self.line, "failed", reason))

    def _settle(self, word: str, reason: str) -> None:
        """A program of newleaf's deals with it, and nothing starts meanwhile."""
        self._plan_anew()
        self.settling = True
        self._do(e.Settle(word, reason))

    # --- time ---------------------------------------------------------------------------

    def _advance(self) -> None:
        """What follows from where all stands now."""
        self.children.watch()
        if self.children.take_over():
            self.is_told = False
            self._order_led_to_a_process()
        self._fill()
        self._conclude()
        if self.holder and not (self.is_hold_told or self.children.all):
            self.is_hold_told = True
            self._tell(self.holder.line, "stopped")
        if self.stopping and not self.children.all:
            self._do(e.Withdraw(), e.Exit(0))

    def _fill(self) -> None:
        """Finds out what to start where a process is missing, and starts it, once that may be."""
        children = self.children
        is_barred = self.stopping or self.settling or self.holder is not None
        if is_barred or self.planning or children.have_failed:
            return
        if self.next:
            if children.are_clear(self.next):
                self._begin(self.next)
            return
        is_wanted = children.are_clear(None) or (self.order is not None and children.serving is not None)
        if is_wanted and children.incoming is None and self._now >= self.resume_at:
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
        if self.counters.commit == child.commit and now >= child.proven_at + child.plan.health.probation:
            self._confirm(child)
        if (self.in_a_row or self.counters.alarmed) and now >= child.proven_at + STABLE_SECONDS:
            self.in_a_row, self.counters.alarmed = 0, False

    def _tell_ready(self, child: Child) -> None:
        self._do(e.Ready(child.number), *(e.Tell(line, "running") for line in self.watchers))
        self.is_told, self.watchers = True, []
        if self.order is None:
            self._do(e.Withdraw())
        self._tell(self.line if self.counters.commit == child.commit else None, "serving")
        if not self.has_served and not self.counters.is_on_trial:
            self._do(e.Settle("confirmed"))  # lessons.md L3: what the last launcher left said is put right
        self.has_served = True

    def _confirm(self, child: Child) -> None:
        self.counters.end_trial(child.commit)
        self._do(e.Say(f"{child.plan.release.name} is confirmed"))
        self._do(e.Settle("confirmed") if self.line is None else e.Tell(self.line, "confirmed"))
        self.line = None
