"""Moments that no change of the clock moves."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from newleaf.system import uptime

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
BRIEF = timedelta(seconds=5)

with_marks = pytest.mark.skipif(uptime.boot() is None, reason="this system does not name its starts")


@with_marks
def test_a_mark_is_the_moment_it_was_made_at_whatever_its_record_says() -> None:
    marked = uptime.mark()
    for written in (NOW, NOW + HOUR, NOW - HOUR):
        assert abs(uptime.moment_of(marked, written) - datetime.now(UTC)) < BRIEF


@with_marks
def test_the_clock_is_set_back_then_a_mark_goes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    marked, real = uptime.mark(), time.time
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    assert abs(uptime.moment_of(marked, NOW) - (datetime.now(UTC) - HOUR)) < BRIEF


@with_marks
def test_what_was_marked_before_the_machine_was_started_anew_was_before_that() -> None:
    began = uptime.time_of(0.0)
    assert abs(uptime.moment_of("the boot before/12345.5", NOW + HOUR) - began) < BRIEF
    assert uptime.moment_of("the boot before/12345.5", began - HOUR) == began - HOUR


@pytest.mark.parametrize("marked", [None, "", "no mark", f"{uptime.boot()}/soon", f"{uptime.boot()}/1e999"])
def test_what_is_no_mark_says_nothing(marked: str | None) -> None:
    assert uptime.moment_of(marked, NOW) == NOW


def test_where_the_system_does_not_name_its_starts_there_are_no_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uptime, "BOOT_ID", str(tmp_path / "missing"))
    assert uptime.mark() is None
    assert uptime.moment_of("a boot/1.0", NOW) == NOW
