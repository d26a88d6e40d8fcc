"""How the making of a release can fail at a maintainer's seat, as data. See `core.errors`."""

from __future__ import annotations

from newleaf.core.errors import FailedError, RefusedError, UsageError


class NothingToRelease(UsageError):
    """there is nothing to release in {path}: {reason}"""

    code = "nothing_to_release"
    cure = "stand in a clone of the app's repository, with the commit to release checked out"


class SigningFailed(FailedError):
    """the tag {tag} could not be made: {reason}"""

    code = "signing_failed"
    cure = "nothing was changed; try the key by hand: git tag -s -m try try-signing && git tag -d try-signing"


class TagUnsound(RefusedError):
    """the tag {tag} would not hold at a host: {reason}"""

    code = "tag_unsound"
    cure = "nothing was pushed; {left}"


class PushFailed(FailedError):
    """{tag} could not be pushed to {remote}: {reason}"""

    code = "push_failed"
    cure = "{left}; mend the cause, and run newleaf release again"


class PushUnclear(FailedError):
    """whether {tag} arrived at {remote} is not known: {reason}"""

    code = "push_unclear"
    cure = "the tag is kept here; run newleaf release again, and it goes on from there"
