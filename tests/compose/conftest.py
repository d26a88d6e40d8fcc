"""What the tests of compose share: a deployment, and standing in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.deployment import Deployment


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """An app on a host whose home is empty; the test stands in its checkout."""
    made = Deployment.make(tmp_path)
    for name in [name for name in os.environ if name.startswith("NEWLEAF_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(made.home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(made.home / ".config"))
    monkeypatch.chdir(made.checkout.path)
    return made
