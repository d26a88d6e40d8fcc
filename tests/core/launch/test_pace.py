"""A launcher looks at the time seldom where nothing goes on."""

from __future__ import annotations

import pytest

from newleaf.core.launch.pace import seconds_to_look


@pytest.mark.parametrize(
    ("processes", "busy", "watched", "seconds"),
    [
        (1, False, False, 30.0),
        (1, False, True, 1.0),
        (1, True, False, 0.05),
        (1, True, True, 0.05),
        (0, False, False, 0.05),
        (2, False, True, 0.05),
    ],
)
def test_how_much_goes_on_then_how_soon_to_look(
    processes: int, busy: bool, watched: bool, seconds: float
) -> None:
    assert seconds_to_look(processes, is_busy=busy, is_watched=watched) == seconds
