"""Who holds the secret, and who has failed too often (threats.md T23, T25)."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from newleaf.core.credentials import MAX_CALLERS, MAX_FAILURES, Recent, is_same, is_signed, read_bearer

BODY = b'{"ref": "refs/heads/main"}'


def signature(secret: str = "s3cret", body: bytes = BODY) -> bytes:
    return b"sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode()


@pytest.mark.parametrize("header", [b"Bearer abc", b"bearer  abc ", b"BEARER abc"])
def test_a_bearer_header_then_its_token(header: bytes) -> None:
    assert read_bearer(header) == b"abc"


@pytest.mark.parametrize("header", [b"", b"abc", b"Basic abc", b"Bearer", b"Bearer "])
def test_anything_else_then_no_token(header: bytes) -> None:
    assert read_bearer(header) == b""


@pytest.mark.parametrize(
    "given", [b"", b"wrong", b"s3cre", b"s3cret ", "s3crét".encode(), b"\xff", b"x" * 10**6]
)
def test_t23_another_token_then_it_is_not_the_secret(given: bytes) -> None:
    assert not is_same("s3cret", given)


def test_nothing_is_no_secret_even_where_the_secret_is_nothing() -> None:
    assert not is_same("", b"")


@pytest.mark.parametrize("secret", ["s3cret", "gehéim"])
def test_the_secret_then_it_is_the_same(secret: str) -> None:
    assert is_same(secret, secret.encode())


def test_t23_secrets_are_compared_as_bytes_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    real = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((type(one), type(other)))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    is_same("s3cret", b"wrong")
    is_signed("s3cret", BODY, b"sha256=wrong")
    assert compared == [(bytes, bytes), (bytes, bytes)]


def test_t25_signed_then_one_byte_altered_anywhere_is_not() -> None:
    assert is_signed("s3cret", BODY, signature())
    for position in range(len(BODY)):
        altered = BODY[:position] + bytes([BODY[position] ^ 1]) + BODY[position + 1 :]
        assert not is_signed("s3cret", altered, signature())
    for header in (
        b"",
        b"sha256=",
        signature("other"),
        signature().removeprefix(b"sha256="),
        signature() + b"0",
        b"\xff",
    ):
        assert not is_signed("s3cret", BODY, header)


def test_t23_ten_failures_in_a_minute_then_the_next_waits_for_its_end() -> None:
    failures = Recent()
    for number in range(MAX_FAILURES):
        assert failures.wait_seconds("a", number) == 0
        failures.note("a", number)
    assert failures.wait_seconds("a", 10) == 50
    assert failures.wait_seconds("a", 59.5) == 0.5
    assert failures.wait_seconds("a", 60) == 0
    assert failures.wait_seconds("b", 10) == 0


def test_many_callers_fail_then_the_oldest_are_forgotten() -> None:
    failures = Recent()
    for _ in range(MAX_FAILURES):
        failures.note("first", 0)
    for number in range(MAX_CALLERS):
        failures.note(str(number), 1)
    assert failures.wait_seconds("first", 2) == 0
