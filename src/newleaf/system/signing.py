"""ssh-keygen and the ssh agent, at a maintainer's seat: can a key sign without asking, and did it.

Rules: nothing is ever asked (no terminal, no askpass), and nothing is signed to find out: a private key
must open without a passphrase, or the agent must hold it. It reads keys through these programs only; what
they say is quoted in one line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from newleaf.core.errors import CommandFailed, ProgramMissing
from newleaf.core.releases.seat import Key
from newleaf.core.releases.tag_object import TagObject
from newleaf.system.commands import Command, Finished, Runner

NAMESPACE = "git"
LOCAL_SECONDS = 30.0
_LITERAL = re.compile(r"(?:key::)?((?:ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/=]+)")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/=]+")


class Keys(Struct, frozen=True):
    """The keys of who sits here. `environment` is that of the maintainer's git, which asks nobody."""

    runner: Runner
    environment: Mapping[str, str]

    def look_at(self, key: str) -> Key:
        """Whether a key can sign now: named as in git's user.signingkey, by its file or in full.

        Raises: ProgramMissing, CommandTimedOut.
        """
        literal = _LITERAL.match(key)
        if literal:
            name = self._name("the key", "-", literal[1])
            return Key(name) if self._agent_has(literal[1]) else _not_in_agent(name, "its private key")
        path = Path(key).expanduser()
        if not path.is_file():
            return Key(f"the key {path}", "is not there", "name another one: --key FILE")
        name = self._name(f"the key {path}", str(path))
        private = path.with_suffix("") if path.suffix == ".pub" else path
        if self._agent_has(self._public(path)):
            return Key(name)
        if not private.is_file():
            return _not_in_agent(name, str(private))
        opened = self._run("ssh-keygen", "-y", "-P", "", "-f", str(private))
        if opened.status == 0:
            return Key(name)
        said = " ".join(opened.tail)
        if "passphrase" in said:
            return _not_in_agent(name, str(private), "needs a passphrase, and the ssh agent does not hold it")
        if "UNPROTECTED" in said:
            return Key(name, "can be read by others, and ssh does not take it", f"chmod 600 {private}")
        reason = opened.tail[-1] if opened.tail else "ssh-keygen says nothing"
        return Key(name, f"cannot be used: {reason}", "name another one: --key FILE")

    def find_signer(self, tag: TagObject) -> str | None:
        """The fingerprint of the key that signed this very tag; None when the signature does not hold.

        Raises: ProgramMissing, CommandTimedOut.
        """
        with TemporaryDirectory(prefix="newleaf-") as folder:
            signature = Path(folder, "signature")
            signature.write_bytes(tag.signature)
            asked = ("-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(signature))
            finished = self._run("ssh-keygen", *asked, stdin=tag.payload)
        found = _FINGERPRINT.search(finished.text)
        return found[0] if finished.status == 0 and found else None

    def _name(self, name: str, path: str, content: str = "") -> str:
        """The key for people: where it is, and its fingerprint where one can be told."""
        finished = self._run("ssh-keygen", "-l", "-f", path, stdin=content.encode())
        found = _FINGERPRINT.search(finished.text)
        return f"{name} ({found[0]})" if found else name

    def _public(self, path: Path) -> str:
        beside = path if path.suffix == ".pub" else path.with_name(f"{path.name}.pub")
        try:
            with beside.open("rb") as file:
                return file.read(65536).decode(errors="replace")
        except OSError:
            return ""

    def _agent_has(self, public: str) -> bool:
        """Whether the agent holds the private key of a public one."""
        words = public.split()
        if len(words) < 2 or not self.environment.get("SSH_AUTH_SOCK"):
            return False
        try:
            listed = self._run("ssh-add", "-L").text
        except ProgramMissing:
            return False
        return any(words[:2] == line.split()[:2] for line in listed.splitlines())

    def _run(self, program: str, *arguments: str, stdin: bytes = b"") -> Finished:
        environment = dict(self.environment)
        what = f"{program} {arguments[0]}"
        command = Command([program, *arguments], what, Path("/"), environment, LOCAL_SECONDS, stdin or None)
        try:
            return self.runner.run(command)
        except CommandFailed as error:
            raise ProgramMissing(program=program) from error


def quiet(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what makes ssh and git ask in a window; GIT_ASKPASS answers by itself."""
    kept = {name: value for name, value in environment.items() if name != "SSH_ASKPASS"}
    return {**kept, "SSH_ASKPASS_REQUIRE": "never", "PATH": environment.get("PATH", os.defpath)}


def _not_in_agent(name: str, private: str, fault: str = "is not held by the ssh agent") -> Key:
    where = "start the agent (eval $(ssh-agent)) and " if not os.environ.get("SSH_AUTH_SOCK") else ""
    return Key(name, fault, f"{where}add it: ssh-add {private}")
