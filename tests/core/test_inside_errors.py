"""The failures of an agent inside a daemon say what happened, and what to do."""

from __future__ import annotations

import pytest

from newleaf.core.errors import NewleafError
from newleaf.core.inside_errors import DaemonEnds, NotDeployedHere, StandsBy


@pytest.mark.parametrize(
    ("kind", "code", "outcome"),
    [
        (NotDeployedHere, "not_deployed_here", "usage"),
        (StandsBy, "stands_by", "locked"),
        (DaemonEnds, "daemon_ends", "failed"),
    ],
)
def test_error_has_its_code_and_outcome_and_leaves_no_fact_open(
    kind: type[NewleafError], code: str, outcome: str
) -> None:
    error = kind(state="/state", owner="python (pid 7)")
    assert (error.code, error.outcome) == (code, outcome)
    assert "{" not in error.message + error.advice
    assert error.advice
