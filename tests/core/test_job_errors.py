"""The failures of jobs and restarts say what happened, what to do, and how a job's end is told."""

from __future__ import annotations

import pytest

from newleaf.core import job_errors
from newleaf.core.errors import NewleafError

FACTS = {
    "reason": "job 17 runs",
    "host": "leases.example.org",
    "path": "/state",
    "program": "job",
    "count": 5,
    "span": "30m",
    "until": "13:00",
    "name": "1.1.0",
    "limit": 3,
    "commit": "abcdef0",
    "tree": "/app",
}
KINDS = [
    found
    for found in vars(job_errors).values()
    if isinstance(found, type) and issubclass(found, NewleafError) and found.__module__ == job_errors.__name__
]


@pytest.mark.parametrize("kind", KINDS)
def test_error_has_a_code_of_its_own_and_leaves_no_fact_open(kind: type[NewleafError]) -> None:
    error = kind(**FACTS)
    assert [other.code for other in KINDS].count(kind.code) == 1
    assert "{" not in error.message + error.advice
    assert error.as_record()["code"] == kind.code


@pytest.mark.parametrize(
    ("kind", "exit_code", "outcome"),
    [
        (job_errors.AppBusy, 4, "waiting"),
        (job_errors.CrashLoop, 7, "inconsistent"),
        (job_errors.JobNotFound, 127, "failed"),
        (job_errors.JobNotExecutable, 126, "failed"),
        (job_errors.LeaseDenied, 1, "failed"),
        (job_errors.NoDaemon, 1, "failed"),
    ],
)
def test_exit_code_and_outcome_are_the_contracts(
    kind: type[NewleafError], exit_code: int, outcome: str
) -> None:
    assert (kind.exit_code, kind.outcome) == (exit_code, outcome)
