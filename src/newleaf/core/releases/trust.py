"""Which releases this host trusts, by the settings that are its own.

Rules: a release below the floor is refused, and so is one whose version is not known where there is one
(threats.md T1); where signatures are required nothing is taken, because this version cannot verify them, and
to pretend would be worse.
"""

from __future__ import annotations

from newleaf.core.errors import BelowFloor, SignaturesUnverified
from newleaf.core.release import Release
from newleaf.core.releases.channels import parse_version
from newleaf.core.settings.sections import Security


def require_trusted(security: Security, target: Release) -> None:
    """Refuses what the host does not trust.

    Raises: SignaturesUnverified, BelowFloor.
    """
    if security.require != "none":
        raise SignaturesUnverified(require=security.require)
    if security.floor is None:
        return
    floor, version = parse_version(security.floor), parse_version(target.version or "")
    if floor is None or version is None or version < floor:
        raise BelowFloor(name=target.name, floor=security.floor)
