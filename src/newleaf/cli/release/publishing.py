"""The steps of `release` once every check holds: make the tag, read it back, push it with its branch.

Rules: a tag that does not hold when it is read back is taken away again, and so is one that this run made
and could not push, where the remote says that it does not have it; one that may have arrived stays. A run
that was interrupted after the tag is gone on with: the same tag, read back and pushed. Branch and tag go in
one push, both or neither.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from newleaf.cli.release.facts import Desk
from newleaf.core.errors import NewleafError
from newleaf.core.release import CommitId
from newleaf.core.releases.channels import HEADS, TAGS
from newleaf.core.releases.release_errors import PushFailed, PushUnclear, TagUnsound
from newleaf.core.releases.tag_object import find_tag_fault, read_tag
from newleaf.system.git.maintainer import Signing


class Order(Struct, frozen=True):
    """How to sign, and whose signatures a host takes."""

    signing: Signing
    signers: Path | None = None


class Made(Struct, frozen=True):
    """The tag that is here now; `signed_by` is the fingerprint of the key."""

    tag: str
    tag_object: CommitId
    signed_by: str | None
    is_new: bool


def make_tag(desk: Desk, order: Order) -> Made:
    """Makes the tag, or takes the one of an interrupted run, and reads it back.

    Raises: SigningFailed, TagUnsound.
    """
    seat, git = desk.seat, desk.git
    tag = seat.tag or ""
    if seat.goes_on and seat.local_tag:
        signer, fault = _read_back(desk, order, seat.local_tag)
        if fault:
            raise TagUnsound(tag=tag, reason=fault, left=f"if it is not needed: git tag -d {tag}")
        return Made(tag, seat.local_tag, signer, is_new=False)
    tag_object = git.make_tag(tag, seat.head, f"{seat.tree.app} {seat.version}", order.signing)
    try:
        signer, fault = _read_back(desk, order, tag_object)
        if fault:
            raise TagUnsound(tag=tag, reason=fault, left="the tag was taken away again")
    except NewleafError:
        git.remove_tag(tag, tag_object)
        raise
    return Made(tag, tag_object, signer, is_new=True)


def push(desk: Desk, made: Made) -> None:
    """Pushes the branch and the tag.

    Raises: PushFailed, PushUnclear.
    """
    seat, git, line = desk.seat, desk.git, desk.seat.line
    branch, remote = line.branch or "", line.remote or ""
    refs = {f"{HEADS}{branch}": seat.head, f"{TAGS}{made.tag}": made.tag_object}
    reason = git.push(remote, refs)
    if reason is None:
        return
    try:
        arrived = git.remote_refs(remote, branch, seat.prefix).get(f"{TAGS}{made.tag}")
    except NewleafError as error:
        raise PushUnclear(tag=made.tag, remote=remote, reason=reason) from error
    if arrived == made.tag_object:
        # The remote took it, and its answer was lost.
        return
    left = "the tag of the earlier run is kept"
    if made.is_new:
        git.remove_tag(made.tag, made.tag_object)
        left = "the tag was taken away here too"
    raise PushFailed(tag=made.tag, remote=remote, reason=reason, left=left)


def _read_back(desk: Desk, order: Order, tag_object: CommitId) -> tuple[str | None, str | None]:
    """Who signed the tag, and why it is not what was asked for; each None where there is nothing to say."""
    seat, tag = desk.seat, desk.seat.tag or ""
    body = desk.git.read_tag(tag_object) or b""
    if fault := find_tag_fault(body, tag, seat.head, signed=order.signing.sign):
        return None, fault
    if not order.signing.sign:
        return None, None
    signer = desk.keys.find_signer(read_tag(body))
    if signer is None:
        return None, "its signature does not hold"
    if order.signers and (said := desk.git.find_signature_fault(tag_object, order.signers)):
        return signer, f"{order.signers} does not vouch for the key {signer}: {said}"
    return signer, None
