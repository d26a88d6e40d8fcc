"""The demo's service manager: keeps one daemon running, as systemd or launchd would.

Rules: an end with 42 and a crash are followed by a new start, a crash after a pause; an end with 0 is
meant. When whoever started this goes away (its end of standard input closes), the daemon is ended,
and this ends too. Every start and end is a line of JSON in a file. Standard library only; run by path.

    python service_keeper.py EVENTS PROGRAM [ARGUMENT…]
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

RESTART = 42
PAUSE_SECONDS = 0.5
GRACE_SECONDS = 5.0
LOOK_SECONDS = 0.02


def keep(events: Path, argv: list[str]) -> None:
    """Runs `argv` again and again, until it ends with 0 or standard input closes."""
    while True:
        daemon = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
        note(events, event="started", pid=daemon.pid)
        try:
            while daemon.poll() is None and not is_closed(LOOK_SECONDS):
                pass
        finally:
            is_wanted = daemon.poll() is not None
            status = daemon.wait() if is_wanted else end(daemon)
            note(events, event="ended", pid=daemon.pid, status=status)
        if not is_wanted or status == 0 or (status != RESTART and is_closed(PAUSE_SECONDS)):
            return


def is_closed(seconds: float) -> bool:
    """Whether standard input is closed, or becomes so in that time."""
    readable, _, _ = select.select([0], [], [], seconds)
    return bool(readable) and not os.read(0, 1)


def end(daemon: subprocess.Popen[bytes]) -> int:
    """Ends the daemon with all that it has started: asked first, then killed."""
    daemon.terminate()
    try:
        daemon.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(daemon.pid, signal.SIGKILL)
    return daemon.wait()


def note(events: Path, **event: object) -> None:
    """Appends a line."""
    with events.open("a") as file:
        file.write(json.dumps({"at": time.time(), **event}) + "\n")


if __name__ == "__main__":
    keep(Path(sys.argv[1]), sys.argv[2:])
