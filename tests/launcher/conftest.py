"""What the launcher's tests share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from newleaf.launcher.loop import SIGNALS, Loop
from tests.support.launchers import state_directory


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory whose path leaves room for the sockets in it."""
    with state_directory() as folder:
        yield folder


@pytest.fixture
def loop() -> Iterator[Loop]:
    """A loop; this process has its signals back afterwards."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    made = Loop()
    yield made
    made.close()
    for number, handler in before.items():
        signal.signal(number, handler)
