"""Which update is in flight, for whom, and what came of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from newleaf.core.missions.results import Report
from newleaf.core.missions.update_orders import (
    Ordered,
    Progress,
    outcome_of,
    read_ordered,
    wish_for,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ONE = Ordered(
    job_id="j1", target="a", issued_at=NOW, expires_at=NOW + timedelta(days=1), since="0", hosts=("a",)
)
ALL = Ordered(
    job_id="j2", target="*", issued_at=NOW, expires_at=NOW + timedelta(days=1), since="5-1", hosts=("a", "b")
)


def told(host: str = "a", outcome: str = "updated", status: str = "SUCCESS", rule: str = "") -> Report:
    result: Any = {"outcome": outcome} if outcome else None
    return Report("j", "j", "system:update_factory", "*", host, "", status, "", rule, result)


def failed(outcome: str, host: str = "a") -> Report:
    return told(host, outcome, "FAILED")


LONG_AGO, LATER = NOW - timedelta(hours=1), NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("ordered", "answered", "silent", "minutes", "awaited"),
    [
        (ONE, (), {}, 0, {"a"}),
        (ONE, ("a",), {}, 0, set()),
        (ONE, (), {"a": LONG_AGO}, 14, {"a"}),
        (ONE, (), {"a": LONG_AGO}, 15, set()),
        (ONE, (), {"a": LATER}, 74, {"a"}),
        (ONE, (), {"a": LATER}, 75, set()),
        (ONE, (), {}, 24 * 60 - 1, {"a"}),
        (ONE, (), {}, 24 * 60, set()),
        (ALL, (), {}, 0, {"a", "b"}),
        (ALL, ("a",), {}, 0, {"b"}),
        (ALL, ("a",), {"b": LONG_AGO}, 0, set()),
        (ALL, (), {}, 24 * 60, set()),
    ],
    ids=[
        "one", "one that told", "one that is away", "away for long", "it left later", "and did not come back",
        "one that says nothing", "expired", "all", "one of all told", "the other is away", "all expired",
    ],
)  # fmt: skip
def test_an_order_then_the_hosts_that_it_waits_for(
    ordered: Ordered,
    answered: tuple[str, ...],
    silent: dict[str, datetime],
    minutes: float,
    awaited: set[str],
) -> None:
    assert ordered.awaited(answered, silent, NOW + timedelta(minutes=minutes)) == awaited


def test_an_order_is_kept_then_read_back_and_what_is_none_is_none() -> None:
    assert read_ordered(ALL.as_json().encode()) == ALL
    without_a_zone = ALL.as_json().replace("Z", "").encode()
    for text in (b"", b"{}", b"[" * 100_000, b"\xff", without_a_zone):
        assert read_ordered(text) is None


def test_a_wish_then_it_is_for_one_or_all_and_says_no_more_than_it_must() -> None:
    assert (wish_for("a", None).target, wish_for("a", None).context) == ("a", {})
    assert (wish_for(None, "main").target, wish_for(None, "main").context) == ("*", {"branch": "main"})


@pytest.mark.parametrize(
    ("report", "outcome"),
    [
        (told(), "updated"),
        (told(outcome="up_to_date"), "updated"),
        (failed("waiting"), "waiting"),
        (failed("held"), "held"),
        (failed("rolled_back"), "rolled_back"),
        (failed("inconsistent"), "inconsistent"),
        (failed("updated"), "failed"),
        (failed("locked"), "failed"),
        (failed("nonsense"), "failed"),
        (failed(""), "failed"),
        (told(status="FAILED", rule="another_branch"), "refused"),
    ],
)
def test_a_report_then_its_outcome_and_updated_only_where_a_process_has_said_so(
    report: Report, outcome: str
) -> None:
    assert outcome_of(report) == outcome


@pytest.mark.parametrize(
    ("reports", "so_far", "in_the_end"),
    [
        ([], "waiting", "failed"),
        ([told()], "waiting", "failed"),
        ([told(), told("b")], "updated", "updated"),
        ([told(), failed("held", "b")], "held", "held"),
        ([told(), failed("waiting", "b")], "waiting", "waiting"),
        ([failed("rolled_back"), failed("failed", "b")], "rolled_back", "rolled_back"),
        ([failed("rolled_back"), failed("inconsistent", "b")], "inconsistent", "inconsistent"),
        ([failed("rolled_back")], "rolled_back", "rolled_back"),
        ([failed("waiting"), failed("failed", "b")], "failed", "failed"),
    ],
)
def test_l41_an_order_for_two_then_the_worst_counts_and_silence_is_failure(
    reports: list[Report], so_far: str, in_the_end: str
) -> None:
    progress = Progress(ALL, {report.host: report for report in reports})
    assert (progress.outcome(), progress.outcome(is_over=True)) == (so_far, in_the_end)
    record = progress.as_record()
    assert len(record["results"]) + len(record["missing"]) == 2
