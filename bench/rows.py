"""What is measured, beside what, and what newleaf must reach: one function sets one row up.

Names of contestants are the commands as people type them. The bounds are newleaf's own promises;
everything beside it runs in the same row, on the same repository, in turns with it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.ground import Ground
from bench.measure import Absent, Contestant, DidNotWork, Figures
from tests.support.repositories import Checkout

BARE = "python -c pass"
LS_REMOTE = "git ls-remote"
LS_REMOTE_HTTP = "git ls-remote, http"
PULL = "git pull --ff-only"
SCRIPT = "git pull && uv sync"
ANSIBLE = "ansible-pull"
PM2 = "pm2 pull"
PLAIN_MOVE = "git fetch && git merge --ff-only"
INSIDE_CHECK = "check, inside a process"
INSIDE_UPDATE = "update, inside a process"

PM2_SECONDS = 20.0
ONE_LS_REMOTE = (
    "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:], capture_output=True).returncode)"
)


@dataclass(frozen=True)
class Must:
    """A bound on the median of `who`: so many milliseconds, and so many times the median of `beside`."""

    who: str
    limit_ms: float = 0.0
    times: float = 0.0
    beside: str = ""

    def bound(self, figures: Mapping[str, Figures]) -> float | None:
        """The bound in milliseconds; None when what stands beside it was not measured."""
        if not self.beside:
            return self.limit_ms
        return self.limit_ms + self.times * figures[self.beside].median if self.beside in figures else None

    def is_met(self, figures: Mapping[str, Figures]) -> bool | None:
        """None when it cannot be told."""
        bound = self.bound(figures)
        return figures[self.who].median <= bound if bound is not None and self.who in figures else None

    def __str__(self) -> str:
        if not self.beside:
            return f"≤ {self.limit_ms:g} ms"
        if self.limit_ms:
            return f"≤ {self.beside} + {self.limit_ms:g} ms"
        if self.times == 1:
            return f"faster than {self.beside}"
        if self.times < 1:
            return f"≥ {1 / self.times:g} x faster than {self.beside}"
        return f"≤ {self.times:g} x {self.beside}"


def _with_nothing(_: Ground) -> None:
    """A round that needs no new commit."""


@dataclass(frozen=True)
class Row:
    """One kind of work. `begin` prepares each round, untimed: with a new commit on the remote, say.

    `has_peers`: peers that are installed for the bench take part.
    """

    name: str
    title: str
    set_up: Callable[[Ground], Sequence[Contestant | Absent]]
    musts: tuple[Must, ...] = ()
    begin: Callable[[Ground], object] = _with_nothing
    has_peers: bool = False


def _start(ground: Ground) -> list[Contestant | Absent]:
    return [ground.program(BARE, sys.executable, "-c", "pass")]


def _ask(ground: Ground) -> list[Contestant | Absent]:
    asked = ("git", "ls-remote", ground.remote.url, "refs/heads/main")
    return [
        ground.program(LS_REMOTE, *asked),
        ground.program(LS_REMOTE_HTTP, "git", "ls-remote", ground.http_url, "refs/heads/main"),
        ground.program("python, one git ls-remote", sys.executable, "-c", ONE_LS_REMOTE, *asked),
    ]


def _check(ground: Ground) -> list[Contestant | Absent]:
    return [
        ground.newleaf(ground.clone("check"), "check"),
        ground.program(LS_REMOTE, "git", "ls-remote", ground.remote.url, "refs/heads/main"),
    ]


def _check_http(ground: Ground) -> list[Contestant | Absent]:
    return [
        ground.newleaf(ground.clone("check-http", url=ground.http_url), "check"),
        ground.program(LS_REMOTE_HTTP, "git", "ls-remote", ground.http_url, "refs/heads/main"),
    ]


def _inside(ground: Ground) -> list[Contestant | Absent]:
    return [
        ground.resident(INSIDE_CHECK, "check", ground.clone("inside")),
        ground.program(LS_REMOTE, "git", "ls-remote", ground.remote.url, "refs/heads/main"),
    ]


def _help(ground: Ground) -> list[Contestant | Absent]:
    return [*_start(ground), ground.newleaf(ground.clone("help"), "--help")]


def _status(ground: Ground) -> list[Contestant | Absent]:
    checkout = ground.clone("status", synced=True)
    ground.publish()
    ground.newleaf(checkout, "update").run()
    return [*_start(ground), ground.newleaf(checkout, "status")]


def _nothing_new(ground: Ground) -> list[Contestant | Absent]:
    return [
        ground.newleaf(ground.clone("nothing-new", synced=True), "update"),
        _ansible(ground, "nothing-new-ansible"),
        _pull(ground, ground.clone("nothing-new-pull")),
        _script(ground, ground.clone("nothing-new-script", synced=True)),
    ]


def _one_commit(ground: Ground) -> list[Contestant | Absent]:
    checkout = ground.clone("one-commit", synced=True)
    return [
        replace(ground.newleaf(checkout, "update"), prove=ground.arrived(checkout)),
        _ansible(ground, "one-commit-ansible"),
        _pm2(ground),
        _pull(ground, ground.clone("one-commit-pull")),
        _script(ground, ground.clone("one-commit-script", synced=True)),
    ]


def _attempt(ground: Ground) -> list[Contestant | Absent]:
    checkout, plain = ground.clone("attempt", synced=True), ground.clone("attempt-plain")
    inside = ground.resident(INSIDE_UPDATE, "update", checkout)
    inside.prove = ground.arrived(checkout)
    move = "git fetch --quiet origin main && git merge --quiet --ff-only FETCH_HEAD"
    return [inside, _shell(ground, PLAIN_MOVE, move, plain)]


# --- contestants ------------------------------------------------------------------------


def _pull(ground: Ground, checkout: Checkout) -> Contestant:
    return _shell(ground, PULL, "exec git pull --quiet --ff-only", checkout)


def _script(ground: Ground, checkout: Checkout) -> Contestant | Absent:
    if ground.uv is None:
        return Absent(SCRIPT, "uv is not installed")
    return _shell(ground, SCRIPT, "git pull --quiet --ff-only && exec uv sync --frozen --quiet", checkout)


def _ansible(ground: Ground, name: str) -> Contestant | Absent:
    """It clones by itself, and does nothing more when nothing is new: its quickest way."""
    program = ground.ansible
    if isinstance(program, Absent):
        return program
    to = ground.folder / "checkouts" / name
    options = ("--only-if-changed", "--inventory", "localhost,", "--checkout", "main")
    argv = (str(program), "--url", ground.remote.url, "--directory", str(to), *options, "local.yml")
    return replace(ground.program(ANSIBLE, *argv), prove=ground.arrived(Checkout(to)))


def _pm2(ground: Ground) -> Contestant | Absent:
    program = ground.pm2
    if isinstance(program, Absent):
        return program
    checkout, pm2 = ground.clone("one-commit-pm2"), str(program)
    ground.on_end(lambda: ground.call(pm2, "kill"))
    options = ("--name", "sessions", "--interpreter", sys.executable)
    ground.call(pm2, "start", "app.py", *options, folder=checkout.path)
    _wait_for_git(ground, pm2)
    return replace(ground.program(PM2, str(program), "pull", "sessions"), prove=ground.arrived(checkout))


def _wait_for_git(ground: Ground, pm2: str) -> None:
    """pm2 looks at the checkout in the background; before it has, it pulls nothing, and says that it did."""
    deadline = time.monotonic() + PM2_SECONDS
    while not json.loads(ground.call(pm2, "jlist"))[0]["pm2_env"].get("versioning"):
        if time.monotonic() > deadline:
            raise DidNotWork("pm2 does not see the app's repository")
        time.sleep(0.1)


def _shell(ground: Ground, name: str, script: str, checkout: Checkout) -> Contestant:
    program = ground.program(name, "/bin/sh", "-c", script, folder=checkout.path)
    return replace(program, prove=ground.arrived(checkout))


ROWS: Sequence[Row] = (
    Row("start", "the interpreter starts", _start),
    Row("ask", "the remote is asked", _ask),
    Row("check", "newleaf check", _check, (Must("newleaf check", 110),)),
    Row("check-http", "newleaf check, over http", _check_http),
    Row(
        "inside",
        "a check inside a process that stays",
        _inside,
        (Must(INSIDE_CHECK, times=1.1, beside=LS_REMOTE),),
    ),
    Row("help", "newleaf --help", _help, (Must("newleaf --help", 60, 1, BARE),)),
    Row("status", "newleaf status", _status, (Must("newleaf status", 60, 1, BARE),)),
    Row(
        "nothing-new",
        "an update, nothing new",
        _nothing_new,
        (Must("newleaf update", 0, 1 / 10, ANSIBLE),),
        has_peers=True,
    ),
    Row(
        "one-commit",
        "an update of one commit",
        _one_commit,
        (Must("newleaf update", 0, 1 / 5, ANSIBLE), Must("newleaf update", 0, 1, PM2)),
        begin=Ground.publish,
        has_peers=True,
    ),
    Row("attempt", "one commit, inside a process that stays", _attempt, begin=Ground.publish),
)
