"""What a host does with a mission, rule by rule, and which rule comes first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from newleaf.core.missions.envelope import read_envelope
from newleaf.core.missions.judging import (
    ACCEPT,
    KNOWN,
    LEAVE,
    PASS_OVER,
    REFUSE,
    Memory,
    Receiver,
    judge,
)
from newleaf.core.missions.kinds import PAUSE, RESUME, UPDATE
from newleaf.core.missions.publishing import Wish, make_order
from newleaf.core.missions.signatures import MissionKey

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HQ = MissionKey("hq", b"h" * 32, broadcast=True)
CLERK = MissionKey("clerk", b"c" * 32)
PREFIX = "p"
OPEN = Receiver("mini-1", PREFIX, {"role": "worker"}, "main", frozenset({"app:resize"}))
LOCKED = Receiver("mini-1", PREFIX, keys={"hq": HQ, "clerk": CLERK}, handled=frozenset({"app:resize"}))
SEQUENCE = int(NOON.timestamp() * 1_000_000)


def verdict(
    receiver: Receiver = OPEN,
    memory: Memory | None = None,
    now: datetime = NOON + timedelta(minutes=1),
    key: MissionKey | None = None,
    **wish: Any,
) -> str:
    made = make_order(Wish(**{"kind": "app:resize", "target": "mini-1", **wish}), "job-1", NOON, PREFIX, key)
    found = judge(made.fields, read_envelope(made.fields), receiver, memory or Memory(), now)
    return found.fault.rule if found.fault else found.word


@pytest.mark.parametrize(
    ("wish", "word"),
    [
        ({}, ACCEPT),
        ({"target": "*"}, ACCEPT),
        ({"target": "role=worker"}, ACCEPT),
        ({"target": "role!=worker"}, PASS_OVER),
        ({"target": "mini-2"}, "not_for_this_host"),
        ({"kind": "app:unheard-of"}, "unknown_kind"),
        ({"kind": "system:delete_factory"}, "unknown_kind"),
        ({"kind": UPDATE}, ACCEPT),
        ({"kind": UPDATE, "context": {"branch": "other"}}, "another_branch"),
        ({"kind": UPDATE, "context": {"url": "x"}}, "unknown_context"),
    ],
)
def test_t26_for_this_host_and_of_a_kind_it_knows_or_not(wish: dict[str, Any], word: str) -> None:
    """lessons.md L37, L39; threats.md T26."""
    assert verdict(**wish) == word


@pytest.mark.parametrize(
    ("key", "target", "word"),
    [
        (None, "mini-1", "unsigned"),
        (HQ, "mini-1", ACCEPT),
        (HQ, "*", ACCEPT),
        (CLERK, "mini-1", ACCEPT),
        (CLERK, "*", "may_not_broadcast"),
        (MissionKey("hq", b"x" * 32), "mini-1", "bad_signature"),
        (MissionKey("boss", b"h" * 32), "mini-1", "unknown_key"),
    ],
)
def test_t27_where_keys_are_configured_only_their_missions_count(
    key: MissionKey | None, target: str, word: str
) -> None:
    """lessons.md L40; threats.md T26, T27."""
    assert verdict(LOCKED, key=key, target=target) == word


@pytest.mark.parametrize(
    ("now", "word"),
    [
        (NOON, ACCEPT),
        (NOON + timedelta(hours=24), "expired"),
        (NOON + timedelta(days=7), "expired"),
        (NOON - timedelta(minutes=5), ACCEPT),
        (NOON - timedelta(minutes=6), "from_the_future"),
    ],
)
def test_t27_expired_or_from_the_future_then_refused(now: datetime, word: str) -> None:
    """threats.md T27"""
    assert verdict(now=now) == word


@pytest.mark.parametrize(
    ("sequence", "word"),
    [
        (0, ACCEPT),
        (SEQUENCE - 1, ACCEPT),
        (SEQUENCE, "older_in_sequence"),
        (SEQUENCE + 1, "older_in_sequence"),
    ],
)
def test_t27_older_in_sequence_then_refused(sequence: int, word: str) -> None:
    """threats.md T27"""
    assert verdict(LOCKED, Memory(sequence=sequence), key=HQ) == word


def test_t27_known_then_its_result_is_told_again_whatever_else_is_wrong_with_it() -> None:
    """threats.md T27"""
    known = Memory(is_known=True, sequence=SEQUENCE + 5, is_paused=True)
    assert verdict(LOCKED, known, key=HQ, now=NOON + timedelta(days=9)) == KNOWN


def test_known_but_signed_by_nobody_then_nothing_is_told() -> None:
    assert verdict(LOCKED, Memory(is_known=True)) == "unsigned"


@pytest.mark.parametrize(
    ("kind", "word"), [("app:resize", LEAVE), (UPDATE, LEAVE), (PAUSE, ACCEPT), (RESUME, ACCEPT)]
)
def test_l39_paused_then_everything_is_left_but_what_ends_the_pause(kind: str, word: str) -> None:
    """lessons.md L39"""
    assert verdict(memory=Memory(is_paused=True), kind=kind) == word


def test_refused_then_it_says_why() -> None:
    made = make_order(Wish(target="mini-2"), "job-1", NOON, PREFIX, None)
    found = judge(made.fields, made.envelope, OPEN, Memory(), NOON)
    assert found.word == REFUSE
    assert found.fault is not None
    assert "mini-2" in found.fault.reason
