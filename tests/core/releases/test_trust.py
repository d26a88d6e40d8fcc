"""Which releases a host trusts, as far as that can be told without asking for signatures."""

from __future__ import annotations

import pytest

from newleaf.core.errors import BelowFloor
from newleaf.core.release import Release
from newleaf.core.releases.trust import require_floor, require_signed_commit, require_signed_tag
from newleaf.core.releases.trust_errors import CommitRefused, TagRefused
from newleaf.core.settings.sections import Security
from tests.support.simulated_host import commit_of, release_of

TARGET = Release(commit_of("a"), "1.1.0", "v1.1.0")
SSH = b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"
PGP = b"-----BEGIN PGP SIGNATURE-----\n\niQ\n-----END PGP SIGNATURE-----\n"


def tag(
    commit: str = TARGET.commit, kind: str = "commit", name: str = "v1.1.0", signature: bytes = SSH
) -> bytes:
    head = (
        f"object {commit}\ntype {kind}\ntag {name}\ntagger Ada Example <ada@example.org> 1790000000 +0000\n"
    )
    return head.encode() + b"\nsessions 1.1.0\n" + signature


def commit(*headers: bytes) -> bytes:
    lines = (b"tree " + b"b" * 40, b"author A <a@example.org> 1 +0000", *headers)
    return b"\n".join(lines) + b"\n\nMessage\n"


def test_without_a_floor_every_version_is_taken() -> None:
    require_floor(Security(), release_of("a"))


@pytest.mark.parametrize("version", ["1.9.9", "1.10.0rc1", None, "no version"])
def test_below_the_floor_is_refused(version: str | None) -> None:
    """threats.md T1"""
    with pytest.raises(BelowFloor):
        require_floor(Security(floor="1.10.0"), release_of("a", version))


@pytest.mark.parametrize("version", ["1.10.0", "1.11.0", "2.0.0"])
def test_at_the_floor_and_above_is_taken(version: str) -> None:
    """threats.md T1, lessons.md L15"""
    require_floor(Security(floor="1.10.0"), release_of("a", version))


def test_an_annotated_signed_tag_of_the_commit_under_its_own_name_is_taken() -> None:
    require_signed_tag(tag(), TARGET)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(None, "lightweight", id="T6 lightweight"),
        pytest.param(tag(signature=b""), "not signed", id="T6 unsigned"),
        pytest.param(tag(signature=PGP), "PGP", id="T7 signed with PGP"),
        pytest.param(tag(name="v1.0.0"), "v1.0.0", id="T8 another version's tag"),
        pytest.param(tag(commit="c" * 40), "c" * 9, id="T3 another commit"),
        pytest.param(tag(kind="blob"), "blob", id="T11 of a blob"),
        pytest.param(tag(kind="tag"), "tag of a tag", id="T11 of a tag"),
        pytest.param(b"", "", id="nothing that could be read"),
    ],
)
def test_any_other_tag_is_refused(body: bytes | None, reason: str) -> None:
    """threats.md T6, T7, T8, T11"""
    with pytest.raises(TagRefused) as caught:
        require_signed_tag(body, TARGET)
    assert reason in caught.value.message


@pytest.mark.parametrize("header", [b"gpgsig", b"gpgsig-sha256"])
def test_a_commit_with_an_ssh_signature_is_taken(header: bytes) -> None:
    require_signed_commit(commit(header + b" " + SSH.replace(b"\n", b"\n ").rstrip(b" \n")), TARGET)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (commit(), "not signed"),
        (commit(b"gpgsig " + PGP.replace(b"\n", b"\n ").rstrip(b" \n")), "not ssh's"),
        (commit() + b"gpgsig " + SSH, "not signed"),
        (b"", "not signed"),
    ],
)
def test_any_other_commit_is_refused(body: bytes, reason: str) -> None:
    """threats.md T6, T7: a signature in the message is none"""
    with pytest.raises(CommitRefused) as caught:
        require_signed_commit(body, TARGET)
    assert reason in caught.value.message
