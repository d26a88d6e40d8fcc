"""A host in memory behind the ports of the transaction: what it has, what it was asked, what it fails at."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from newleaf.core.errors import FailedError, NewleafError
from newleaf.core.ports import Launcher, OnLine, Pending, Restarted
from newleaf.core.records import AttemptRecord, Identity, Status, Waiting
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.channels import Choice, Reason
from newleaf.core.requests import Request
from newleaf.update.decisions import Decisions
from newleaf.update.history import History
from newleaf.update.journal import Journal
from newleaf.update.parts import TargetParts
from newleaf.update.transaction import Transaction

START = datetime(2026, 11, 20, 12, tzinfo=UTC)


def commit_of(letter: str) -> CommitId:
    return CommitId(letter * 40)


def release_of(letter: str, version: str | None = None) -> Release:
    return Release(commit_of(letter), version)


class SimulatedFailure(FailedError):
    """{step} failed, as told"""

    code = "simulated"


class Killed(BaseException):
    """The process died here."""


@dataclass
class SimulatedHost:
    """Every port of one transaction, in memory but for the state directory's own files."""

    state: Path
    live_release: Release = field(default_factory=lambda: release_of("a", "1.0.0"))
    target: Release | None = field(default_factory=lambda: release_of("b", "1.1.0"))
    dependencies: str = "a" * 40
    dependencies_change: bool = True
    migrations: tuple[str, ...] = ()
    offline: tuple[str, ...] = ()
    declared: bool = False
    online: bool = False
    applied: list[str] = field(default_factory=list)
    data: str = "a"
    kept_data: str | None = None
    daemon: bool = False
    mode: str = "none"
    reported: Release | None = None
    gates: dict[str, list[Waiting]] = field(default_factory=dict)
    fails: dict[str, Exception] = field(default_factory=dict)
    beside: bool = False
    """Releases lie beside each other: what is new is installed and tried there, and activating moves."""
    kill_at: str | None = None
    calls: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    signal: bool = True
    steps: tuple[str, ...] = ("install", "migrate")
    clock: datetime = START
    attempts: int = 0
    suspended: str | None = None
    origin_error: NewleafError | None = None
    sideways_choice: bool = False
    launcher: Launcher | None = None

    def transaction(self) -> Transaction:
        """A new process: everything is read from the files again."""
        self.journal = Journal(self.state / "journal.jsonl", self.now)
        self.history = History(self.state / "history.jsonl")
        self.decisions = Decisions(self.state)
        self.identity = Identity("app", "mini-1", "beta")
        return Transaction(_Parts(self), self.new_id, self.suspended)

    def parts_for(self, release: Release, attempt: AttemptRecord | None) -> TargetParts:
        steps = ("migrate",) if self.beside else self.steps
        preflight = _Preflight(self) if self.beside else None
        return TargetParts(_Dependencies(self, release), steps, lambda: _Data(self, release), preflight)

    def now(self) -> datetime:
        self.clock += timedelta(milliseconds=5)
        return self.clock

    def new_id(self) -> str:
        self.attempts += 1
        return f"attempt-{self.attempts}"

    def require_sound(self) -> None:
        self.called("require sound")

    def clear_signal(self) -> None:
        self.signal = False

    def called(self, what: str) -> None:
        """Notes a call; fails or dies there when told to."""
        self.calls.append(what)
        if self.kill_at == what:
            self.kill_at = None
            raise Killed
        if what in self.fails:
            raise self.fails[what]

    # --- source -------------------------------------------------------------------------

    def resolve(self, request: Request, live: Release) -> Choice:
        self.called("resolve")
        if self.origin_error:
            raise self.origin_error
        ahead = self.target is not None and self.target.commit != live.commit
        reason = Reason.AHEAD if ahead else Reason.RUNNING
        return Choice(reason, self.target, self.target, sideways=self.sideways_choice)

    def fetch(self, target: Release) -> Release:
        self.called("fetch")
        return target

    def verify(self, target: Release, *, sideways: bool) -> None:
        self.called("verify sideways" if sideways else "verify")

    def commits(self, start: Release, target: Release) -> tuple[int, tuple[tuple[str, str], ...]]:
        return 1, ((target.commit, "a change"),)

    # --- layout -------------------------------------------------------------------------

    def live(self) -> Release:
        return self.live_release

    def stage(self, release: Release) -> None:
        self.called("stage")

    def place(self, release: Release, *, sideways: bool) -> None:
        if not self.beside and self.live_release.commit != release.commit:
            self.called(f"place {release.commit[0]}")
            self.live_release = release

    def activate(self, release: Release) -> list[str]:
        self.called(f"activate {release.commit[0]}")
        if self.beside:
            self.live_release = release
        return []

    def tidy(self) -> list[str]:
        self.calls.append("tidy")
        return []

    # --- restarts -----------------------------------------------------------------------

    def daemon_runs(self) -> bool:
        return self.daemon

    def restart(self, attempt: AttemptRecord) -> Restarted:
        self.called("restart")
        if self.mode == "none":
            return Restarted("restart.mode is none", skipped=True)
        if self.mode == "exit" and self.daemon:
            return Restarted("the daemon was asked to leave", owed=True)
        return Restarted()

    def running(self) -> Release | None:
        return self.reported

    def await_report(self, attempt: AttemptRecord, seconds: float) -> bool:
        self.called("await report")
        return self.reported is not None and self.reported.commit == attempt.target.commit

    # --- gates and reports --------------------------------------------------------------

    def judge(self, attempt: AttemptRecord, request: Request, before: str) -> tuple[Waiting, ...]:
        self.called(f"gates before {before}")
        return tuple(self.gates.get(before, ()))

    def quiet(self) -> AbstractContextManager[None]:
        return nullcontext()

    def let_jobs_go(self) -> None:
        self.calls.append("let jobs go")

    def release(self) -> None:
        self.called("release")

    def publish(self, status: Status) -> None:
        self.statuses.append(status)
        self.words.append(status.status)

    def line(self, text: str) -> None:
        self.calls.append(f"line {text}")


@dataclass
class SimulatedLauncher:
    """Judges every release by `faults`, by its commit; what it does is among the host's calls."""

    host: SimulatedHost
    faults: dict[str, str] = field(default_factory=dict)
    held: bool = False

    def hold(self, attempt: AttemptRecord) -> None:
        if not self.held:
            self.host.called("hold")
        self.held = True

    def hand_over(self, attempt: AttemptRecord, on_stopped: Callable[[], None]) -> str | None:
        self.host.called(f"hand over {attempt.target.commit[0]}")
        self.held = False
        on_stopped()
        fault = self.faults.get(attempt.target.commit)
        self.host.reported = attempt.target if fault is None else None
        return fault

    def free(self) -> None:
        self.host.calls.append("free")
        self.held = False


@dataclass
class _Dependencies:
    host: SimulatedHost
    release: Release

    def owed(self) -> str | None:
        if not self.host.dependencies_change or self.host.dependencies == self.release.commit:
            return None
        return "the lock file changed"

    def install(self, on_line: OnLine) -> None:
        self.host.called(f"install {self.release.commit[0]}")
        self.host.dependencies = self.release.commit

    def attach(self) -> None:
        self.host.calls.append(f"attach {self.release.commit[0]}")


@dataclass
class _Preflight:
    host: SimulatedHost

    def run(self, on_line: OnLine) -> str:
        self.host.called("preflight")
        return "it can be loaded"


@dataclass
class _Data:
    host: SimulatedHost
    release: Release

    def pending(self) -> Pending:
        names = tuple(name for name in self.host.migrations if name not in self.host.applied)
        return Pending(names, self.host.offline, self.host.declared, self.host.online)

    def snapshot(self) -> str:
        self.host.called("snapshot")
        self.host.kept_data = self.host.data
        return "kept data"

    def migrate(self, on_line: OnLine) -> tuple[str, ...]:
        ran = self.pending().names
        for name in ran:
            self.host.called(f"migrate {name}")
            self.host.data = self.release.commit[0]
            self.host.applied.append(name)
        return ran

    def restore(self) -> str:
        self.host.called("restore")
        if self.host.kept_data is not None:
            self.host.data = self.host.kept_data
            self.host.applied.clear()
        return "what was written meanwhile lies in aside/"


class _Parts:
    """The host, by the names that a transaction has for its parts."""

    def __init__(self, host: SimulatedHost) -> None:
        self.identity, self.journal, self.history = host.identity, host.journal, host.history
        self.decisions, self.parts_for = host.decisions, host.parts_for
        self.launcher = host.launcher
        self.source = self.layout = self.housekeeping = self.restarts = self.gates = self.reporter = host
        self.clear_signal, self.now = host.clear_signal, host.now
        self.require_sound = host.require_sound
