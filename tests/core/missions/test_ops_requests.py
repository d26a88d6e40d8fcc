"""What callers of the operator's endpoint say, read strictly (threats.md T24, T26)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from newleaf.core.missions.ops_requests import Unfit, read_order, read_registration_of

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"{}", (None, None)),
        (b'{"target_factory_id": null, "branch": null}', (None, None)),
        (b'{"target_factory_id": "mini-1"}', ("mini-1", None)),
        (b' {"branch": "feature/x"} ', (None, "feature/x")),
    ],
)
def test_an_order_then_whom_and_which_branch(body: bytes, found: tuple[str | None, str | None]) -> None:
    assert read_order(body) == found


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b'"x"', b"\xff", b"NaN", b"[" * 100_000, b'{"a":' * 50_000),
        *(b'{"command": "x"}', b'{"target_factory_id": 1}', b'{"target_factory_id": "-x"}'),
        *(b'{"target_factory_id": "a/b"}', b'{"branch": ""}', b'{"branch": "a..b"}', b'{"branch": "-f"}'),
    ],
)
def test_t26_an_order_says_anything_else_then_it_is_unfit(body: bytes) -> None:
    with pytest.raises(Unfit):
        read_order(body)


def test_a_registration_then_what_is_known_of_the_host_and_when_it_was_heard_is_ours_to_say() -> None:
    said = {"name": "mini-1", "labels": {"role": ""}, "capabilities": ["gpu"], "version": "1.0.0-rc.1"}
    found = read_registration_of(json.dumps({**said, "status": "deployed"}).encode(), "sessions", NOW)
    assert (found.name, found.at, found.app, found.status) == ("mini-1", NOW, "sessions", "deployed")
    assert (found.labels, found.capabilities, found.version) == ({"role": ""}, ("gpu",), "1.0.0-rc.1")
    assert read_registration_of(b'{"name": "mini-1"}', "sessions", NOW).status == "unknown"


@pytest.mark.parametrize(
    "said",
    [{"name": 1}, {"name": "a\n"}, {"at": "2030-01-01T00:00:00Z"}, {"interval_seconds": 1e9}, {"version": 1},
     {"commit": "a" * 39}, {"commit": "A" * 40}, {"status": "x" * 41}, {"labels": {"": "x"}},
     {"labels": {f"k{n}": "" for n in range(65)}}, {"capabilities": [1]}, {"capabilities": {"a": 1}}],
)  # fmt: skip
def test_t26_a_registration_says_anything_else_then_it_is_unfit(said: dict[str, Any]) -> None:
    with pytest.raises(Unfit):
        read_registration_of(json.dumps({"name": "mini-1", **said}).encode(), "sessions", NOW)


def test_a_registration_that_the_bus_would_not_take_then_it_is_unfit() -> None:
    said = {
        "name": "m",
        "labels": {f"{'k' * 95}{n}": "v" * 100 for n in range(64)},
        "capabilities": ["c" * 100] * 64,
    }
    with pytest.raises(Unfit, match="bytes"):
        read_registration_of(json.dumps(said).encode(), "sessions", NOW)
