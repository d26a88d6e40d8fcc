"""Time since the machine was started: what no change of the clock moves.

Rules: a mark is which start of the machine, and how long since; it becomes a time only by the clock as it
is set when somebody asks. Where the system does not name its starts there are no marks. Standard library
only, for the launcher's sake.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

BOOT_ID = "/proc/sys/kernel/random/boot_id"


def boot() -> str | None:
    """Which start of the machine this is; None where the system does not say."""
    try:
        return kernel_text(BOOT_ID).strip()
    except OSError:
        return None


def kernel_text(path: str) -> str:
    """What the kernel says in a file below /proc. Raises: OSError."""
    # No Path, and no text file: each interns names at every use, and a launcher's memory would grow by them.
    with open(path, "rb", buffering=0) as file:
        return file.readall().decode(errors="replace")


def mark() -> str | None:
    """Marks this moment; None where there are no marks."""
    known = boot()
    return f"{known}/{_age_seconds():.6f}" if known else None


def moment_of(marked: str | None, written: datetime) -> datetime:
    """When a mark was made, by the clock as it is set now; without one, when its record was `written`.

    What was marked before the machine was started anew was before that, whatever the clock said.
    """
    known, _, seconds = (marked or "").rpartition("/")
    current = boot()
    if not known or not current:
        return written
    if known != current:
        return min(written, time_of(0.0))
    try:
        return time_of(float(seconds))
    except (ValueError, OverflowError):
        return written


def time_of(seconds: float) -> datetime:
    """When the machine had run for so long, by the clock as it is set now."""
    return datetime.fromtimestamp(time.time() - (_age_seconds() - seconds), UTC)


def _age_seconds() -> float:
    # Not /proc/uptime: in some containers that is the container's own.
    return time.clock_gettime(time.CLOCK_BOOTTIME if sys.platform == "linux" else time.CLOCK_MONOTONIC)
