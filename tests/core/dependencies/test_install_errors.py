"""Errors of installing: one line for people, the installer's own words beside it."""

from __future__ import annotations

import pytest

from newleaf.core.dependencies.install_errors import (
    EnvironmentInTheWay,
    InstallerMissing,
    InstallFailed,
    InstallTimedOut,
    ManifestUnreadable,
    PythonMissing,
)


def test_a_failure_carries_the_installers_lines_beside_its_message() -> None:
    error = InstallFailed(what="uv sync", reason="error: no wheel (exit 2)", lines=("a", "error: no wheel"))
    assert error.message == "the dependencies were not installed: uv sync failed: error: no wheel (exit 2)"
    assert error.as_record()["lines"] == ["a", "error: no wheel"]
    assert InstallFailed(what="uv sync", reason="x").as_record()["lines"] == []


@pytest.mark.parametrize(
    "error",
    [
        InstallFailed(what="w", reason="r"),
        InstallTimedOut(what="w", seconds=600.0),
        InstallerMissing(what="w", why="y", program="uv"),
        PythonMissing(
            wanted="3.99", found="this host has none", source=".python-version", how="uv python install 3.99"
        ),
        ManifestUnreadable(path="pyproject.toml", reason="r"),
        EnvironmentInTheWay(path=".venv", found="a file"),
    ],
)
def test_every_error_says_all_and_leaves_the_host_as_it_was(error: InstallFailed) -> None:
    assert "{" not in error.message + error.advice
    assert error.advice
    assert (error.exit_code, error.outcome) == (1, "failed")
