"""A second filesystem, wherever the tests' own folder lies."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PLACES = (Path("/dev/shm"), Path("/var/tmp"), Path.home())


@contextmanager
def other_disk(folder: Path) -> Iterator[Path]:
    """Meanwhile, a folder on another filesystem than `folder`."""
    device = folder.stat().st_dev
    place = next((place for place in PLACES if place.is_dir() and place.stat().st_dev != device), None)
    if place is None:
        pytest.skip("one filesystem only")
    with tempfile.TemporaryDirectory(prefix="newleaf-", dir=place) as made:
        yield Path(made)
