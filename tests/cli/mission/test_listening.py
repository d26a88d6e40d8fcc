"""`newleaf mission listen` as a service manager runs it; what it does with orders is `test_mission.py`'s."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.buses import on_bus
from tests.support.deployment import Deployment


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_l29_told_to_end_while_its_bus_is_away_then_it_ends_at_once(
    tmp_path: Path, number: signal.Signals
) -> None:
    deployment = Deployment.make(tmp_path)
    on_bus(deployment, f"unix://{tmp_path}/nowhere.sock")
    process = deployment.start("mission", "listen", "--json")
    assert process.stderr is not None
    assert "missions wait" in process.stderr.readline()
    process.send_signal(number)
    output, errors = process.communicate(timeout=10)
    assert (process.returncode, output.strip()) == (0, '{"schema": 1, "outcome": "ok"}'), errors
    assert errors.endswith("newleaf mission listen: ends\n")
