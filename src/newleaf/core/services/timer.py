"""When updates run by themselves: times of day ("06:00,18:00"), or a span from one to the next ("12h").

Rules: times are the host's own clock's; each counts once, in order; a span is at least a minute.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from msgspec import Struct

from newleaf.core.durations import parse_duration
from newleaf.core.services.service_errors import TimerUnreadable

SHORTEST_SECONDS = 60.0
_TIME = re.compile(r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})\Z")


class TimeOfDay(NamedTuple):
    """A time on the host's clock."""

    hour: int
    minute: int


class Timer(Struct, frozen=True):
    """Either `times`, or `seconds` from one update to the next."""

    times: tuple[TimeOfDay, ...] = ()
    seconds: int = 0


def parse_timer(text: str) -> Timer:
    """What `--timer` says.

    Raises: TimerUnreadable.
    """
    if ":" in text:
        return Timer(times=tuple(sorted({_parse_time(part.strip(), text) for part in text.split(",")})))
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise TimerUnreadable(text=text, reason=error) from error
    if seconds < SHORTEST_SECONDS:
        raise TimerUnreadable(text=text, reason="must be at least a minute")
    return Timer(seconds=int(seconds))


def _parse_time(part: str, text: str) -> TimeOfDay:
    found = _TIME.match(part)
    if not found or int(found["hour"]) > 23 or int(found["minute"]) > 59:
        raise TimerUnreadable(text=text, reason=f"{part!r} is no time of day from 00:00 to 23:59")
    return TimeOfDay(int(found["hour"]), int(found["minute"]))
