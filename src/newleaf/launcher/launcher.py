"""The launcher: does what `core.launch.supervision` decides, and tells it what happens.

Rules: it decides nothing itself; it is small, and has everything that takes more than the standard library
done by programs of newleaf's; a failure of what it writes or says never ends the daemon.
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from newleaf.core.errors import NewleafError
from newleaf.core.launch import events as e
from newleaf.core.launch.companion import Companion
from newleaf.core.launch.notify_fields import AGENT_FIELD
from newleaf.core.launch.plan import Plan, Post
from newleaf.core.launch.supervision import Supervision
from newleaf.launcher import programs
from newleaf.launcher.agent_process import AgentProcess
from newleaf.launcher.control import CONTROL, Line
from newleaf.launcher.daemon_processes import DAEMON
from newleaf.launcher.opened import Opened, status_of
from newleaf.launcher.processes import NotStarted
from newleaf.launcher.programs import Programs
from newleaf.launcher.state_files import StateFiles, utc
from newleaf.launcher.upward import Upward
from newleaf.system import loaded_tree, planned_restart, process_table

SETTLE_TRIES = 60
SETTLE_PAUSE_SECONDS = 1.0
LOCKED = 3


class Launcher:
    """One launcher. `say` is given a line for its own output."""

    def __init__(
        self,
        files: StateFiles,
        post: Post,
        supervision: Supervision,
        opened: Opened,
        say: Callable[[str], None],
    ) -> None:
        self.files = files
        self.post = post
        self.supervision = supervision
        self.opened = opened
        self.programs = Programs(post.program, files.folder, opened.processes, opened.loop)
        companion = Companion(wanted=post.agent)
        self.agent = AgentProcess(companion, self.programs, opened.processes, say)
        self.exit_code: int | None = None
        self.wants_reload = False
        self.is_ready_told = False
        self.settle_tries = 0
        self._say = say
        self._events: deque[e.Event] = deque()
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._serves: tuple[int, Plan] | None = None
        self._complaint = ""
        self._upward = Upward(os.environ)
        self._perform: Mapping[type, Callable[[Any], None]] = {
            e.Start: lambda a: opened.daemon.start(a, opened.log.sink if opened.log else None),
            e.Go: lambda a: opened.daemon.go(a.child),
            e.Terminate: lambda a: opened.daemon.terminate(a.child),
            e.Kill: lambda a: opened.daemon.kill(a.child),
            e.Ask: self._ask,
            e.Serves: self._note_serving,
            e.Ready: lambda _: self._tell_ready(),
            e.MakePlan: self._make_plan,
            e.Tell: self._tell,
            e.Settle: lambda a: self._settle(a.word, a.reason),
            e.Announce: self._announce,
            e.Withdraw: lambda _: self._tolerate(planned_restart.withdraw, files.folder),
            e.Alarm: self._alarm,
            e.Say: lambda a: say(a.text),
            e.Exit: self._exit,
        }

    # --- the loop -----------------------------------------------------------------------

    def run(self) -> int | None:
        """Runs until it is to end, with the exit code; None when it is to be loaded anew."""
        self.feed(e.Tick())
        # What is to be done later is done before it is loaded anew.
        while self.exit_code is None and (self._later or not self.wants_reload):
            self._handle_events()
            for number in self.opened.loop.wait(0.0 if self._events else self._seconds()):
                self._signalled(number)
            self._reap()
            self._pass_time()
            self.feed(e.Tick())
        if self.exit_code is not None:
            self.agent.await_end()
            self.opened.control.end(self.files.folder / CONTROL)
        self._handle_events()
        if self.opened.log:
            self.opened.log.read()
        self.write_state()
        return self.exit_code

    def resumed(self) -> None:
        """Takes up what was waited for when this process was loaded anew."""
        serving = self.supervision.children.serving
        self._serves = (serving.number, serving.plan) if serving else None
        is_run = any(
            known.kind.startswith(programs.SETTLE) for known in self.opened.processes.running.values()
        )
        if self.supervision.settling and self.supervision.line is None and not is_run:
            verdict = self.supervision.verdict
            self._settle("failed" if verdict else "left", verdict or "the update was interrupted")
        self._say("loaded anew; the daemon runs on")

    def feed(self, event: e.Event) -> None:
        """Something has happened."""
        self._events.append(event)

    def _handle_events(self) -> None:
        while self._events and self.exit_code is None:
            event = self._events.popleft()
            if isinstance(event, e.Notified):
                self._upward.relay(event.fields)
                if event.fields.get(AGENT_FIELD) == "1":
                    self.agent.leave_to_daemon()
            before = self.supervision.counters.as_record()
            actions = self.supervision.handle(event, e.Now(time.monotonic(), time.time()))
            if self.supervision.counters.as_record() != before:
                self.write_state()
            for action in actions:
                self._perform[type(action)](action)

    def _seconds(self) -> float:
        now = time.monotonic()
        due = [when - now for when, _ in self._later]
        agent = self.agent.seconds_to_start(now) if self.is_ready_told else None
        looks = (self.supervision.seconds_to_look(), agent, self._upward.seconds_to_ping(now))
        return max(0.0, min(*due, *(seconds for seconds in looks if seconds is not None), 3600.0))

    def _signalled(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._say("asked to stop")
            self._upward.say("STOPPING=1")
            self.agent.end()
            self.feed(e.Stop())
        elif number == signal.SIGHUP:
            self._prove_itself()

    def _pass_time(self) -> None:
        now = time.monotonic()
        self.programs.end_overdue(now)
        due = [act for when, act in self._later if when <= now]
        self._later = [(when, act) for when, act in self._later if when > now]
        for act in due:
            act()
        if self.is_ready_told and not self.supervision.stopping:
            self.agent.start_if_due(now)
        self._upward.ping_if_due(now)

    # --- ends of processes --------------------------------------------------------------

    def _reap(self) -> None:
        for known, pid, status in self.opened.processes.ended():
            if known.kind == DAEMON:
                self.opened.daemon.last_words(known.number, pid)
                self.opened.daemon.forget(known.number)
                self.feed(e.Exited(known.number, status))
            elif known.kind == programs.CHECK:
                self._checked(known.number, self.programs.fault_of_check(status, self.programs.ended(pid)))
            elif known.kind == programs.PLAN:
                self._planned(status, self.programs.ended(pid))
            elif known.kind.startswith(programs.SETTLE):
                self._settle_ended(known.kind, status)
            elif known.kind == programs.AGENT:
                self.agent.companion.ended(time.monotonic())
            elif known.kind == programs.ITSELF:
                self._proven(status)

    def _checked(self, number: int, fault: str | None) -> None:
        if fault == e.SILENT and self.opened.daemon.has_taken(number):
            fault = e.UNANSWERED
        self.feed(e.Checked(number, fault))

    def _prove_itself(self) -> None:
        """Before it is loaded anew, a process of its own shows that this can be done."""
        try:
            self.programs.prove_launcher()
        except NotStarted as error:
            self._say(f"not loaded anew: {error}")

    def _proven(self, status: int) -> None:
        if status == 0:
            self.wants_reload = True
        else:
            self._say(f"not loaded anew: the launcher that lies there now does not start ({status})")

    def _planned(self, status: int, said: str) -> None:
        if status != 0:
            self.feed(e.PlanFailed(said or f"its plan could not be made (exit code {status})"))
            return
        self._feed_plan()

    def _feed_plan(self) -> None:
        try:
            _, plan = self.files.read_launcher()
        except NewleafError as error:
            self.feed(e.PlanFailed(error.message))
            return
        self.feed(e.PlanMade(plan._replace(attempt=self.files.attempt_of(plan.release.commit))))

    def _settle_ended(self, kind: str, status: int) -> None:
        word, _, reason = kind.removeprefix(f"{programs.SETTLE}:").partition(":")
        self.settle_tries += 1
        if status == LOCKED and self.settle_tries < SETTLE_TRIES:
            self._in(SETTLE_PAUSE_SECONDS, lambda: self._settle_again(word, reason))
        elif word != "confirmed":
            self.feed(e.Settled())

    def _settle_again(self, word: str, reason: str) -> None:
        # Another release may be on trial by now: what was found to be good then is not that one.
        if word != "confirmed" or not self.supervision.counters.is_on_trial:
            self._run_settle(word, reason)

    # --- what is done -------------------------------------------------------------------

    def _ask(self, ask: e.Ask) -> None:
        path = self.opened.daemon.health_path(ask.child) if ask.private else None
        try:
            self.programs.check(ask, path, time.monotonic())
        except NotStarted as error:
            self.feed(e.Checked(ask.child, str(error)))

    def _note_serving(self, serves: e.Serves) -> None:
        self._serves = (serves.child, serves.plan)
        pid = self.opened.daemon.pid_of(serves.child)
        if pid:
            self._tolerate(self.files.write_daemon, pid, serves.plan)

    def _tell_ready(self) -> None:
        if self._serves:
            name = self._serves[1].release.name
            self._say(f"{name} is ready, pid {self.opened.daemon.pid_of(self._serves[0])}")
            first = "READY=1\n" if not self.is_ready_told else ""
            self._upward.say(f"{first}STATUS=running {name}")
        self.is_ready_told = True

    def _make_plan(self, make: e.MakePlan) -> None:
        attempt = None if make.vouched else self.files.changing()
        if attempt:
            self.feed(e.PlanFailed(f"attempt {attempt} is changing what a start would load"))
            return
        try:
            if not make.fresh and self._is_plan_current():
                self._feed_plan()
            else:
                self.programs.make_plan(time.monotonic())
        except NotStarted as error:
            self.feed(e.PlanFailed(str(error)))

    def _is_plan_current(self) -> bool:
        """Whether what was found out last is what a start would load now."""
        try:
            _, plan = self.files.read_launcher()
            lying_there = loaded_tree.read_release(self.files.folder.joinpath(self.post.top))
        except NewleafError:
            return False
        return lying_there is not None and lying_there.commit == plan.release.commit

    def _tell(self, tell: e.Tell) -> None:
        line = self.opened.control.lines.get(tell.line or 0)
        if line and not line.say({"event": tell.word, "reason": tell.reason}):
            self.hang_up(line.number)

    def _settle(self, word: str, reason: str) -> None:
        self.settle_tries = 0
        self._run_settle(word, reason)

    def _run_settle(self, word: str, reason: str) -> None:
        kind = f"{programs.SETTLE}:{word}:{reason}"
        try:
            self.programs.call(kind, "settle", word, "--reason", reason)
        except NotStarted as error:
            self._say(f"{word} could not be dealt with: {error}")
            self.feed(e.Settled())

    def _announce(self, announce: e.Announce) -> None:
        now = utc(time.time())
        self._tolerate(planned_restart.announce, self.files.folder, announce.reason, now, announce.seconds)

    def _alarm(self, alarm: e.Alarm) -> None:
        self._say(f"ALARM: {alarm.text}")
        try:
            self.programs.call(programs.ALARM, "settle", "alarm", "--reason", alarm.text)
        except NotStarted as error:
            self._say(f"nobody could be told: {error}")

    def _exit(self, leave: e.Exit) -> None:
        self.exit_code = leave.code

    # --- the control socket -------------------------------------------------------------

    def accept(self) -> None:
        """Somebody calls."""
        line = self.opened.control.accept()
        if line:
            self.watch_line(line)

    def watch_line(self, line: Line) -> None:
        """Hears what is ordered on a line."""
        self.opened.loop.watch(line.socket.fileno(), lambda: self._hear(line))

    def hang_up(self, number: int) -> None:
        """The other end of a line has gone."""
        line = self.opened.control.lines.get(number)
        if line:
            self.opened.loop.forget(line.socket.fileno())
            self.opened.control.close(number)
            self.feed(e.Hung(number))

    def _hear(self, line: Line) -> None:
        orders = line.read()
        if orders is None:
            self.hang_up(line.number)
            return
        for order in orders:
            if not self._take(line, order):
                self.hang_up(line.number)
                return

    def _take(self, line: Line, order: Mapping[str, Any]) -> bool:
        """Does what is ordered; whether the line still hears."""
        attempt, commit = str(order.get("attempt", "")), str(order.get("commit", ""))
        match order.get("do"):
            case "handover" if attempt and commit:
                self.feed(e.Handover(line.number, attempt, commit))
            case "hold" if attempt:
                self.feed(e.Hold(line.number, attempt))
            case "settled":
                self.feed(e.Settled(line.number))
            case "reload":
                self.feed(e.Reload(line.number))
            case "stop":
                self._signalled(signal.SIGTERM)
            case "status":
                status = status_of(self.supervision, self.opened, self.agent.pid)
                return line.say({"event": "status", **status})
            case _:
                return line.say({"event": "refused", "reason": "that is no order"})
        return True

    # --- small --------------------------------------------------------------------------

    def _in(self, seconds: float, act: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, act))

    def _tolerate(self, act: Callable[..., object], *arguments: object) -> None:
        """Does what the daemon can do without; what keeps it from working is said once."""
        try:
            act(*arguments)
        except NewleafError as error:
            if error.message != self._complaint:
                self._complaint = error.message
                self._say(f"{error.message}; {error.advice}")

    def write_state(self) -> None:
        """Notes the counters and the processes, as far as that is possible."""
        self._tolerate(self.files.write_state, self.state_record())

    def state_record(self) -> dict[str, Any]:
        """The counters, and the processes that a next launcher would have to end."""
        lasting = {
            pid: known
            for pid, known in self.opened.processes.running.items()
            if known.kind in (DAEMON, programs.AGENT)
        }
        return {
            "counters": self.supervision.counters.as_record(),
            "launcher": os.getpid(),
            "processes": [
                {"pid": pid, "kind": known.kind, "started": process_table.start_time(pid)}
                for pid, known in lasting.items()
            ],
        }
