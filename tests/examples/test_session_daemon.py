"""The session daemon's own loop, where it meets what it cannot deal with."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import newleaf

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "session_daemon" / "app"


def test_its_work_meets_a_defect_then_it_ends_and_is_not_a_daemon_that_does_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its service manager starts it again, and an update that brought the defect is seen to be unhealthy."""

    @contextlib.asynccontextmanager
    async def updater(**_: object) -> AsyncIterator[Any]:
        yield None

    async def work(_: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLE))
    daemon = importlib.import_module("sessions.daemon")

    monkeypatch.setattr(daemon, "work", work)
    monkeypatch.setattr(newleaf, "Updater", updater)
    monkeypatch.setattr(newleaf, "ready", lambda _: None)
    with pytest.RaisesGroup(OSError):
        asyncio.run(asyncio.wait_for(daemon.run(), 5))
