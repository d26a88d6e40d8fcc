"""The way back of an attempt that failed after it had touched the live tree: data, tree, dependencies.

Each part may be made again after a kill. A release whose migration failed so that data had to be restored, or
that was not healthy, is denied; anything else, a full disk too, is only retried.
"""

from __future__ import annotations

from typing import Any

from newleaf.core.errors import (
    DiskFull,
    FileLimited,
    HostRefused,
    LeftByHand,
    NewleafError,
    StateDirectoryUnwritable,
    Unhealthy,
)
from newleaf.core.ports import Environment
from newleaf.core.records import Result
from newleaf.core.states import State
from newleaf.system import files
from newleaf.update.account import Account
from newleaf.update.parts import REPAIR

HOST_FAILURES = (DiskFull, FileLimited, HostRefused, StateDirectoryUnwritable)
"""What the host refused says nothing of the release."""


def revert(account: Account, error: NewleafError, *, with_data: bool = False) -> Result:
    """Goes back to where the attempt started, because of `error`.

    Data that may be the new release's is restored; by a person's order only where migrating it was not
    finished, or `with_data`.
    """
    record, unhealthy, by_hand = account.record, isinstance(error, Unhealthy), isinstance(error, LeftByHand)
    in_migration = record.state is State.MIGRATE
    migrated = in_migration if by_hand else record.at(State.MIGRATE) is not None
    has_kept = record.at(State.SNAPSHOT) is not None or "kept" in record.detail
    restore = (migrated or unhealthy or with_data) and has_kept
    is_its_fault = by_hand or (in_migration and not isinstance(error, HOST_FAILURES))
    account.parts.journal.append(
        State.REVERT,
        error=error.as_record(),
        restore=restore,
        denies=unhealthy or (restore and is_its_fault),
        **({"by_hand": True} if by_hand else {}),
    )
    return _finish(account)


def revert_again(account: Account, *, by_hand: bool = False) -> Result:
    """Finishes a reversal that was killed, or that could not be finished before; `by_hand` by an order."""
    try:
        account.parts.journal.append(State.REVERT, resumed=True, **({"by_hand": True} if by_hand else {}))
    except NewleafError as error:
        account.deny(error.message)
        return account.ends(State.INCONSISTENT, "inconsistent", error.as_record())
    return _finish(account)


def _finish(account: Account) -> Result:
    detail = account.record.detail
    cause = detail.get("error")
    errors: list[dict[str, Any]] = [
        cause if isinstance(cause, dict) else {"code": "failed", "message": "not said"}
    ]
    if detail.get("by_hand"):
        # Before the attempt can end: a kill after that must not let the next update come back to it.
        account.deny(LeftByHand().message)
    try:
        with files.explained():
            if detail.get("restore"):
                if account.parts.launcher:
                    # What is put back must not be in use, by the old release either.
                    account.parts.launcher.hold(account.record)
                account.notes.append(account.target.data.restore())
            errors += _go_back(account)
    except NewleafError as error:
        return account.stays(error, "inconsistent")
    if account.parts.launcher:
        account.parts.launcher.free()
    if not detail.get("denies", detail.get("restore")):
        return account.ends(State.FAILED, "failed", *errors)
    lifts = f"newleaf allow {account.record.target.commit[:12]}"
    errors[0] = {**errors[0], "cure": f"publish a release that mends it; `{lifts}` has this one tried again"}
    account.deny(str(errors[0]["message"]))
    return account.ends(State.ROLLED_BACK, "rolled_back", *errors)


def _go_back(account: Account) -> list[dict[str, Any]]:
    start = account.record.start
    account.parts.layout.place(start, sideways=True)
    environment = account.parts.parts_for(start, account.record).environment
    failures = []
    if account.kind != REPAIR and environment.owed():
        failures = _reinstall(account, environment)
        environment.attach()
    account.notes += account.parts.layout.activate(start)
    return failures


def _reinstall(account: Account, environment: Environment) -> list[dict[str, Any]]:
    """Old dependencies back. A failure here is owed by fingerprint: the next update repairs it."""
    try:
        environment.install(account.parts.reporter.line)
    except NewleafError as error:
        return [error.as_record()]
    return []
