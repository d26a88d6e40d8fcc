"""What an annotated tag says: which object it names, as what, and whether it carries an ssh signature.

Rules: a release's tag is of a commit, says its own name (threats.md T8) and not that of another, and its
signature, where it has one, is ssh's (T7): no other counts. Reads bytes as `git cat-file tag` gives them.
"""

from __future__ import annotations

from msgspec import Struct

SIGNATURE = b"-----BEGIN SSH SIGNATURE-----\n"
PGP_SIGNATURE = b"-----BEGIN PGP"


class TagObject(Struct, frozen=True):
    """One tag object, taken apart: `payload` is what was signed, `signature` what follows it."""

    object_id: str
    kind: str
    name: str
    payload: bytes
    signature: bytes

    @property
    def is_signed(self) -> bool:
        return bool(self.signature)


def read_tag(body: bytes) -> TagObject:
    """A tag object from its bytes; what it does not say is empty."""
    at = body.find(b"\n" + SIGNATURE)
    payload, signature = (body, b"") if at < 0 else (body[: at + 1], body[at + 1 :])
    fields: dict[str, str] = {}
    for line in payload.partition(b"\n\n")[0].decode(errors="replace").splitlines():
        word, _, value = line.partition(" ")
        fields.setdefault(word, value)
    return TagObject(
        fields.get("object", ""), fields.get("type", ""), fields.get("tag", ""), payload, signature
    )


def find_tag_fault(body: bytes, name: str, commit: str, *, signed: bool) -> str | None:
    """Why this is not the tag `name` of `commit`, as the end of a sentence; None when it is."""
    tag = read_tag(body)
    if tag.kind != "commit":
        return f"it is a tag of a {tag.kind or 'thing without a kind'}, not of a commit"
    if tag.object_id != commit:
        return f"it names {tag.object_id[:9]}, not {commit[:9]}"
    if tag.name != name:
        return f"it says that it is {tag.name}"
    if signed and not tag.is_signed:
        how = "is signed with PGP, and hosts take ssh alone" if PGP_SIGNATURE in body else "is not signed"
        return f"it {how}"
    return None
