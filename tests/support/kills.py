"""Processes that are killed at a chosen moment, as a power cut or an impatient person would."""

from __future__ import annotations

import os
import signal
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from newleaf.system import files, process_table

PATIENCE_SECONDS = 20.0


def run_in_child(action: Callable[[], object]) -> int:
    """Runs `action` in a forked process; its exit status, negative for the signal that ended it."""
    with warnings.catch_warnings():
        # The test runner has a thread of its own; it holds no lock that the child would need.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            action()
        except BaseException:  # noqa: BLE001 (the forked process must never go on as a test run)
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run_killed_at(event_number: int, action: Callable[[], object]) -> bool:
    """Runs `action` in a process that dies before its n-th write, fsync, rename; False when it had fewer."""
    seen = 0

    def count(_event: str, _path: Path) -> None:
        nonlocal seen
        seen += 1
        if seen == event_number:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched() -> None:
        files.observe = count
        action()

    status = run_in_child(watched)
    assert status in (0, -signal.SIGKILL), f"the action itself failed: {status}"
    return status == -signal.SIGKILL


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Returns as soon as `holds()`; fails the test when it never does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.005)


def note_group(path: Path) -> Callable[[int], None]:
    """For `Runner.on_start`: notes the child's process group, so that another process can watch it end."""
    return lambda group: files.write_whole(path, f"{group} {process_table.start_time(group)}".encode())


def wait_for_end_of_group(path: Path) -> None:
    """Returns when no process of the noted group is left; at once when none was noted."""
    if path.exists():
        group, _, started = path.read_text().partition(" ")
        wait_until(lambda: not process_table.group_members(int(group), started), f"the end of group {group}")
        path.unlink()
