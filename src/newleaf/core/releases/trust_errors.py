"""Why a release is not trusted, as data. See `core.errors`."""

from __future__ import annotations

from newleaf.core.errors import RefusedError


class SignersUnset(RefusedError):
    """this host requires signed {require}, and names nobody who may sign"""

    code = "signers_unset"
    cure = "name the file of allowed signers: security.signers in host.toml"


class TrustFileMissing(RefusedError):
    """{key} names {path}, which cannot be read: {reason}"""

    code = "trust_file_missing"
    cure = "put the file back; without it nothing is taken"


class TrustFileUnsafe(RefusedError):
    """{key} names {path}, which cannot be relied on: {reason}"""

    code = "trust_file_unsafe"
    cure = "{mend}"


class TagRequired(RefusedError):
    """this host takes signed tags alone, and {name} was not found by a tag"""

    code = "tag_required"
    cure = 'follow beta or stable; for the commits of a branch, security.require = "commits"'


class TagRefused(RefusedError):
    """the tag {tag} of {name} is refused: {reason}"""

    code = "tag_refused"
    cure = "have an allowed signer publish the version anew: newleaf release"


class CommitRefused(RefusedError):
    """the commit {name} is refused: {reason}"""

    code = "commit_refused"
    cure = "have an allowed signer commit on top: git commit -S"


class VerifierMissing(RefusedError):
    """signatures cannot be verified: {reason}"""

    code = "verifier_missing"
    cure = "install OpenSSH's ssh-keygen, 8.2 or newer"
