"""When a window is open, by days, midnights, zones and clock changes; and what is no window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from newleaf.core.windows import DAYS, LONGEST_WAIT, is_open, next_opening, parse_window

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
MINUTE = timedelta(minutes=1)

# Zones with unlike habits: half hours, changes of half an hour or at midnight, no change, far from UTC.
ZONES = (
    "UTC",
    "Europe/Amsterdam",
    "America/New_York",
    "America/St_Johns",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Pacific/Kiritimati",
    "Africa/Cairo",
)


def within(first: str, last: str) -> st.SearchStrategy[datetime]:
    return st.datetimes(datetime.fromisoformat(first), datetime.fromisoformat(last), timezones=st.just(UTC))


# Any time, and the weeks around changes of the clock in those zones.
MOMENTS = st.one_of(
    within("2024-01-01", "2027-12-31"),
    within("2026-03-05", "2026-04-09"),
    within("2026-09-03", "2026-11-04"),
)


@st.composite
def window_texts(draw: st.DrawFn) -> str:
    first, last = draw(st.sampled_from(DAYS)), draw(st.sampled_from(DAYS))
    days = draw(
        st.sampled_from(["", f"{first} ", f"{first}-{last} ", f"{first},{last} ", f"{last}, {first}-{last} "])
    )
    start, end = draw(
        st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda span: span[0] != span[1])
    )
    zone = draw(st.sampled_from(ZONES))
    return f"{days}{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02} {zone}"


def naive_is_open(text: str, moment: datetime) -> bool:
    """The rule read aloud: does the wall clock show a minute of the span, begun on one of the days?"""
    *days, span, zone = text.replace(", ", ",").split()
    wall = moment.astimezone(ZoneInfo(zone))
    start, end = (int(part[:2]) * 60 + int(part[3:]) for part in span.split("-"))
    minute = wall.hour * 60 + wall.minute
    allowed = set()
    for part in days[0].split(",") if days else ["Mon-Sun"]:
        first, _, last = part.partition("-")
        number = DAYS.index(first)
        allowed.add(number)
        while last and DAYS[number] != last:
            number = (number + 1) % 7
            allowed.add(number)
    if start < end:
        return wall.weekday() in allowed and start <= minute < end
    before_midnight = wall.weekday() in allowed and minute >= start
    after_midnight = (wall.weekday() - 1) % 7 in allowed and minute < end
    return before_midnight or after_midnight


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def opening(after: str, *texts: str) -> str | None:
    found = next_opening([parse_window(text) for text in texts], at(after))
    return found[0].astimezone(UTC).strftime("%Y-%m-%d %H:%M") if found else None


@given(window_texts(), MOMENTS)
@settings(max_examples=400)
def test_window_is_open_exactly_when_the_wall_clock_says_so(text: str, moment: datetime) -> None:
    assert parse_window(text).is_open(moment) == naive_is_open(text, moment)


@given(window_texts(), MOMENTS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_next_opening_is_the_first_open_minute_that_a_scan_finds(text: str, moment: datetime) -> None:
    start = moment.replace(second=0, microsecond=0)
    if naive_is_open(text, start):
        return
    scanned = start
    while not naive_is_open(text, scanned) and scanned < start + LONGEST_WAIT:
        scanned += MINUTE
    found = next_opening([parse_window(text)], start)
    assert (found and found[0]) == (scanned if scanned < start + LONGEST_WAIT else None)


@given(window_texts(), MOMENTS)
@settings(max_examples=100, deadline=None)
def test_window_is_closed_until_its_next_opening(text: str, moment: datetime) -> None:
    window = parse_window(text)
    found = next_opening([window], moment)
    assert found
    assert window.is_open(found[0])
    assert found[0] > moment
    if not window.is_open(moment):
        quarter = (found[0] - moment) / 4
        assert not any(window.is_open(moment + quarter * number) for number in range(4))


@pytest.mark.parametrize(
    ("text", "moment", "expected"),
    [
        ("01:00-05:00", "2026-11-20T01:00:00+00:00", True),
        ("01:00-05:00", "2026-11-20T00:59:59.999999+00:00", False),
        ("01:00-05:00", "2026-11-20T04:59:59.999999+00:00", True),
        ("01:00-05:00", "2026-11-20T05:00:00+00:00", False),
        # Friday's night goes on into Saturday; Saturday's own does not begin.
        ("Fri 22:00-02:00", "2026-11-20T23:00:00+00:00", True),
        ("Fri 22:00-02:00", "2026-11-21T01:59:00+00:00", True),
        ("Fri 22:00-02:00", "2026-11-21T02:00:00+00:00", False),
        ("Fri 22:00-02:00", "2026-11-21T22:30:00+00:00", False),
        ("Fri 22:00-02:00", "2026-11-20T01:00:00+00:00", False),
        # Sunday's night ends on Monday.
        ("Sun 22:00-02:00", "2026-11-23T01:00:00+00:00", True),
        ("Mon-Fri 01:00-05:00", "2026-11-22T02:00:00+00:00", False),
        ("Fri-Mon 01:00-05:00", "2026-11-22T02:00:00+00:00", True),
        ("Fri-Mon 01:00-05:00", "2026-11-24T02:00:00+00:00", False),
        ("Mon,Wed,Fri 01:00-05:00", "2026-11-18T02:00:00+00:00", True),
        ("Mon,Wed,Fri 01:00-05:00", "2026-11-19T02:00:00+00:00", False),
        ("Sat,Mon-Tue 01:00-05:00", "2026-11-24T02:00:00+00:00", True),
        ("00:00-24:00", "2026-11-20T23:59:59+00:00", True),
        ("22:00-00:00", "2026-11-20T23:59:59+00:00", True),
        ("22:00-00:00", "2026-11-21T00:00:00+00:00", False),
        ("Mon-Fri 01:00-05:00 Europe/Amsterdam", "2026-11-20T00:30:00+00:00", True),
        ("Mon-Fri 01:00-05:00 Europe/Amsterdam", "2026-11-20T04:30:00+00:00", False),
        # It is Monday in Amsterdam, and still Sunday in UTC.
        ("Mon 00:00-01:00 Europe/Amsterdam", "2026-11-22T23:30:00+00:00", True),
    ],
)
def test_window_by_example(text: str, moment: str, expected: bool) -> None:
    assert parse_window(text).is_open(at(moment)) is expected


def test_moment_may_be_told_in_any_zone() -> None:
    window = parse_window("01:00-05:00 Europe/Amsterdam")
    assert window.is_open(datetime(2026, 7, 1, 1, 0, tzinfo=AMSTERDAM))
    assert window.is_open(datetime(2026, 6, 30, 19, 0, tzinfo=ZoneInfo("America/New_York")))


def test_hour_that_the_clock_skips_never_comes() -> None:
    """On 29 March 2026 Amsterdam goes from 02:00 to 03:00."""
    assert opening("2026-03-28T12:00:00+00:00", "Sun 02:00-03:00 Europe/Amsterdam") == "2026-04-05 00:00"


def test_window_that_begins_in_the_skipped_hour_opens_after_it() -> None:
    assert opening("2026-03-28T12:00:00+00:00", "Sun 02:30-04:00 Europe/Amsterdam") == "2026-03-29 01:00"


def test_hour_that_the_clock_repeats_is_open_twice() -> None:
    """On 25 October 2026 Amsterdam goes from 03:00 back to 02:00."""
    window = parse_window("Sun 02:00-02:30 Europe/Amsterdam")
    first, second = at("2026-10-25T00:10:00+00:00"), at("2026-10-25T01:10:00+00:00")
    assert window.is_open(first)
    assert not window.is_open(at("2026-10-25T00:40:00+00:00"))
    assert window.is_open(second)
    assert opening("2026-10-25T00:40:00+00:00", window.text) == "2026-10-25 01:00"


def test_window_inside_the_hour_that_comes_twice_opens_a_second_time() -> None:
    assert opening("2026-10-25T00:45:00+00:00", "Sun 02:30-02:40 Europe/Amsterdam") == "2026-10-25 01:30"


def test_window_that_the_clock_jumps_back_into_opens_again_at_the_change() -> None:
    assert opening("2026-10-25T00:45:00+00:00", "Sun 01:00-02:40 Europe/Amsterdam") == "2026-10-25 01:00"


def test_first_of_several_windows_counts() -> None:
    texts = ("Sat 01:00-05:00", "Mon-Fri 22:00-23:00 Europe/Amsterdam")
    assert opening("2026-11-20T12:00:00+00:00", *texts) == "2026-11-20 21:00"
    windows = [parse_window(text) for text in texts]
    assert is_open(windows, at("2026-11-21T01:00:00+00:00"))
    assert is_open(windows, at("2026-11-20T21:00:00+00:00"))
    assert not is_open(windows, at("2026-11-20T12:00:00+00:00"))


def test_day_that_a_zone_skipped_waits_for_the_next_one() -> None:
    """Samoa crossed the date line: 30 December 2011, a Friday, never was."""
    window = "Fri 10:00-11:00 Pacific/Apia"
    assert opening("2011-12-24T12:00:00+00:00", window) == "2012-01-05 20:00"


@pytest.mark.parametrize(
    "same",
    [
        "Mon-Fri 01:00-05:00",
        "mon-FRI 1:00-5:00 utc",
        "Monday - friday  01:00 - 05:00 UTC",
        " Mon,Tue,Wed-Fri 01:00-05:00 Z ",
    ],
)
def test_ways_to_write_the_same_window(same: str) -> None:
    window = parse_window(same)
    assert (window.days, window.start, window.end, window.zone) == (
        frozenset(range(5)),
        timedelta(hours=1),
        timedelta(hours=5),
        UTC,
    )


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "Mon-Fri 01:00-05:00"),
        ("always", "Mon-Fri 01:00-05:00"),
        ("Mon-Fri", "Mon-Fri 01:00-05:00"),
        ("Mon-Fri 01-05", "Mon-Fri 01:00-05:00"),
        ("Mon-Fri 01:00-05:00 Europe/Amsterdam twice", "Mon-Fri 01:00-05:00"),
        ("Mon-Fri 01:00-05:00\n", None),
        ("Mo-Fr 01:00-05:00", "'Mo'"),
        ("Mon-Wed-Fri 01:00-05:00", "'Mon-Wed-Fri'"),
        ("Mon,,Fri 01:00-05:00", "''"),
        ("01:00-25:00", "25:00"),
        ("01:60-05:00", "01:60"),
        ("01:00-24:01", "24:01"),
        ("24:00-05:00", "begins before it ends"),
        ("05:00-05:00", "00:00-24:00"),
        ("01:00-05:00 Europe/Amsterdamn", "Europe/Amsterdamn"),
        ("01:00-05:00 Europe", "Europe"),
        ("01:00-05:00 America/../../etc/passwd", "Mon-Fri"),
        ("01:00-05:00 /etc/passwd", "Mon-Fri"),
        ("01:00-05:00 +01:00", "Mon-Fri"),
        (None, "Mon-Fri"),
        (105, "Mon-Fri"),
        (["01:00-05:00"], "Mon-Fri"),
    ],
)
def test_what_is_no_window_is_refused_with_a_hint(text: object, hint: str | None) -> None:
    if hint is None:
        assert parse_window(text).days == frozenset(range(5))
        return
    with pytest.raises(ValueError, match=r"must be|has") as refused:
        parse_window(text)
    assert hint in str(refused.value)


@given(st.text(max_size=40))
def test_any_text_is_a_window_or_a_value_error(text: str) -> None:
    try:
        parse_window(text)
    except ValueError as error:
        complaint = str(error)
    else:
        complaint = "has none"
    assert complaint.startswith(("must be", "has"))


def test_openings_of_a_quiet_zone_are_a_day_apart() -> None:
    window = parse_window("01:00-05:00")
    found = sorted(set(window.openings(at("2026-11-20T12:00:00+00:00"))))
    assert all(later - earlier == timedelta(days=1) for earlier, later in pairwise(found))
