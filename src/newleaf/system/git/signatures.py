"""Whether a tag or a commit carries the signature of somebody whom this host lets sign.

Rules: git and ssh-keygen verify, nothing of our own; ssh is the one format, every other signing program
leads nowhere (threats.md T7); signers and revocation list are the host's files, never the fetched tree's, and
one that is named and cannot be read refuses (T13); objects are asked for by id, the tag's as it was resolved
(T8, T10, T22). An expired key whose signature is dated back passes until it is revoked: who holds the key
chooses the date (T12). Whatever cannot be found out is a refusal.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from msgspec import Struct

from newleaf.core.errors import CommandTimedOut, NewleafError
from newleaf.core.release import CommitId, Release
from newleaf.core.releases.names import TAGS
from newleaf.core.releases.trust import require_signed_commit, require_signed_tag
from newleaf.core.releases.trust_errors import (
    CommitRefused,
    SignersUnset,
    TagRefused,
    TagRequired,
    TrustFileMissing,
    TrustFileUnsafe,
    VerifierMissing,
)
from newleaf.core.settings.sections import Security
from newleaf.system.git.directory import Git
from newleaf.system.git.failures import last_words

NOWHERE = "/dev/null"
_NOT_SSH = tuple(f"{key}={NOWHERE}" for key in ("gpg.program", "gpg.openpgp.program", "gpg.x509.program"))
_PLAIN = ("gpg.format=ssh", "gpg.ssh.program=ssh-keygen", "gpg.minTrustLevel=fully", *_NOT_SSH)


class Signatures(Struct, frozen=True):
    """Judges releases by the host's `security`, with the objects that are here.

    `trees` are the folders in which fetched files come to lie: what lies there vouches for nobody.
    """

    git: Git
    security: Security
    trees: tuple[Path, ...] = ()

    def require(self, target: Release, tag_object: CommitId | None) -> None:
        """Refuses a target that the host does not trust; `tag_object` is what its tag was resolved to.

        Raises: SignersUnset, TrustFileMissing, VerifierMissing, TagRequired, TagRefused, CommitRefused.
        """
        if self.security.require == "none":
            return
        settings = self._settings()
        if self.security.require == "tags":
            self._require_tag(target, tag_object, settings)
        else:
            self._require_commit(target, settings)

    def _require_tag(self, target: Release, tag_object: CommitId | None, settings: list[str]) -> None:
        if target.tag is None or tag_object is None:
            raise TagRequired(name=target.name)
        body = self._read("tag", tag_object)
        if body is None and tag_object != target.commit:
            self._fetch(target)
            body = self._read("tag", tag_object)
        require_signed_tag(body, target)
        fault = self._find_fault(settings, "verify-tag", tag_object)
        if fault:
            raise TagRefused(tag=target.tag, name=target.name, reason=fault)

    def _require_commit(self, target: Release, settings: list[str]) -> None:
        require_signed_commit(self._read("commit", target.commit) or b"", target)
        fault = self._find_fault(settings, "verify-commit", target.commit)
        if fault:
            raise CommitRefused(name=target.name, reason=fault)

    def _find_fault(self, settings: list[str], verb: str, object_id: CommitId) -> str | None:
        """Why git does not accept a signature; None when it does."""
        try:
            finished = self.git.run(*settings, verb, "--raw", object_id)
        except CommandTimedOut as error:
            return error.message
        if finished.status == 0:
            return None
        said = last_words(finished.tail, finished.status)
        is_strange = any("No principal matched" in line for line in finished.tail)
        if self.security.revoked and "Could not verify signature." in said:
            return f"it does not hold, or its key is in {self.security.revoked}"
        return "its key is no allowed signer's" if is_strange else said

    def _read(self, kind: str, object_id: CommitId) -> bytes | None:
        """The bytes of an object; None when it is not here, or is of another kind."""
        finished = self.git.run("cat-file", kind, object_id)
        return finished.stdout if finished.status == 0 else None

    def _fetch(self, target: Release) -> None:
        """Brings the tag: its commit may have come by a branch. What it is called by now does not matter."""
        try:
            self.git.fetch({f"{TAGS}{target.tag}": target.commit})
        except NewleafError as error:
            raise TagRefused(tag=target.tag, name=target.name, reason=error.message) from error

    def _settings(self) -> list[str]:
        """Git's settings for verifying, once the files that they name can be read."""
        security = self.security
        if not security.signers:
            raise SignersUnset(require=security.require)
        if not shutil.which("ssh-keygen"):
            raise VerifierMissing(reason="the program ssh-keygen is not on PATH")
        own = [f"gpg.ssh.allowedSignersFile={self._file('security.signers', security.signers)}"]
        # Without one of ours, no other configuration's may count either.
        revoked = self._file("security.revoked", security.revoked) if security.revoked else ""
        own.append(f"gpg.ssh.revocationFile={revoked}")
        return [word for setting in (*_PLAIN, *own) for word in ("-c", setting)]

    def _file(self, key: str, text: str) -> Path:
        """The file that a setting names, once it can be read and nobody else can have written it.

        Raises: TrustFileMissing, TrustFileUnsafe.
        """
        path = Path(text).expanduser()
        if not path.is_absolute():
            mend = f"give {key} in host.toml the whole path, from / or ~"
            raise TrustFileUnsafe(key=key, path=path, reason="it is not a whole path", mend=mend)
        real = path.resolve()
        if any(real.is_relative_to(tree.resolve()) for tree in self.trees):
            mend = f"move it to where no release writes, and name it there: {key} in host.toml"
            raise TrustFileUnsafe(key=key, path=path, reason="it lies in the app's own tree", mend=mend)
        try:
            with real.open("rb") as file:
                file.read(1)
                mode = os.fstat(file.fileno()).st_mode
        except OSError as error:
            raise TrustFileMissing(key=key, path=path, reason=error.strerror or error) from error
        if stat.S_IMODE(mode) & 0o022:
            mend = f"chmod go-w {path}"
            raise TrustFileUnsafe(key=key, path=path, reason="others can write to it", mend=mend)
        return real
