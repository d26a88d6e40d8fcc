"""What happens to a launcher, and what it does about it, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from newleaf.core.launch.plan import Plan

# --- what happens -----------------------------------------------------------------------


class PlanMade(NamedTuple):
    """The plan for what a start would load now."""

    plan: Plan


class PlanFailed(NamedTuple):
    """It could not be told what is to be started."""

    reason: str


class Exited(NamedTuple):
    """A child has ended; `status` is its exit code, or minus the signal's number."""

    child: int
    status: int


class StartFailed(NamedTuple):
    """A child could not be started at all."""

    child: int
    reason: str


class Notified(NamedTuple):
    """A child has said something on its notify socket."""

    child: int
    fields: Mapping[str, str]


class Checked(NamedTuple):
    """A health check came back: `fault` is what was wrong, None when all was well.

    SILENT where nobody took the question, UNANSWERED where somebody did and let it wait.
    """

    child: int
    fault: str | None


SILENT = "no answer"
UNANSWERED = "no answer in time"


class Handover(NamedTuple):
    """An attempt asks for its release; its verdict goes to `line`, None once nobody is there any more."""

    line: int | None
    attempt: str
    commit: str


class Hold(NamedTuple):
    """An attempt asks for the daemon to be stopped, until it hands over or its line is closed."""

    line: int
    attempt: str


class Reload(NamedTuple):
    """A person asks for a fresh process; on `line`, None once nobody is there any more."""

    line: int | None


class Settled(NamedTuple):
    """The attempt has dealt with its verdict."""

    line: int | None = None


class Hung(NamedTuple):
    """The other end of a line has gone."""

    line: int


class Stop(NamedTuple):
    """The launcher is to end, and the daemon before it."""


class Tick(NamedTuple):
    """Time has passed."""


Event = (
    PlanMade
    | PlanFailed
    | Exited
    | StartFailed
    | Notified
    | Checked
    | Handover
    | Hold
    | Reload
    | Settled
    | Hung
    | Stop
    | Tick
)

# --- what is done -----------------------------------------------------------------------


class Start(NamedTuple):
    """Start a process by `plan`; `gated`: it must not accept before `Go`."""

    child: int
    plan: Plan
    gated: bool
    health: bool


class Go(NamedTuple):
    """Tell the child that it may accept."""

    child: int


class Terminate(NamedTuple):
    """Ask the child to end."""

    child: int


class Kill(NamedTuple):
    """End the child, and what it has started."""

    child: int


class Ask(NamedTuple):
    """Check the child's health; `private` on its own socket."""

    child: int
    plan: Plan
    private: bool


class Serves(NamedTuple):
    """The child is the daemon now."""

    child: int
    plan: Plan


class Ready(NamedTuple):
    """The daemon serves: whoever waits for its start may be told."""

    child: int


class MakePlan(NamedTuple):
    """Find out what a start would load now.

    `fresh`: also where that was found out before. `vouched`: an attempt that is still open has said that it
    may be started.
    """

    fresh: bool = False
    vouched: bool = False


class Tell(NamedTuple):
    """Say a word on a line; on none where nobody listens."""

    line: int | None
    word: str
    reason: str = ""


class Settle(NamedTuple):
    """Have a verdict dealt with that nobody waits for: `confirmed`, `failed` or `left`."""

    word: str
    reason: str = ""


class Announce(NamedTuple):
    """Tell watchdogs of a planned restart."""

    reason: str
    seconds: float


class Withdraw(NamedTuple):
    """The planned restart is over."""


class Alarm(NamedTuple):
    """Something needs a person."""

    text: str


class Say(NamedTuple):
    """A line for the launcher's own output."""

    text: str


class Exit(NamedTuple):
    """End with this exit code."""

    code: int


Action = (
    Start
    | Go
    | Terminate
    | Kill
    | Ask
    | Serves
    | Ready
    | MakePlan
    | Tell
    | Settle
    | Announce
    | Withdraw
    | Alarm
    | Say
    | Exit
)


class Now(NamedTuple):
    """The time, twice: `steady` for spans, `wall` (seconds since 1970) for what outlives this process."""

    steady: float
    wall: float
