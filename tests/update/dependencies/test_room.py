"""Free space is looked at before anything is touched (lessons.md L24)."""

from __future__ import annotations

from pathlib import Path

import pytest

from newleaf.core.errors import DiskFull
from newleaf.core.settings.sections import Update
from newleaf.update.dependencies.needs import read_needs
from newleaf.update.dependencies.room import SMALLEST_BYTES, UNPACKED_FACTOR, require_room, room_needed
from tests.support.installs import Install, installed_with, move_to
from tests.support.wheels import App

HUGE = 10**15


def with_sizes(app: App, size: int) -> None:
    """The lock file says sizes, as those of an index do."""
    lock = app.folder / "uv.lock"
    lock.write_text(lock.read_text().replace('.whl" }', f'.whl", size = {size} }}'))


def room_of(app: App, *, is_fresh: bool) -> int:
    needs = read_needs(app.folder, Update(), "a" * 40, has_uv=True)
    return room_needed(needs, app.environment, is_fresh=is_fresh)


def test_too_little_room_then_nothing_is_touched(app: App, environment: Install, said: list[str]) -> None:
    """lessons.md L24: the sizes stand in the lock file."""
    installed_with(environment, said)
    move_to(app, "leaflet==2.0.0")
    with_sizes(app, HUGE)
    began = app.environment.stat().st_mtime_ns
    with pytest.raises(DiskFull, match=r"not enough room on the disk of .*needed"):
        environment().install(said.append)
    assert app.environment.stat().st_mtime_ns == began
    assert app.imported("leaflet") == "1.0.0"


def test_what_is_missing_counts_and_what_is_installed_does_not(
    app: App, environment: Install, said: list[str]
) -> None:
    installed_with(environment, said)
    with_sizes(app, HUGE)
    assert room_of(app, is_fresh=False) == SMALLEST_BYTES
    assert room_of(app, is_fresh=True) == SMALLEST_BYTES + UNPACKED_FACTOR * HUGE


def test_plenty_of_room_then_the_lock_is_only_glanced_at(app: App) -> None:
    lock = app.folder / "uv.lock"
    lock.write_text("size = 100\n[[no toml")
    assert room_of(app, is_fresh=True) == SMALLEST_BYTES


def test_an_environment_of_pip_needs_room_for_pip(app: App) -> None:
    needs = read_needs(app.folder, Update(), "a" * 40, has_uv=False)
    assert room_needed(needs, app.environment, is_fresh=True) > SMALLEST_BYTES
    assert room_needed(needs, app.environment, is_fresh=False) == SMALLEST_BYTES
    require_room(needs, Path(app.environment), is_fresh=True)
