"""What the settings say of missions, where they say little."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from newleaf.agent.jobs import Busy
from newleaf.agent.missions.door import MissionDoor
from newleaf.core.missions.judging import Receiver


def no_bus(_: str) -> Any:
    raise AssertionError


def test_nothing_is_said_then_no_key_is_needed_and_a_handler_has_an_hour(tmp_path: Path) -> None:
    door = MissionDoor(
        Receiver("mini-1", "p"), lambda _: pytest.fail("no bus"), lambda job: Busy(tmp_path, job)
    )
    assert (door.keys(), door.handler_seconds) == (None, 3600.0)
