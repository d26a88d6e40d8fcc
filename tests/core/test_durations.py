from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newleaf.core.durations import LONGEST_SECONDS, Rate, format_duration, parse_duration, parse_rate


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0.0),
        (300, 300.0),
        (0.25, 0.25),
        ("600", 600.0),
        ("1.5", 1.5),
        ("90s", 90.0),
        ("10m", 600.0),
        ("12h", 43_200.0),
        ("7 days", 604_800.0),
        ("1 day", 86_400.0),
        ("2w", 1_209_600.0),
        ("1h30m", 5_400.0),
        ("1 hour, 30 minutes", 5_400.0),
        ("1.5h", 5_400.0),
        ("10 min", 600.0),
        ("5 secs", 5.0),
        (" 10M ", 600.0),
        ("1d2h3m4s", 93_784.0),
    ],
)
def test_durations_are_read_as_people_write_them(value: object, seconds: float) -> None:
    read = parse_duration(value)
    assert read == seconds
    assert isinstance(read, float)


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        None,
        [],
        {},
        -1,
        -0.5,
        float("nan"),
        float("inf"),
        float("-inf"),
        10**400,
        LONGEST_SECONDS * 2,
        "",
        " ",
        "-1",
        "-5m",
        "nan",
        "inf",
        "1e3",
        "0x10",
        "10 m h",
        "m",
        "10x",
        "10mm",
        "1 month",
        "30m1h",
        "1m1m",
        "1h 30",
        "1,5h",
        "99999999 days",
        "٣m",
        "10m\n; rm",
    ],
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_duration(value)


@given(st.integers(min_value=0, max_value=int(LONGEST_SECONDS)))
def test_whole_seconds_come_back_from_their_text(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(min_value=0, max_value=10**9))
def test_thousandths_come_back_from_their_text(thousandths: int) -> None:
    seconds = thousandths / 1000
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.text(max_size=20) | st.floats() | st.integers() | st.booleans() | st.none())
def test_anything_is_a_duration_or_a_value_error(value: object) -> None:
    with contextlib.suppress(ValueError):
        assert 0 <= parse_duration(value) <= LONGEST_SECONDS


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (30, "30s"),
        (90, "1m30s"),
        (300, "5m"),
        (604_800, "7d"),
        (90_061, "1d1h1m1s"),
        (0.5, "0.5s"),
    ],
)
def test_durations_are_written_short(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_rate_is_a_count_within_a_span() -> None:
    assert parse_rate("5 in 30m") == Rate(5, 1800.0)
    assert parse_rate(" 1 in 2 hours ") == Rate(1, 7200.0)


@pytest.mark.parametrize(
    "value", ["", "5", "5 in", "in 5m", "0 in 5m", "-1 in 5m", "5 in 0", "5 in soon", "5/5m", 5, None, True]
)
def test_what_is_no_rate_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_rate(value)
