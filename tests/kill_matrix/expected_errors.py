"""What must come of errors, by the contract: written down by hand, as in `expected.py`.

An error is one of the operating system's at a write, rename or fsync; or a program's that fails, hangs, or
kills newleaf.
"""

from __future__ import annotations

from typing import NamedTuple

UNWRITABLE = "state_directory_unwritable"


class Refusal(NamedTuple):
    """The operating system refuses the `nth` event of a state; `lasting`, every later one of that run too.

    The first event of a state is the fsync of its own record: refused, the move was never made.
    """

    scenario: str
    state: str
    errno: str
    nth: int
    lasting: bool
    code: int
    error: str
    until: str
    """The last state of an undisturbed attempt that is reached, "" for none."""
    then: str
    """The states that the same run adds."""
    after: str
    """The states that follow by plain updates; `*` is a whole attempt."""


class Hurt(NamedTuple):
    """A program does not do its work at a subcommand (a migration: none)."""

    program: str
    subcommand: str
    how: str
    code: int
    error: str
    """Empty where newleaf was killed: a code of -9."""
    until: str
    then: str
    after: str


def _disk_full(state: str, after: str, scenario: str = "good") -> Refusal:
    """Nothing can be written any more: the attempt stays where it is, and goes on once there is room."""
    return Refusal(scenario, state, "ENOSPC", 2, True, 1, "disk_full", state, "", after)


def _unrecorded(
    state: str, until: str, then: str, after: str = "*", code: int = 1, scenario: str = "good"
) -> Refusal:
    """The record of the state cannot be made durable."""
    return Refusal(scenario, state, "EACCES", 1, False, code, UNWRITABLE, until, then, after)


def _refused(
    state: str, then: str, after: str, error: str = UNWRITABLE, code: int = 1, scenario: str = "good"
) -> Refusal:
    """One write in the state is refused."""
    return Refusal(scenario, state, "EIO", 2, False, code, error, state, then, after)


REFUSALS: dict[str, list[Refusal]] = {
    "in_place": [
        _unrecorded("begin", "", "", code=2),
        _disk_full("fetch", "discarded *"),
        _unrecorded("fetch", "", "", code=2),
        _refused("fetch", "failed", "*"),
        _disk_full("verify", "discarded *"),
        _unrecorded("verify", "fetch", "failed"),
        _refused("verify", "failed", "*"),
        _disk_full("stage", "discarded *"),
        _unrecorded("stage", "verify", "failed"),
        _refused("stage", "failed", "*"),
        _disk_full("snapshot", "snapshot install migrate activate restart done"),
        _unrecorded("snapshot", "stage", "failed"),
        _refused("snapshot", "failed", "*", error="snapshot_failed"),
        _disk_full("install", "install migrate activate restart done"),
        _unrecorded("install", "snapshot", "failed"),
        _refused("install", "revert failed", "*", error="host_refused"),
        _disk_full("migrate", "migrate activate restart done"),
        _unrecorded("migrate", "install", "revert failed"),
        _refused("migrate", "revert failed", "*"),
        _disk_full("activate", "activate restart done"),
        _unrecorded("activate", "migrate", "revert failed"),
        _refused("activate", "revert failed", "*"),
        _disk_full("restart", "done"),
        _unrecorded("restart", "activate", "revert failed"),
        _refused("restart", "", "done"),
        _disk_full("done", ""),
        _unrecorded("done", "restart", "", "done"),
        _refused("done", "", ""),
        _disk_full("revert", "revert rolled_back", "failing migration"),
        _unrecorded("revert", "migrate", "revert failed", scenario="failing migration"),
        _refused("revert", "", "revert rolled_back", "restore_failed", 7, "failing migration"),
        _disk_full("rolled_back", "", "failing migration"),
        _unrecorded("rolled_back", "revert", "", "revert rolled_back", scenario="failing migration"),
        _refused("rolled_back", "", "", scenario="failing migration"),
    ],
    "slots": [
        _disk_full("fetch", "discarded *"),
        _refused("fetch", "failed", "*"),
        _disk_full("stage", "discarded *"),
        _unrecorded("stage", "verify", "failed"),
        _refused("stage", "failed", "*", error="host_refused"),
        _disk_full("snapshot", "snapshot migrate activate restart done"),
        _refused("snapshot", "failed", "*", error="snapshot_failed"),
        _disk_full("migrate", "migrate activate restart done"),
        _unrecorded("migrate", "snapshot", "failed"),
        _refused("migrate", "revert failed", "*"),
        _disk_full("activate", "activate restart done"),
        _unrecorded("activate", "migrate", "revert failed"),
        _refused("activate", "revert failed", "*"),
        _disk_full("restart", "done"),
        _unrecorded("restart", "activate", "revert failed"),
        _disk_full("revert", "revert rolled_back", "failing migration"),
        _refused("revert", "", "revert rolled_back", "restore_failed", 7, "failing migration"),
    ],
}

_RESUMED = "install migrate activate restart done"
HURTS: dict[str, list[Hurt]] = {
    "in_place": [
        Hurt("git", "ls-remote", "fails", 1, "remote_unreachable", "", "", "*"),
        Hurt("git", "fetch", "fails", 1, "remote_unreachable", "fetch", "failed", "*"),
        Hurt("git", "fetch", "hangs", 1, "remote_timed_out", "fetch", "failed", "*"),
        Hurt("git", "fetch", "kills newleaf", -9, "", "fetch", "", "discarded *"),
        Hurt("git", "fetch", "kills newleaf once done", -9, "", "fetch", "", "discarded *"),
        Hurt("git", "update-ref", "fails", 1, "command_failed", "fetch", "failed", "*"),
        Hurt("git", "read-tree", "fails", 1, "command_failed", "install", "revert failed", "*"),
        Hurt("git", "read-tree", "kills newleaf", -9, "", "install", "", _RESUMED),
        Hurt("git", "read-tree", "kills newleaf once done", -9, "", "install", "", _RESUMED),
        Hurt("git", "checkout-index", "fails", 7, "command_failed", "install", "revert", "revert failed *"),
        Hurt("git", "checkout-index", "kills newleaf once done", -9, "", "install", "", _RESUMED),
        Hurt("git", "update-index", "fails", 1, "command_failed", "install", "revert failed", "*"),
        Hurt("uv", "sync", "fails", 1, "install_failed", "install", "revert failed", "*"),
        Hurt("uv", "sync", "hangs", 1, "install_timed_out", "install", "revert failed", "*"),
        Hurt("uv", "sync", "kills newleaf", -9, "", "install", "", _RESUMED),
        Hurt("uv", "sync", "kills newleaf once done", -9, "", "install", "", _RESUMED),
        Hurt("migration", "", "fail", 6, "migration_failed", "migrate", "revert rolled_back", ""),
        Hurt("migration", "", "hang", 6, "migration_failed", "migrate", "revert rolled_back", ""),
        Hurt("migration", "", "kill", -9, "", "migrate", "", "migrate activate restart done"),
    ],
    "slots": [
        Hurt("git", "fetch", "fails", 1, "remote_unreachable", "fetch", "failed", "*"),
        Hurt("git", "fetch", "kills newleaf once done", -9, "", "fetch", "", "discarded *"),
        Hurt("git", "read-tree", "fails", 1, "command_failed", "stage", "failed", "*"),
        Hurt("git", "read-tree", "kills newleaf", -9, "", "stage", "", "discarded *"),
        Hurt("git", "read-tree", "kills newleaf once done", -9, "", "stage", "", "discarded *"),
        Hurt("uv", "sync", "fails", 1, "install_failed", "stage", "failed", "*"),
        Hurt("uv", "sync", "hangs", 1, "install_timed_out", "stage", "failed", "*"),
        Hurt("uv", "sync", "kills newleaf", -9, "", "stage", "", "discarded *"),
        Hurt("uv", "sync", "kills newleaf once done", -9, "", "stage", "", "discarded *"),
        Hurt("migration", "", "fail", 6, "migration_failed", "migrate", "revert rolled_back", ""),
        Hurt("migration", "", "hang", 6, "migration_failed", "migrate", "revert rolled_back", ""),
        Hurt("migration", "", "kill", -9, "", "migrate", "", "migrate activate restart done"),
    ],
}
