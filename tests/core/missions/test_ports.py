"""An entry of a stream has a name."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from newleaf.core.missions.ports import Entry


def test_named_by_its_stream_and_its_id() -> None:
    assert Entry("p:all", "1-0", {}).name == "p:all/1-0"


@pytest.mark.parametrize(
    ("identity", "at"),
    [
        ("1764590400500-3", datetime(2025, 12, 1, 12, 0, 0, 500_000, UTC)),
        (f"{2**64 - 1}-0", None),
        ("nonsense", None),
    ],
)
def test_an_entry_then_when_it_was_published_as_far_as_its_id_says(
    identity: str, at: datetime | None
) -> None:
    assert Entry("s", identity, {}).at == at
