"""A host and its remote in memory, behind the ports of the transaction, on a disk that may lose power.

The journal, the history, the decisions and the gatekeeper are the real ones. `disk.moment()` stands before
and after every effect: there the process may die. What must never happen is noted in `violations`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from newleaf.agent.gatekeeper import GateFacts, Gatekeeper
from newleaf.agent.readiness import Readiness
from newleaf.core.confirmation import CHECKOUT_MOVES, is_confirmed_by, loaded_commit
from newleaf.core.decide import suspension
from newleaf.core.durations import parse_rate
from newleaf.core.errors import UsageError
from newleaf.core.gates import Idle
from newleaf.core.job_errors import AppBusy
from newleaf.core.ports import Launcher, OnLine, Pending, Restarted
from newleaf.core.records import AttemptRecord, Identity, Status
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.channels import Choice, Reason
from newleaf.core.requests import Request
from newleaf.core.settings.sections import Gates
from newleaf.core.states import State
from newleaf.system import busy_lock
from newleaf.update.decisions import Decisions
from newleaf.update.history import History
from newleaf.update.journal import Journal
from newleaf.update.parts import TargetParts
from newleaf.update.transaction import Transaction
from tests.support.shipped import Process, Shipped, Store
from tests.support.simulated_host import SimulatedFailure
from tests.support.torn_disk import TornDisk

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
CEILING = 600.0
BUDGET = "5 in 30m"

AS_GATES_ARE_JUDGED = 0
"""For `job_begins_in`: too late for the gates, too early for the quiet."""
Kill = int | State | None
"""The process dies before its n-th moment, or as soon as a state is written, or not at all."""


@dataclass
class World:
    """Every port of a transaction. `may_disturb`: what is asked for now may change things under a job."""

    state: Path
    mode: str = "none"
    ceiling: bool = False
    steps: tuple[str, ...] = ("install", "migrate")
    channel: str = "alpha"
    clock: datetime = START
    jobs: int = 0
    is_quiet: bool = False
    may_disturb: bool = False
    job_begins_in: int | None = None
    daemon: Process | None = None
    mixed: bool = False
    data: Store = field(default_factory=Store)
    kept: dict[str, Store] = field(default_factory=dict)
    aside: set[int] = field(default_factory=set)
    faults: dict[str, Exception] = field(default_factory=dict)
    begun: dict[str, CommitId] = field(default_factory=dict)
    said: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    clock_was_changed: bool = False

    def __post_init__(self) -> None:
        self.remote: list[Shipped] = []
        self._die_in: State | None = None
        self.head = self.push()
        self.lock: str | None = self.head.lock
        self.disk = TornDisk(self.state)
        self.identity = Identity("app", "mini-1", self.channel)
        self.launcher: Launcher | None = None
        self.source = self.layout = self.housekeeping = self.restarts = self.reporter = self
        self.open()

    def open(self) -> None:
        """A new process: everything is read from the files again."""
        self.journal = _Journal(self.state / "journal.jsonl", self.now)
        self.journal.on_record = self._said
        self.history = History(self.state / "history.jsonl")
        self.decisions = Decisions(self.state)
        facts = GateFacts(
            "mini-1",
            self._ask_idle,
            lambda _: START,
            self.history.last_update_at,
            self.now,
            self.history.restarts,
        )
        gates = Gates(max_wait=CEILING if self.ceiling else 0.0)
        budget = None if self.mode == "none" else parse_rate(BUDGET)
        self.gates = Gatekeeper(self.state, gates, facts, None, self.line, budget)

    @contextlib.contextmanager
    def acting(self, kill: Kill) -> Iterator[Transaction]:
        """A process of newleaf, which may die; the kernel's lock is this world's."""
        real, busy_lock.quiet = busy_lock.quiet, self._quiet
        self.open()
        self._die_in = kill if isinstance(kill, State) else None
        suspended = suspension(self.decisions.suspended, by_settings=False)
        try:
            with self.disk.killed_in(None if isinstance(kill, State) else kill):
                yield Transaction(self, self._new_id, suspended)
        finally:
            busy_lock.quiet = real
            self.job_begins_in = None

    def _said(self, attempt: AttemptRecord) -> None:
        self.said[attempt.id] = len(attempt.records)
        if attempt.state is self._die_in:
            self.disk.die()

    def shipped(self, release: Release) -> Shipped:
        return next(each for each in self.remote if each.commit == release.commit)

    def push(self, version: str = "1.0.0", **fields: object) -> Shipped:
        number = len(self.remote) + 1
        release = Release(CommitId(f"{number:040x}"), version)
        self.remote.append(Shipped(release, **fields))  # type: ignore[arg-type]
        return self.remote[-1]

    def now(self) -> datetime:
        self.clock += timedelta(milliseconds=5)
        return self.clock

    def require_sound(self) -> None:
        self._at("sound")

    def clear_signal(self) -> None:
        self._at("signal")

    def parts_for(self, release: Release, attempt: AttemptRecord | None) -> TargetParts:
        shipped = self.shipped(release)
        return TargetParts(
            _Dependencies(self, shipped),
            self.steps,
            lambda: _Data(self, shipped, attempt),  # type: ignore[arg-type]
        )

    def _new_id(self) -> str:
        attempt = f"attempt-{len(self.begun) + 1}"
        self.begun[attempt] = self.head.commit
        return attempt

    def _at(self, step: str, shipped: Shipped | None = None) -> None:
        """Before an effect: a job may begin here, the process may die, the step may fail."""
        self._let_a_job_begin()
        self.disk.moment()
        if step in self.faults:
            raise self.faults.pop(step)
        if shipped and shipped.broken == step:
            raise SimulatedFailure(step=step)

    def _ask_idle(self, is_quiet: bool) -> Idle:
        idle = Idle(is_idle=is_quiet or not self.jobs)
        if self.job_begins_in == AS_GATES_ARE_JUDGED:
            self.job_begins_in = 1
        self._let_a_job_begin()
        return idle

    def _let_a_job_begin(self) -> None:
        if self.job_begins_in:
            self.job_begins_in -= 1
            if self.job_begins_in == 0 and self.daemon and not self.is_quiet:
                self.jobs += 1

    def touch(self, what: str) -> None:
        """Something live changes: never under a job, unless that was allowed (promise 2)."""
        last = self.journal.last
        since = last and (last.at(State.WAIT) or last.at(State.RESTART))
        waited = self.ceiling and since and since + timedelta(seconds=CEILING) <= self.clock
        if self.jobs and not self.may_disturb and not waited:
            self.violations.append(f"No lost work: {what} while a job runs")

    @contextlib.contextmanager
    def _quiet(self, state: Path) -> Iterator[None]:
        if self.jobs:
            raise AppBusy(reason="a job runs")
        self.is_quiet = True
        try:
            yield
        finally:
            self.is_quiet = False

    # --- source -------------------------------------------------------------------------

    def resolve(self, request: Request, live: Release) -> Choice:
        self._at("resolve")
        exact = request.to or (None if request.branch else self.decisions.pin)
        if exact:
            found = next((r.release for r in self.remote[::-1] if exact in r.release[:2]), None)
            if found is None:
                raise UsageError(reason=f"no release {exact}")
            same = found.commit == live.commit
            return Choice(
                Reason.RUNNING if same else Reason.AHEAD, None if same else found, found, sideways=True
            )
        newest = self.remote[-1].release
        if newest.commit == live.commit:
            return Choice(Reason.RUNNING, found=newest)
        if self.channel == "beta" and (newest.version or "") < (live.version or ""):
            return Choice(Reason.RENUMBERED, found=newest, message="older than what runs")
        return Choice(Reason.AHEAD, target=newest, found=newest)

    def fetch(self, target: Release) -> Release:
        self._at("fetch", self.shipped(target))
        return target

    def verify(self, target: Release, *, sideways: bool) -> None:
        self._at("verify", self.shipped(target))

    def commits(self, start: Release, target: Release) -> tuple[int, tuple[tuple[str, str], ...]]:
        return 1, ((target.commit, "a change"),)

    # --- layout -------------------------------------------------------------------------

    def live(self) -> Release:
        return self.head.release

    def stage(self, release: Release) -> None:
        self._at("stage", self.shipped(release))

    def place(self, release: Release, *, sideways: bool) -> None:
        if self.head.commit == release.commit and not self.mixed:
            return
        self._at("place")
        self.touch("the tree moved")
        self.mixed = True
        self.disk.moment()
        self.head = self.shipped(release)
        self.disk.moment()
        self.mixed = False
        self.disk.moment()

    def activate(self, release: Release) -> list[str]:
        self._at("activate")
        return []

    def tidy(self) -> list[str]:
        return []

    # --- the daemon ---------------------------------------------------------------------

    def start_daemon(self) -> None:
        self.daemon = Process(None if self.mixed else self.head, self.now())

    def stop_daemon(self) -> None:
        self.daemon, self.jobs = None, 0

    def report(self, kill_in: int | None = None) -> None:
        """The daemon calls `newleaf.ready()`; one that is broken dies instead."""
        process = self.daemon
        if process is None or (process.loaded and process.loaded.broken == "health"):
            return self.stop_daemon()
        attempts = Journal(self.state / "journal.jsonl", self.now).attempts
        commit = loaded_commit(self.head.commit, process.started, attempts)
        process.has_reported = True
        process.reported = self.shipped(Release(commit)).release if commit else None
        if commit and commit != (process.loaded and process.loaded.commit) and not self.clock_was_changed:
            self.violations.append("Truth: a process reported what it has not loaded")
        if process.reported:
            last = attempts[-1] if attempts else None
            confirmed = is_confirmed_by(last, commit)
            ready = Readiness(
                self.state,
                self.state,
                CHECKOUT_MOVES,
                self.identity,
                self.history,
                lambda _: None,
                lambda: None,
                self.publish,
                lambda _: None,
                lambda _: None,
                self.now,
            )
            with self.disk.killed_in(kill_in):
                ready._remember(last if confirmed else None, process.reported)
        return None

    def daemon_runs(self) -> bool:
        return self.daemon is not None and self.daemon.has_reported

    def running(self) -> Release | None:
        return self.daemon.reported if self.daemon else None

    def restart(self, attempt: AttemptRecord) -> Restarted:
        self._at("restart")
        asked = attempt.at(State.RESTART)
        if self.daemon and self.daemon.has_reported and asked and self.daemon.started > asked:
            return Restarted("the daemon has started anew")
        if self.mode == "none" or (self.mode != "command" and not self.daemon):
            return Restarted("nothing to restart", skipped=True)
        if self.mode == "exit":
            return Restarted("the daemon was asked to leave", owed=True)
        self.touch("a restart")
        self.stop_daemon()
        self.disk.moment()
        if self.mode == "command":
            self.start_daemon()
            self.disk.moment()
        return Restarted()

    def await_report(self, attempt: AttemptRecord, seconds: float) -> bool:
        self._at("await report")
        self.clock += timedelta(seconds=seconds)
        asked, daemon = attempt.at(State.RESTART), self.daemon
        is_new = daemon and asked and daemon.started > asked
        return bool(is_new and daemon and daemon.reported and daemon.reported.commit == attempt.target.commit)

    # --- reports ------------------------------------------------------------------------

    def publish(self, status: Status) -> None:
        self._at("publish")
        if status.running and (self.daemon is None or self.daemon.reported != status.running):
            self.violations.append("Truth: status says that something runs which no live process reported")

    def line(self, text: str) -> None:
        """Nobody listens."""


class _Journal(Journal):
    """The real one, and who is told of each record that is written."""

    on_record: Callable[[AttemptRecord], None]

    def append(self, state: str, **detail: object) -> None:
        super().append(state, **detail)
        assert self.last
        self.on_record(self.last)


@dataclass
class _Dependencies:
    world: World
    shipped: Shipped

    def owed(self) -> str | None:
        return None if self.world.lock == self.shipped.lock else "the lock file changed"

    def install(self, on_line: OnLine) -> None:
        self.world.touch("an install")
        self.world.lock = None
        self.world._at("install", self.shipped)
        self.world.lock = self.shipped.lock
        self.world.disk.moment()

    def attach(self) -> None:
        """Nothing: the tree and its dependencies are one."""


@dataclass
class _Data:
    world: World
    shipped: Shipped
    attempt: AttemptRecord

    def pending(self) -> Pending:
        done = self.world.data.applied
        names = tuple(name for name in self.shipped.migrations if name not in done)
        offline = tuple(name for name in names if name in self.shipped.offline)
        return Pending(names, offline, self.shipped.declared)

    def snapshot(self) -> str:
        self.world.kept.pop(self.attempt.id, None)
        self.world._at("snapshot")
        self.world.kept[self.attempt.id] = self.world.data
        self.world.disk.moment()
        return "kept"

    def migrate(self, on_line: OnLine) -> tuple[str, ...]:
        world, names = self.world, self.pending().names
        for name in names:
            world.touch(f"migration {name}")
            if name in self.shipped.offline and world.daemon_runs():
                world.violations.append(f"No lost work: offline migration {name} beside the daemon")
            world.data = Store(world.data.rows, world.data.applied, half=name)
            world._at("migrate", self.shipped if name == self.shipped.migrations[-1] else None)
            world.data = Store(world.data.rows, world.data.applied | {name})
            world.disk.moment()
        return names

    def restore(self) -> str:
        kept = self.world.kept[self.attempt.detail.get("snapshot") or self.attempt.id]
        self.world._at("restore")
        self.world.touch("a restore")
        self.world.aside |= self.world.data.rows - kept.rows
        self.world.data = kept
        self.world.disk.moment()
        return "aside"
