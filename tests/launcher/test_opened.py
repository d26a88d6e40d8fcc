"""What a launcher tells people of its processes."""

from __future__ import annotations

import os
from pathlib import Path

from newleaf.core.launch.child import LEAVING, SERVING, Child
from newleaf.core.launch.counters import Counters
from newleaf.core.launch.supervision import Supervision
from newleaf.launcher.control import CONTROL, Control
from newleaf.launcher.daemon_processes import DAEMON, DaemonProcesses
from newleaf.launcher.logs import Log
from newleaf.launcher.loop import Loop
from newleaf.launcher.opened import Opened, status_of
from newleaf.launcher.processes import Known, Processes
from newleaf.launcher.sockets import Listening
from tests.support.launchers import COMMIT, make_plan


def test_every_process_is_told_with_what_is_wrong_with_it(state: Path, loop: Loop) -> None:
    supervision, processes = Supervision(Counters()), Processes(lambda: None)
    daemon = DaemonProcesses(state, processes, loop, lambda _: None, Listening(state, {}))
    control, log = Control.open(state / CONTROL), Log.open(state / "logs")
    log.dropped_bytes = 5
    serving, leaving = Child(1, make_plan(state), SERVING, 0.0), Child(2, make_plan(state), LEAVING, 0.0)
    serving.ready_at, serving.fault = 1.0, "it answers 500"
    leaving.reason = "too late"
    supervision.children.all = {1: serving, 2: leaving}
    supervision.counters.commit = COMMIT
    processes.running[77] = Known(DAEMON, 1)
    found = status_of(supervision, Opened(0, control, daemon, processes, loop, log), 78)
    assert found == {
        "pid": os.getpid(),
        "children": [
            {
                "pid": 77,
                "role": SERVING,
                "commit": COMMIT,
                "version": "1.0.0",
                "ready": True,
                "failed": "it answers 500",
            },
            {
                "pid": None,
                "role": LEAVING,
                "commit": COMMIT,
                "version": "1.0.0",
                "ready": False,
                "failed": "too late",
            },
        ],
        "on_trial": COMMIT,
        "agent": 78,
        "log": str(state / "logs" / "daemon.log"),
        "dropped_bytes": 5,
    }
    bare = status_of(Supervision(Counters()), Opened(0, control, daemon, processes, loop, None), None)
    assert bare == {**found, "children": [], "on_trial": None, "agent": None, "log": None, "dropped_bytes": 0}
    control.end(state / CONTROL)
    os.close(log.source)
    os.close(log.sink)
