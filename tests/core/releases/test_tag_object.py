from __future__ import annotations

import pytest

from newleaf.core.releases.tag_object import find_tag_fault, read_tag

COMMIT = "a" * 40
SIGNATURE = "-----BEGIN SSH SIGNATURE-----\nU1NI\n-----END SSH SIGNATURE-----\n"
PGP = "-----BEGIN PGP SIGNATURE-----\niQ\n-----END PGP SIGNATURE-----\n"


def body(
    object_id: str = COMMIT, kind: str = "commit", name: str = "v1.0.0", message: str = "sessions 1.0.0\n"
) -> bytes:
    return f"object {object_id}\ntype {kind}\ntag {name}\ntagger Ada <a@b> 1 +0000\n\n{message}".encode()


def test_a_signed_tag_then_what_was_signed_ends_before_the_signature() -> None:
    tag = read_tag(body() + SIGNATURE.encode())
    assert tag.payload == body()
    assert tag.signature == SIGNATURE.encode()
    assert (tag.object_id, tag.kind, tag.name, tag.is_signed) == (COMMIT, "commit", "v1.0.0", True)


def test_an_unsigned_tag_then_it_is_whole_and_unsigned() -> None:
    tag = read_tag(body())
    assert (tag.payload, tag.signature, tag.is_signed) == (body(), b"", False)


def test_a_message_that_looks_like_a_header_then_the_header_counts() -> None:
    assert read_tag(body(message="tag v9.9.9\n")).name == "v1.0.0"


def test_a_header_said_twice_then_the_first_counts() -> None:
    twice = body().replace(b"tag v1.0.0\n", b"tag v1.0.0\ntag v9.9.9\n")
    assert read_tag(twice).name == "v1.0.0"


def test_what_is_no_tag_then_it_says_nothing() -> None:
    assert read_tag(b"\xff\x00").kind == ""


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (body() + SIGNATURE.encode(), None),
        (body(kind="blob") + SIGNATURE.encode(), "it is a tag of a blob, not of a commit"),
        (body(kind="tag") + SIGNATURE.encode(), "it is a tag of a tag, not of a commit"),
        (b"", "it is a tag of a thing without a kind, not of a commit"),
        (body("b" * 40) + SIGNATURE.encode(), "it names bbbbbbbbb, not aaaaaaaaa"),
        (body(name="v9.9.9") + SIGNATURE.encode(), "it says that it is v9.9.9"),
        (body(), "it is not signed"),
        (body() + PGP.encode(), "it is signed with PGP, and hosts take ssh alone"),
    ],
)
def test_a_tag_that_must_be_signed_then_its_fault(content: bytes, fault: str | None) -> None:
    assert find_tag_fault(content, "v1.0.0", COMMIT, signed=True) == fault


def test_a_tag_that_need_not_be_signed_then_none_is_missed() -> None:
    assert find_tag_fault(body(), "v1.0.0", COMMIT, signed=False) is None
