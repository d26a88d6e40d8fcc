"""A fleet for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest

from newleaf.cli.fleet.tables import describe, describe_report, what_changed
from newleaf.core.missions.fleet_view import see
from newleaf.core.missions.registration import Registration
from newleaf.core.missions.results import Report

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def lines(seconds: float, **said: Any) -> list[str]:
    host = Registration(name="mini-1", at=NOW - timedelta(seconds=seconds), **said)
    return [click.unstyle(line) for line in describe(see([host], None, NOW))]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s ago"), (119, "119 s ago, silent"), (600, "10 min ago, silent"), (7200, "2 h ago, silent"),
     (3 * 86400, "3 d ago, silent")],
)  # fmt: skip
def test_a_host_was_heard_then_how_long_ago_and_whether_it_is_silent(seconds: float, words: str) -> None:
    assert lines(seconds)[1].endswith(words)


def test_nothing_is_known_of_a_host_then_unknown_and_never_a_guess() -> None:
    assert lines(1)[1].split() == ["mini-1", "unknown", "unknown", "unknown", "unknown", "1", "s", "ago"]
    assert lines(1)[2] == "1 host, 0 drifting, 0 silent"


def test_host_says_its_version_and_no_commit_then_the_version_alone() -> None:
    assert lines(1, version="1.3.0")[1].split()[:2] == ["mini-1", "1.3.0"]
    assert "()" not in lines(1, version="1.3.0")[1]


def test_most_run_a_release_then_it_is_what_the_others_are_compared_with() -> None:
    assert lines(1, commit="a" * 40)[2].endswith("target aaaaaaaaa, what most run")


def test_only_time_has_passed_then_nothing_has_changed_until_it_is_silent() -> None:
    host = Registration(name="mini-1", at=NOW, commit="a" * 40)
    texts = [what_changed(see([host], None, NOW + timedelta(seconds=later))) for later in (1, 30, 60)]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("status", "result", "rule", "error", "line"),
    [
        (
            "SUCCESS",
            {"version": "1.1.0", "updated_to": "b" * 40},
            "",
            "",
            "mini-1: updated 1.1.0 (bbbbbbbbb)",
        ),
        (
            "FAILED",
            {"outcome": "rolled_back", "version": "1.0.0"},
            "",
            "sick",
            "mini-1: rolled_back: sick",
        ),
        ("FAILED", None, "expired", "late", "mini-1: refused (expired): late"),
        ("FAILED", ["x"], "", "", "mini-1: failed"),
    ],
)
def test_a_report_then_one_line(status: str, result: Any, rule: str, error: str, line: str) -> None:
    report = Report("j", "j", "k", "*", "mini-1", "", status, error, rule, result)
    assert click.unstyle(describe_report(report)) == line
