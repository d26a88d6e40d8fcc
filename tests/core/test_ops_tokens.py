"""The endpoint's tokens: whose each is, and which of them somebody holds (threats.md T23, T32)."""

from __future__ import annotations

import hmac
from typing import Any

import pytest

from newleaf.core.ops_tokens import Token, digest_of, find_token, make_text, read_token, read_tokens

OPS = Token(digest_of(b"ops"), "2026-11-20T12:00:00Z", None, "ann")
FACTORY = Token(digest_of(b"factory"), "2026-11-20T12:00:00Z", "mini-1")
TOKENS = (OPS, FACTORY)


@pytest.mark.parametrize(("given", "found"), [(b"ops", OPS), (b"factory", FACTORY)])
def test_a_token_is_given_then_it_is_found(given: bytes, found: Token) -> None:
    assert find_token(TOKENS, given) == found


@pytest.mark.parametrize(
    "given",
    [b"", b"op", b"opsx", b"\xff", "öps".encode(), b"x" * 10**6, OPS.digest.encode(), OPS.id.encode()],
)
def test_t23_anything_else_is_given_then_it_is_none_of_them(given: bytes) -> None:
    assert find_token(TOKENS, given) is None


def test_nothing_is_given_then_it_is_no_token_even_where_nothing_is_one() -> None:
    assert find_token([Token(digest_of(b""), "")], b"") is None


def test_t23_each_token_is_compared_as_bytes_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    real = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((type(one), type(other)))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    find_token(TOKENS, b"ops")
    assert compared == [(bytes, bytes)] * 2


def test_a_token_is_made_then_its_beginning_says_what_it_is() -> None:
    assert make_text("s3cret", None) == "newleaf_ops_s3cret"
    assert make_text("s3cret", "mini-1") == "newleaf_factory_s3cret"


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_is_written_then_read_back_and_no_list_shows_its_hash(token: Token) -> None:
    assert read_token(token.as_record()) == token
    assert token.digest not in str(token.shown())
    assert token.shown()["role"] == ("operator" if token is OPS else "factory")


@pytest.mark.parametrize(
    "record",
    [None, [], {}, {"sha256": "x", "factory": None}, {"sha256": "A" * 64, "factory": None},
     {"sha256": "a" * 64}, {"sha256": "a" * 64, "factory": ""}, {"sha256": "a" * 64, "factory": 1}],
)  # fmt: skip
def test_t32_an_entry_does_not_say_whose_it_is_then_it_is_nobody_s(record: Any) -> None:
    with pytest.raises(ValueError, match="entry"):
        read_token(record)


@pytest.mark.parametrize("records", [None, {}, "x", [1]])
def test_no_list_of_tokens_then_it_is_refused(records: Any) -> None:
    with pytest.raises(ValueError, match="it"):
        read_tokens(records)
