"""Times of day and spans, as people write them."""

from __future__ import annotations

import pytest

from newleaf.core.services.service_errors import TimerUnreadable
from newleaf.core.services.timer import TimeOfDay, Timer, parse_timer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("06:00,18:00", Timer(times=(TimeOfDay(6, 0), TimeOfDay(18, 0)))),
        ("18:00, 6:30, 18:00", Timer(times=(TimeOfDay(6, 30), TimeOfDay(18, 0)))),
        ("23:59", Timer(times=(TimeOfDay(23, 59),))),
        ("12h", Timer(seconds=43_200)),
        ("1h30m", Timer(seconds=5400)),
        ("900", Timer(seconds=900)),
    ],
)
def test_times_or_a_span_are_read(text: str, expected: Timer) -> None:
    assert parse_timer(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("24:00", "'24:00' is no time of day"),
        ("06:60", "'06:60' is no time of day"),
        ("06:00,", "'' is no time of day"),
        ("6:0", "'6:0' is no time of day"),
        ("*:0/15", "'*:0/15' is no time of day"),
        ("06:00\nExecStart=/bin/false", "is no time of day"),
        ("59s", "at least a minute"),
        ("0", "at least a minute"),
        ("soon", "must be a number of seconds"),
        ("", "must be a number of seconds"),
    ],
)
def test_anything_else_is_refused_with_its_reason(text: str, said: str) -> None:
    with pytest.raises(TimerUnreadable) as raised:
        parse_timer(text)
    assert said in raised.value.message
    assert raised.value.exit_code == 2
