"""Free space is looked at before anything is touched."""

from __future__ import annotations

import pytest

from newleaf.core.errors import DiskFull
from tests.support.installs import Install, installed_with, move_to
from tests.support.wheels import App


def test_too_little_room_then_nothing_is_touched(app: App, environment: Install, said: list[str]) -> None:
    """lessons.md L24: the sizes stand in the lock file."""
    installed_with(environment, said)
    move_to(app, "leaflet==2.0.0")
    lock = app.folder / "uv.lock"
    lock.write_text(lock.read_text().replace('.whl" }', f'.whl", size = {10**15} }}'))
    began = app.environment.stat().st_mtime_ns
    with pytest.raises(DiskFull, match=r"not enough room on the disk of .*needed"):
        environment().install(said.append)
    assert app.environment.stat().st_mtime_ns == began
    assert app.imported("leaflet") == "1.0.0"
