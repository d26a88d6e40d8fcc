"""The streams' names."""

from __future__ import annotations

from newleaf.core.missions.streams import Streams
from newleaf.core.missions.targeting import parse_target


def test_they_are_named_as_the_contract_says() -> None:
    streams = Streams("newleaf:app:missions")
    assert [streams.all, streams.host("mini-1"), streams.results, streams.dead, streams.available] == [
        f"newleaf:app:missions:{name}" for name in ("all", "host:mini-1", "results", "dead", "available")
    ]
    assert streams.registrations == "newleaf:app:missions:registrations"


def test_for_one_host_then_to_its_own_stream_else_to_everybodys() -> None:
    streams = Streams("p")
    assert streams.towards(parse_target("mini-1")) == "p:host:mini-1"
    assert {streams.towards(parse_target(text)) for text in ("*", "a=b")} == {"p:all"}
