"""Who signs, in tests: ssh keys, allowed signers, tags and commits signed in a remote."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from newleaf.core.release import CommitId
from tests.support.repositories import Content, Remote

PGP = """\
-----BEGIN PGP SIGNATURE-----

iQFPBAABCAA5FiEEAAAAAAAAAAAAAAAAAAAAAAAAAAAFAmcAAAAbFIAAAAAABAAO
bWFudTIsMi41KzEuMTEsMiwyAAoJEAAAAAAAAAAAAAAH/0v9
=aaaa
-----END PGP SIGNATURE-----
"""


@dataclass(frozen=True)
class Signer:
    """A person with a key of their own."""

    name: str
    key: Path

    @classmethod
    def make(cls, folder: Path, name: str) -> Signer:
        """`folder/NAME` and `folder/NAME.pub`."""
        key = folder / name
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name}@example.org", "-f", str(key)]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
        return cls(name, key)

    @property
    def public(self) -> str:
        """The public key, as allowed signers and revocation lists have it."""
        return " ".join(self.key.with_suffix(".pub").read_text().split()[:2])

    def allowed(self, options: str = "") -> str:
        """Their line in a file of allowed signers."""
        return f"{self.name}@example.org {options + ' ' if options else ''}{self.public}\n"

    @property
    def settings(self) -> tuple[str, ...]:
        return ("-c", "gpg.format=ssh", "-c", f"user.signingkey={self.key}")

    def tag(self, remote: Remote, name: str, commit: str | None = None, **environment: str) -> CommitId:
        """Signs a tag of a commit (the branch's head); its object's id."""
        target = commit or remote.heads()[remote.branch]
        argv = (*self.settings, "tag", "--force", "-s", "-m", f"sessions {name}", name, target)
        remote.git(*argv, stdin=None, **environment)
        return CommitId(remote.git("rev-parse", f"refs/tags/{name}"))

    def commit(self, remote: Remote, files: Mapping[str, Content], message: str = "Change") -> CommitId:
        """Signs a commit on the branch."""
        plain = remote.commit(files, message)
        parent = remote.git("rev-parse", f"{plain}^")
        argv = (*self.settings, "commit-tree", "-S", "-p", parent, "-m", message, f"{plain}^{{tree}}")
        signed = CommitId(remote.git(*argv))
        remote.git("update-ref", f"refs/heads/{remote.branch}", signed)
        return signed


def raw_tag(remote: Remote, name: str, body: bytes) -> CommitId:
    """A tag ref to a tag object of these bytes."""
    made = remote.git("hash-object", "-t", "tag", "-w", "--literally", "--stdin", stdin=body)
    remote.git("update-ref", f"refs/tags/{name}", made)
    return CommitId(made)


def tag_body(target: str, kind: str, name: str, signature: str = "") -> bytes:
    """A tag object's bytes, signed as one likes."""
    tagger = "Ada Example <ada@example.org> 1790000000 +0000"
    return f"object {target}\ntype {kind}\ntag {name}\ntagger {tagger}\n\n{name}\n{signature}".encode()
