"""What the tests of compose share: a deployment in whose checkout this very process stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.deployment import Deployment


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """An app at version 1.0.0 on channel alpha; this process is its user's, and stands in its checkout."""
    made = Deployment.make(tmp_path)
    monkeypatch.setenv("HOME", str(made.home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("NEWLEAF_STATE_DIR", raising=False)
    monkeypatch.chdir(made.checkout.path)
    return made
