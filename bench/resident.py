"""newleaf inside a process that stays, as an agent is: does its work once for every line on standard input.

    resident.py check      looks at the remote
    resident.py update     one attempt, with settings and parts made anew, as an agent would
    resident.py install    builds another environment for the live release of a host with slots
    resident.py verify     judges the live release as a target, signature and tree, with parts made anew

The remote, the checkout and the state directory are those of the folder and the environment it is started in.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import time
from collections.abc import Callable

from newleaf import compose
from newleaf.compose.parts import transaction
from newleaf.compose.watching import look
from newleaf.core.errors import NewleafError
from newleaf.core.requests import Request
from newleaf.system.place import Unnamed

_at_end = contextlib.ExitStack()


def make_check() -> Callable[[], str]:
    """Looks with parts that are made once."""
    check = look(compose.host(Unnamed()))
    return lambda: check.look().outcome


def make_update() -> Callable[[], str]:
    """Updates with parts that are made for each attempt."""

    def update() -> str:
        host = compose.host(Unnamed())
        with host.locked("bench", "to measure"):
            result = transaction(host).update(Request("bench"))
        return result.outcome if result.exit_code == 0 else str(result.as_record()["errors"])

    return update


def make_install() -> Callable[[], str]:
    """Installs under the lock, as an attempt does, which is held as long as this process stays."""
    host = compose.host(Unnamed())
    _at_end.enter_context(host.locked("bench", "to measure"))
    live = host.layout.live()
    settings = host.settings_of(live.commit)

    def install() -> str:
        host.laid.environment(live, settings).install(lambda _: None)
        return "installed"

    return install


def make_verify() -> Callable[[], str]:
    """Verifies with parts that are made for each time, so that nothing is remembered."""
    live = compose.host(Unnamed()).layout.live()

    def verify() -> str:
        compose.host(Unnamed()).origin.verify(live, sideways=True)
        return "verified"

    return verify


WORK = {
    "check": (make_check, ("up_to_date", "available")),
    "update": (make_update, ("updated",)),
    "install": (make_install, ("installed",)),
    "verify": (make_verify, ("verified",)),
}


def answer(work: Callable[[], str], good: tuple[str, ...]) -> dict[str, object]:
    """Does the work once; what it took, or how it failed."""
    wall, cpu = time.perf_counter(), _cpu_seconds()
    try:
        outcome = work()
    except NewleafError as error:
        return {"failure": error.message}
    wall_ms, cpu_ms = (time.perf_counter() - wall) * 1000, (_cpu_seconds() - cpu) * 1000
    if outcome not in good:
        return {"failure": f"it said {outcome}"}
    return {"wall_ms": wall_ms, "cpu_ms": cpu_ms}


def _cpu_seconds() -> float:
    spent = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in spent)


if __name__ == "__main__":
    make, accepted = WORK[sys.argv[1]]
    with _at_end:
        do = make()
        for _ in sys.stdin:
            print(json.dumps(answer(do, accepted)), flush=True)
