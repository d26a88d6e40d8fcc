"""Who has signed a mission, and what that key may say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from newleaf.core.missions.envelope import read_envelope
from newleaf.core.missions.signatures import MissionKey, find_fault, read_keys, sequence_of, sign

HQ = MissionKey("hq", b"h" * 32, broadcast=True)
CLERK = MissionKey("clerk", b"c" * 32, kinds=("app:resize",))
KEYS = {"hq": HQ, "clerk": CLERK}
PREFIX = "newleaf:app:missions"
FIELDS = {
    "job_id": "job-1",
    "idempotency_key": "job-1",
    "mission_kind": "app:resize",
    "target": "mini-1",
    "priority": "0",
    "issued_at": "2026-11-20T12:00:00Z",
    "expires_at": "2026-11-21T12:00:00Z",
    "payload": '{"task": null, "context": {}}',
}


def fault(fields: dict[str, str], keys: Any = KEYS, prefix: str = PREFIX) -> str | None:
    found = find_fault(fields, read_envelope(fields), prefix, keys)
    return found.rule if found else None


def signed(key: MissionKey, **changed: str) -> dict[str, str]:
    fields = FIELDS | changed
    return fields | {"signature": sign(fields, PREFIX, key, 17)}


def test_signed_then_it_counts_and_says_its_key_and_number() -> None:
    assert fault(signed(HQ)) is None
    assert sequence_of(read_envelope(signed(HQ))) == ("hq", 17)


def test_the_page_signs_an_entry_then_it_is_signed_so_here() -> None:
    page = (Path(__file__).parents[3] / "docs/explanation/missions.md").read_text()
    text, said = re.findall(r"^    (\[\"newleaf mission 1\".*)$|is signed `(\S+)`", page, re.MULTILINE)
    _, prefix, key, number, fields = json.loads(text[0])
    secret = re.findall(r"With the secret `(\S+)`", page)[0].encode()
    assert sign(fields, prefix, MissionKey(key, secret), number) == said[1]
    assert json.dumps(json.loads(text[0]), sort_keys=True) == text[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("job_id", "job-2"),
        ("idempotency_key", "job-2"),
        ("mission_kind", "app:other"),
        ("target", "mini-2"),
        ("target", "*"),
        ("priority", "1"),
        ("issued_at", "2026-11-20T12:00:01Z"),
        ("expires_at", "2026-11-22T12:00:00Z"),
        ("payload", '{"task": null, "context": {"version": "9"}}'),
        ("timeout_seconds", "5"),
    ],
)
def test_t27_one_field_is_another_then_the_signature_is_not_of_this_mission(name: str, value: str) -> None:
    """Bound to target and time: threats.md T26, T27."""
    assert fault(signed(HQ) | {name: value}) == "bad_signature"


@pytest.mark.parametrize(
    ("signature", "rule"),
    [
        ("", "unsigned"),
        ("hq", "bad_signature"),
        ("hq:17:" + "0" * 64, "bad_signature"),
        ("boss:17:" + "0" * 64, "unknown_key"),
        ("hq:17:" + "0" * 63, "bad_signature"),
        ("hq:-1:" + "0" * 64, "bad_signature"),
    ],
)
def test_t27_signed_by_nobody_who_is_known_then_refused(signature: str, rule: str) -> None:
    """threats.md T27"""
    assert fault({**FIELDS, "signature": signature}) == rule


def test_another_number_another_key_or_another_app_then_it_is_not_of_this_mission() -> None:
    fields = signed(HQ)
    assert fault(fields | {"signature": fields["signature"].replace(":17:", ":18:")}) == "bad_signature"
    assert fault(fields | {"signature": fields["signature"].replace("hq:", "clerk:")}) == "bad_signature"
    assert fault(fields, prefix="newleaf:other:missions") == "bad_signature"


@pytest.mark.parametrize("target", ["*", "role=worker"])
def test_t26_for_many_with_a_key_that_may_not_broadcast_then_refused(target: str) -> None:
    """threats.md T26"""
    assert fault(signed(CLERK, target=target)) == "may_not_broadcast"
    assert fault(signed(HQ, target=target)) is None


def test_a_kind_that_the_key_may_not_order_then_refused() -> None:
    assert fault(signed(CLERK)) is None
    assert fault(signed(CLERK, mission_kind="system:update_factory")) == "kind_not_allowed"


def test_a_key_is_shown_then_its_secret_is_not() -> None:
    assert "hhhh" not in repr(HQ)


def test_a_file_of_keys_is_read() -> None:
    found = read_keys('[hq]\nsecret_file = "hq"\nbroadcast = true\n[ci]\nsecret_file = "ci"\nkinds = ["a"]\n')
    assert [(key.id, key.secret_file, key.broadcast, key.kinds) for key in found] == [
        ("hq", "hq", True, ()),
        ("ci", "ci", False, ("a",)),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no key"),
        ("hq = 1", "no table"),
        ('["a b"]\nsecret_file = "x"', "no table"),
        ("[hq]", "secret_file"),
        ("[hq]\nsecret_file = 1", "secret_file"),
        ('[hq]\nsecret_file = "x"\nbroadcast = "yes"', "true or false"),
        ('[hq]\nsecret_file = "x"\nkinds = "a"', "list of texts"),
        ('[hq]\nsecret_file = "x"\nmay = 1', "has no may"),
        ("[hq", "Expected"),
    ],
)
def test_anything_else_is_no_file_of_keys(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_keys(text)
