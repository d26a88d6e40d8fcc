"""Weekly spans of time in which a restart may happen: "Mon-Fri 01:00-05:00 Europe/Amsterdam".

Rules: a moment is open when the wall clock of the window's zone shows a time and a day inside it. So an
hour that a clock change repeats counts twice, and one that it skips never comes. A span that ends before it
begins goes on past midnight and belongs to the day on which it began. Without days every day, without zone
UTC. Knows no clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from msgspec import Struct

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LONGEST_WAIT = timedelta(days=15)
"""Past every window of the week, and once more, should a clock change have skipped it."""

EXAMPLE = 'like "Mon-Fri 01:00-05:00 Europe/Amsterdam"'

_LONG_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SHAPE = re.compile(
    r"(?:(?P<days>[A-Za-z][A-Za-z, -]*?)\s+)?"
    r"(?P<start>[0-9]{1,2}:[0-9]{2})\s*-\s*(?P<end>[0-9]{1,2}:[0-9]{2})"
    r"(?:\s+(?P<zone>[A-Za-z][A-Za-z0-9_+/-]*))?\Z"
)
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


class Window(Struct, frozen=True):
    """One weekly span. `start` and `end` are times since midnight of the day on which the span begins."""

    text: str
    days: frozenset[int]
    start: timedelta
    end: timedelta
    zone: tzinfo
    zone_name: str

    def is_open(self, moment: datetime) -> bool:
        """Whether the moment, which knows its zone, lies in the window."""
        wall = moment.astimezone(self.zone)
        midnight = datetime.combine(wall.date(), time())
        since_midnight = wall.replace(tzinfo=None) - midnight
        today = wall.weekday() in self.days and self.start <= since_midnight < self.end
        yesterday = (wall.weekday() - 1) % 7 in self.days and since_midnight + _DAY < self.end
        return today or yesterday

    def openings(self, after: datetime) -> Iterator[datetime]:
        """In no order, every moment within `LONGEST_WAIT` at which the window may open."""
        first = after.astimezone(self.zone).replace(tzinfo=None).date()
        for number in range(-1, LONGEST_WAIT.days + 1):
            wall = datetime.combine(first + number * _DAY, time()) + self.start
            for fold in (0, 1):
                yield wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC)
        # A clock change may jump into a window.
        yield from _clock_changes(self.zone, after)


def parse_window(text: object) -> Window:
    """One window.

    Raises: ValueError that says what it must be.
    """
    found = _SHAPE.match(text.strip()) if isinstance(text, str) else None
    if not found:
        raise ValueError(f"must be days, a span of time and a zone, {EXAMPLE}")
    start, end = _parse_time(found["start"]), _parse_time(found["end"])
    if start == end or start >= _DAY:
        raise ValueError('must be a span of time that begins before it ends; for all day say "00:00-24:00"')
    zone_name = found["zone"] or "UTC"
    return Window(
        text=found.string,
        days=_parse_days(found["days"] or "Mon-Sun"),
        start=start,
        end=end if end > start else end + _DAY,
        zone=_parse_zone(zone_name),
        zone_name=zone_name,
    )


def is_open(windows: Iterable[Window], moment: datetime) -> bool:
    """Whether any of the windows is open."""
    return any(window.is_open(moment) for window in windows)


def next_opening(windows: Iterable[Window], after: datetime) -> tuple[datetime, Window] | None:
    """When the first of the windows opens, and which; None when none does within `LONGEST_WAIT`."""
    found = [
        (moment, window)
        for window in windows
        for moment in window.openings(after)
        if moment > after and window.is_open(moment)
    ]
    return min(found, key=lambda opening: opening[0], default=None)


def _parse_time(text: str) -> timedelta:
    hour, minute = map(int, text.split(":"))
    if minute > 59 or hour > 24 or (hour == 24 and minute):
        raise ValueError(f"has {text}, which is no time of day; hours go from 00:00 to 24:00")
    return timedelta(hours=hour, minutes=minute)


def _parse_days(text: str) -> frozenset[int]:
    days: set[int] = set()
    for part in text.split(","):
        names = [_parse_day(name) for name in part.split("-")]
        if len(names) > 2:
            raise ValueError(f'has {part.strip()!r}, which is no day and no range of days like "Mon-Fri"')
        first, last = names[0], names[-1]
        days.update((first + number) % 7 for number in range((last - first) % 7 + 1))
    return frozenset(days)


def _parse_day(name: str) -> int:
    word = name.strip().lower()
    for number, (short, long) in enumerate(zip(DAYS, _LONG_DAYS, strict=True)):
        if word in (short.lower(), long):
            return number
    raise ValueError(f"has {name.strip()!r} where a day should be: {', '.join(DAYS)}")


def _parse_zone(name: str) -> tzinfo:
    # UTC needs no time zone database.
    if name.upper() in ("UTC", "Z"):
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(
            f'has the time zone {name!r}, which is unknown here; zones have names like "Europe/Amsterdam", '
            "and a system without any needs the package tzdata"
        ) from error


def _clock_changes(zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """The moments at which the zone's clock jumps, to the minute."""
    step = timedelta(hours=1)
    moment = after.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    offset = moment.astimezone(zone).utcoffset()
    for _ in range(LONGEST_WAIT // step):
        later = moment + step
        if later.astimezone(zone).utcoffset() != offset:
            offset = later.astimezone(zone).utcoffset()
            yield _minute_of_change(zone, moment, later)
        moment = later


def _minute_of_change(zone: tzinfo, before: datetime, after: datetime) -> datetime:
    old = before.astimezone(zone).utcoffset()
    while after - before > _MINUTE:
        middle = before + (after - before) / 2
        middle = middle.replace(second=0, microsecond=0)
        if middle.astimezone(zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after
