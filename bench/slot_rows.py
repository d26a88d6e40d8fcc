"""The rows of release slots: an attempt, the building of an environment, an update of dependencies.

Every round begins with nothing left to write to the disk: else newleaf, which waits for what it has written,
would pay for what prepared the round. Old releases are kept by all, but where the row is about their removal:
on some disks that takes much longer than all the rest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from bench.ground import Ground
from bench.measure import Absent, Contestant, Program
from bench.rows import Must, Row
from bench.slots_hosts import FETCH_AND_TREE, LINK, REMOVE_OLD, SYNC, ShellHost, SlotsHost
from tests.support.signers import Signer

INSIDE_SLOTS = "update in slots, inside a process"
INSIDE_BUILD = "install, inside a process"
INSIDE_VERIFY = "verify, inside a process"
GIT_VERIFY = "git verify-tag"
UV_SYNC = "uv sync --frozen"
PLAIN_SLOT = "git fetch && git worktree add && ln -sfn"
TURNOVER_SLOT = "git fetch && git worktree add && ln -sfn && git worktree remove"
SCRIPT_SLOT = "git fetch && git worktree add && uv sync && ln -sfn"

FEW, SOME, MANY = 16, 35, 97
"""Packages of a small service, of one with a web framework, of one with much."""


def _attempt(ground: Ground) -> list[Contestant | Absent]:
    app = ground.packaged(FEW)
    host = SlotsHost.make(ground, "attempt", app.remote)
    return [
        host.resident(INSIDE_SLOTS, "update", host.arrived),
        ShellHost.make(ground, "attempt", app.remote).program(PLAIN_SLOT, FETCH_AND_TREE + LINK),
    ]


def _turnover(ground: Ground) -> list[Contestant | Absent]:
    app = ground.packaged(FEW)
    host = SlotsHost.make(ground, "turnover", app.remote, keep=1)
    by_hand = ShellHost.make(ground, "turnover", app.remote)
    return [
        host.resident(INSIDE_SLOTS, "update", host.arrived),
        by_hand.program(TURNOVER_SLOT, FETCH_AND_TREE + LINK + REMOVE_OLD),
    ]


def _building(count: int) -> Callable[[Ground], list[Contestant | Absent]]:
    def set_up(ground: Ground) -> list[Contestant | Absent]:
        app = ground.packaged(count)
        host = SlotsHost.make(ground, f"building-{count}", app.remote)
        (first,) = os.listdir(host.environments)
        fresh = app.folder / "fresh"
        environment = ground.environment | {"UV_PROJECT_ENVIRONMENT": str(fresh)}
        argv = ("uv", "sync", "--frozen", "--quiet")
        return [
            host.resident(INSIDE_BUILD, "install", app.installed(host.environments / f"{first}.2")),
            Program(UV_SYNC, argv, app.project, environment, app.installed(fresh)),
        ]

    return set_up


def _dependencies(ground: Ground) -> list[Contestant | Absent]:
    app = ground.packaged(FEW)
    return [
        SlotsHost.make(ground, "dependencies", app.remote).newleaf("update"),
        ShellHost.make(ground, "dependencies", app.remote).program(SCRIPT_SLOT, FETCH_AND_TREE + SYNC + LINK),
    ]


def _verify(ground: Ground) -> list[Contestant | Absent]:
    """The tag of the 200-file app, signed; beside it git alone, on the same tag."""
    signer = Signer.make(ground.folder, "ada")
    signers = ground.folder / "signers"
    signers.write_text(signer.allowed())
    signer.tag(ground.remote, "v1.0.0")
    trust = {
        "NEWLEAF_SECURITY__REQUIRE": "tags",
        "NEWLEAF_SECURITY__SIGNERS": str(signers),
        "NEWLEAF_DEPLOYMENT__CHANNEL": "beta",
    }
    host = SlotsHost.make(ground, "verify", ground.remote, variables=trust)
    argv = (
        "git",
        "-c",
        "gpg.format=ssh",
        "-c",
        f"gpg.ssh.allowedSignersFile={signers}",
        "verify-tag",
        "v1.0.0",
    )
    return [
        host.resident(INSIDE_VERIFY, "verify", lambda: None),
        Program(GIT_VERIFY, argv, ground.remote.path, ground.environment),
    ]


# --- how rounds begin -------------------------------------------------------------------


def _with_code(ground: Ground) -> None:
    ground.packaged(FEW).publish_code()
    os.sync()


def _with_dependency(ground: Ground) -> None:
    ground.packaged(FEW).publish_dependency()
    os.sync()


def _with_nothing(_: Ground) -> None:
    os.sync()


SLOT_ROWS: Sequence[Row] = (
    Row(
        "slots-attempt",
        "one commit in slots, inside a process that stays",
        _attempt,
        (Must(INSIDE_SLOTS, times=2.5, beside=PLAIN_SLOT),),
        begin=_with_code,
    ),
    Row("slots-turnover", "the same, and an old release is removed", _turnover, begin=_with_code),
    *(
        Row(
            f"environment-{count}",
            f"a fresh environment, {count} packages",
            _building(count),
            (Must(INSIDE_BUILD, times=1.3, beside=UV_SYNC),),
            begin=_with_nothing,
        )
        for count in (FEW, SOME, MANY)
    ),
    Row("verify", "a signed tag, and 200 files", _verify, (Must(INSIDE_VERIFY, 30),)),
    Row("slots-dependencies", "other dependencies in slots", _dependencies, begin=_with_dependency),
)
