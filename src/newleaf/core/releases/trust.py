"""Which releases this host trusts, by the settings that are its own.

Rules: a release below the floor is refused, and so is one whose version is not known where there is one
(threats.md T1). Where tags are required, a target is trusted by the tag that names it: annotated, of that
very commit, under its own name, with an ssh signature (T6, T7, T8, T11); where commits are, by its own ssh
signature. Whose signature it is, `system.signatures` asks.
"""

from __future__ import annotations

from newleaf.core.errors import BelowFloor
from newleaf.core.release import Release
from newleaf.core.releases.channels import parse_version
from newleaf.core.releases.tag_object import find_tag_fault
from newleaf.core.releases.trust_errors import CommitRefused, TagRefused
from newleaf.core.settings.sections import Security

_SSH_SIGNED = b"\ngpgsig -----BEGIN SSH SIGNATURE-----\n"
_SSH_SIGNED_SHA256 = b"\ngpgsig-sha256 -----BEGIN SSH SIGNATURE-----\n"


def require_floor(security: Security, target: Release) -> None:
    """Refuses what is older than the host takes.

    Raises: BelowFloor.
    """
    if security.floor is None:
        return
    floor, version = parse_version(security.floor), parse_version(target.version or "")
    if floor is None or version is None or version < floor:
        raise BelowFloor(name=target.name, floor=security.floor)


def require_signed_tag(body: bytes | None, target: Release) -> None:
    """Refuses a tag that is not the target's, or without an ssh signature; no `body` is a lightweight one.

    Raises: TagRefused.
    """
    if body is None:
        fault = "it is lightweight, and there is nothing in it that could be signed"
    else:
        fault = find_tag_fault(body, target.tag or "", target.commit, signed=True) or ""
    if fault:
        raise TagRefused(tag=target.tag, name=target.name, reason=fault)


def require_signed_commit(body: bytes, target: Release) -> None:
    """Refuses a commit that carries no ssh signature.

    Raises: CommitRefused.
    """
    head = body.partition(b"\n\n")[0] + b"\n"
    if _SSH_SIGNED not in head and _SSH_SIGNED_SHA256 not in head:
        is_other = b"\ngpgsig" in head
        reason = "its signature is not ssh's" if is_other else "it is not signed"
        raise CommitRefused(name=target.name, reason=reason)
