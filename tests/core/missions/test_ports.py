"""An entry of a stream has a name."""

from __future__ import annotations

from newleaf.core.missions.ports import Entry


def test_named_by_its_stream_and_its_id() -> None:
    assert Entry("p:all", "1-0", {}).name == "p:all/1-0"
