"""What a program said comes with its failure."""

from __future__ import annotations

import pytest

from newleaf.core.data.data_errors import MigrationFailed
from newleaf.core.dependencies.install_errors import InstallFailed
from newleaf.core.output_errors import OutputError
from newleaf.core.releases.slot_errors import PreflightFailed


@pytest.mark.parametrize("kind", [InstallFailed, MigrationFailed, PreflightFailed])
def test_the_end_of_the_output_is_in_the_record(kind: type[OutputError]) -> None:
    error = kind(reason="it failed", lines=["one", "two"])
    assert error.lines == ("one", "two")
    assert error.as_record()["lines"] == ["one", "two"]


@pytest.mark.parametrize("facts", [{}, {"lines": None}, {"lines": "text"}])
def test_without_output_there_are_no_lines(facts: dict[str, object]) -> None:
    assert OutputError(reason="x", **facts).as_record()["lines"] == []
