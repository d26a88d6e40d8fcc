"""What the verbs' tests share: a host with an app, and a terminal in its checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.deployment import Deployment
from tests.support.terminal import Terminal


@pytest.fixture
def host(tmp_path: Path) -> Deployment:
    """An app at version 1.0.0 on channel alpha, cloned."""
    return Deployment.make(tmp_path)


@pytest.fixture
def terminal(
    host: Deployment, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    """A terminal in the host's checkout."""
    made = Terminal(capsys, monkeypatch)
    made.sit_at(host)
    return made
