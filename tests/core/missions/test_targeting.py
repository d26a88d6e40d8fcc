"""Whom a mission is for."""

from __future__ import annotations

import pytest

from newleaf.core.missions.targeting import parse_target

LABELS = {"role": "worker", "zone": "us/east"}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("mini-1", True),
        ("mini-2", False),
        ("mini-10", False),
        ("Mini-1", False),
        ("*", True),
        ("role=worker", True),
        ("role=boss", False),
        ("role!=boss", True),
        ("role!=worker", False),
        ("zone=us/east,role=worker", True),
        ("zone=us/east,role!=worker", False),
        ("gpu=", False),
        ("gpu!=yes", True),
        ("gpu=yes", False),
        ("role == worker, zone = us/east", True),
        ("role=worker, zone != us/east", False),
        (" role==boss ", False),
    ],
)
def test_l37_for_a_host_by_its_name_its_labels_or_for_everybody(text: str, meant: bool) -> None:
    """lessons.md L37, L39"""
    target = parse_target(text)
    assert target.means("mini-1", LABELS) is meant
    assert str(target) == text


@pytest.mark.parametrize(("text", "broadcast"), [("mini-1", False), ("*", True), ("role=worker", True)])
def test_more_than_one_host_may_be_meant_then_it_is_a_broadcast(text: str, broadcast: bool) -> None:
    assert parse_target(text).is_broadcast is broadcast


@pytest.mark.parametrize(
    "text",
    [
        "",
        "**",
        "mini 1",
        "-mini",
        "role=worker,",
        ",",
        "role===worker",
        "role in (worker)",
        "=x",
        "mini-1\n",
        "a=b c",
        "x" * 256,
        "é",
    ],
)
def test_anything_else_is_no_target(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_target(text)
