"""newleaf's own kinds of missions, and what they may say.

Rules: nothing in a mission is an address, a path, a program or an argument (threats.md T26): a branch must be
the one that the host follows anyway, a version is one that the host's own remote has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from newleaf.core.missions.faults import Fault
from newleaf.core.releases.channels import parse_version
from newleaf.core.releases.names import is_commit

UPDATE = "system:update_factory"
ROLLBACK = "system:rollback_factory"
PAUSE = "system:pause_factory"
RESUME = "system:resume_factory"

FIELDS: Mapping[str, tuple[str, ...]] = {
    UPDATE: ("branch", "version"),
    ROLLBACK: (),
    PAUSE: (),
    RESUME: (),
}
"""Each kind, and what its context may hold."""
HEARD_WHILE_PAUSED = (PAUSE, RESUME)
PREFIX = "system:"
"""Kinds that begin so are newleaf's, and no app's."""


def find_fault(kind: str, context: Mapping[str, Any], branch: str) -> Fault | None:
    """Why a host that follows `branch` does not obey a mission of newleaf's own; what is null is not said."""
    unknown = sorted(set(context) - set(FIELDS[kind]))
    if unknown:
        return Fault("unknown_context", f"{kind} takes no {unknown[0][:40]!r}")
    if context.get("branch") not in (None, branch):
        return Fault("another_branch", "this host follows another branch, and no mission changes that")
    if context.get("version") is not None and not _is_version(context["version"]):
        return Fault("bad_version", 'version must be a version like "1.3.0", or a full commit id')
    return None


def _is_version(said: object) -> bool:
    return isinstance(said, str) and len(said) <= 100 and (is_commit(said) or parse_version(said) is not None)
