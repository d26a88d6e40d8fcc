"""Spans of time as people write them: 600, "10m", "1h30m", "7 days"; and rates: "5 in 30m".

Rules: a bare number is seconds; units go from long to short, each at most once; nothing negative,
infinite or longer than a hundred years. Knows no clock.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

LONGEST_SECONDS = 36_500 * 86_400.0

_UNITS = {"w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
_PART = (
    r"(?P<count>[0-9]+(?:\.[0-9]+)?)\s*"
    r"(?P<unit>weeks?|days?|hours?|minutes?|mins?|seconds?|secs?|[wdhms])(?![a-z])[\s,]*"
)
_NUMBER = r"[0-9]+(?:\.[0-9]+)?\Z"
_RATE = r"(?P<count>[1-9][0-9]{0,5})\s+in\s+(?P<span>\S.*)\Z"


class Rate(NamedTuple):
    """At most so many `times` within `seconds`."""

    times: int
    seconds: float


def parse_duration(value: object) -> float:
    """Seconds, from a number or from text with units.

    Raises: ValueError that says what it must be.
    """
    if isinstance(value, str):
        return _bounded(_parse_text(value.strip().lower()))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError('must be a number of seconds or text like "10m"')
    return _bounded(value)


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads back: 90 → "1m30s"; thousandths are kept."""
    if seconds != int(seconds):
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    parts = []
    left = int(seconds)
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, int(_UNITS[unit]))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_rate(value: object) -> Rate:
    """A rate such as "5 in 30m".

    Raises: ValueError that says what it must be.
    """
    found = re.match(_RATE, value.strip()) if isinstance(value, str) else None
    seconds = parse_duration(found["span"]) if found else 0.0
    if not found or not seconds:
        raise ValueError('must be a count and a span of time, like "5 in 30m"')
    return Rate(int(found["count"]), seconds)


def _parse_text(text: str) -> float:
    if re.match(_NUMBER, text):
        return float(text)
    position, total, previous = 0, 0.0, math.inf
    part = re.compile(_PART)
    while found := part.match(text, position):
        unit = _UNITS[found["unit"][0]]
        if unit >= previous:
            raise ValueError('must go from long units to short ones, each once, like "1h30m"')
        total += float(found["count"]) * unit
        position, previous = found.end(), unit
    if not text or position != len(text):
        raise ValueError('must be a number of seconds or text like "10m", "1h30m" or "7 days"')
    return total


def _bounded(seconds: float) -> float:
    # The order matters: a comparison with NaN is false, and a huge int does not fit a float.
    if not 0 <= seconds <= LONGEST_SECONDS:
        raise ValueError("must be a span of time from 0 to a hundred years")
    return float(seconds)
