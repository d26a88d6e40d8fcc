"""What a launcher holds open for its whole life, and what it can tell of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from newleaf.core.launch.child import LEAVING
from newleaf.launcher.control import Control
from newleaf.launcher.daemon_processes import DaemonProcesses
from newleaf.launcher.logs import Log
from newleaf.launcher.loop import Loop
from newleaf.launcher.processes import Processes

if TYPE_CHECKING:
    from newleaf.core.launch.supervision import Supervision


class Opened(NamedTuple):
    """It stays open across the launcher's own restarts too."""

    lock: int
    control: Control
    daemon: DaemonProcesses
    processes: Processes
    loop: Loop
    log: Log | None


def status_of(supervision: Supervision, opened: Opened, agent: int | None) -> dict[str, Any]:
    """What is known of every process, for people."""
    children = [
        {
            "pid": opened.daemon.pid_of(child.number),
            "role": child.role,
            "commit": child.commit,
            "version": child.plan.release.version,
            "ready": child.ready_at is not None,
            "failed": child.reason if child.role == LEAVING else child.fault,
        }
        for child in supervision.children.all.values()
    ]
    return {
        "pid": os.getpid(),
        "children": children,
        "on_trial": supervision.counters.commit,
        "agent": agent,
        "log": str(opened.log.path) if opened.log else None,
        "dropped_bytes": opened.log.dropped_bytes if opened.log else 0,
    }
