"""When the remote is asked next. Seconds everywhere; `chance` is a random number from 0 to 1.

Rules (lessons.md L44): the first look comes at a random part of the interval, and each later interval varies,
so that hosts that start together do not ask together; after failures the interval doubles, up to a bound;
what the server says about waiting is a minimum.
"""

from __future__ import annotations

from msgspec import Struct

MAX_DOUBLINGS = 4
LONGEST_BACK_OFF_SECONDS = 3600.0


class Interval(Struct, frozen=True):
    """How often to ask, and by what part of itself each interval varies."""

    seconds: float
    jitter: float


def first_wait(interval: Interval, chance: float) -> float:
    """From the start to the first look."""
    return interval.seconds * chance


def next_wait(interval: Interval, chance: float, failures: int = 0, at_least: float = 0.0) -> float:
    """From one look to the next, after so many failures in a row."""
    seconds = interval.seconds
    if failures > 1:
        backed_off = seconds * 2 ** min(failures - 1, MAX_DOUBLINGS)
        seconds = max(seconds, min(backed_off, LONGEST_BACK_OFF_SECONDS))
    varied = seconds * (1 + interval.jitter * (2 * chance - 1))
    # Hosts that are told to wait for the same moment must not come back at the same moment.
    return max(varied, at_least + interval.seconds * interval.jitter * chance if at_least > 0 else 0.0)
