"""A maintainer's seat for tests: a clone with push rights, an ssh key, and git's settings that name it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from newleaf.core.release import CommitId
from tests.support.deployment import settings_text
from tests.support.repositories import Checkout, Content, Remote, git_environment

MIGRATION = "def check():\n    return True\n\n\ndef migrate():\n    return True\n"


def make_key(path: Path, passphrase: str = "") -> Path:
    """An ssh key at `path`, its public part beside it."""
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "ada@example.org", "-f", str(path)]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    return path


def fingerprint_of(key: Path) -> str:
    """As ssh shows it."""
    words = ["ssh-keygen", "-l", "-f", str(key)]
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout.split()[1]


def write_signers(path: Path, *keys: Path) -> Path:
    """A file of allowed signers, as hosts have it."""
    lines = [f'ada@example.org namespaces="git" {key.with_suffix(".pub").read_text()}' for key in keys]
    path.write_text("".join(lines))
    return path


@contextmanager
def agent_with(*keys: tuple[Path, str]) -> Iterator[dict[str, str]]:
    """A running ssh agent that holds the keys (each with its passphrase); yields what names it."""
    started = subprocess.run(["ssh-agent", "-s"], check=True, capture_output=True, text=True, timeout=60)
    pairs = (part.partition("=") for part in started.stdout.replace("\n", "").split(";"))
    named = {name: value for name, _, value in pairs if name in {"SSH_AUTH_SOCK", "SSH_AGENT_PID"}}
    try:
        for key, passphrase in keys:
            helper = key.with_name("askpass.sh")
            helper.write_text(f"#!/bin/sh\necho '{passphrase}'\n")
            helper.chmod(0o700)
            asks = {"SSH_ASKPASS": str(helper), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
            environment = {**os.environ, **named, **asks}
            subprocess.run(
                ["ssh-add", str(key)], check=True, env=environment, capture_output=True, timeout=60
            )
        yield named
    finally:
        os.kill(int(named["SSH_AGENT_PID"]), 15)


@dataclass
class Maintainer:
    """Who releases; `environment` is theirs."""

    remote: Remote
    checkout: Checkout
    home: Path
    key: Path

    @classmethod
    def make(cls, folder: Path, files: Mapping[str, Content] | None = None) -> Maintainer:
        """A clone of an app that is at 1.0.0, never released, by somebody whose git signs with ssh."""
        remote = Remote.make(folder)
        first: dict[str, Content] = {
            "newleaf.toml": settings_text(),
            "pyproject.toml": '[project]\nname = "sessions"\nversion = "1.0.0"\n',
        }
        remote.commit({**first, **(files or {})}, "Version 1.0.0")
        home = folder / "home"
        home.mkdir()
        made = cls(remote, remote.clone(folder / "clone"), home, make_key(folder / "id"))
        made.configure("user.name", "Ada Example")
        made.configure("user.email", "ada@example.org")
        made.configure("gpg.format", "ssh")
        made.configure("user.signingkey", str(made.key))
        return made

    @property
    def environment(self) -> dict[str, str]:
        own = {"GIT_CONFIG_GLOBAL": str(self.home / ".gitconfig")}
        return {**git_environment(self.home), **own}

    def git(self, *arguments: str) -> str:
        """Git in the clone, with the maintainer's own settings."""
        return self.checkout.git(*arguments, stdin=None, **self.environment)

    def configure(self, name: str, value: str) -> None:
        """One of the maintainer's own settings of git."""
        self.git("config", "--global", name, value)

    def commit(self, files: Mapping[str, str], message: str = "Change") -> CommitId:
        """A commit here, not pushed."""
        for path, content in files.items():
            self.checkout.write(path, content)
        self.checkout.git("add", "--all")
        self.checkout.git("commit", "-q", "--allow-empty", "-m", message)
        return self.checkout.id_of()

    def bump(self, version: str, files: Mapping[str, str] | None = None) -> CommitId:
        """A commit here that says another version."""
        manifest = f'[project]\nname = "sessions"\nversion = "{version}"\n'
        return self.commit({"pyproject.toml": manifest, **(files or {})}, f"Version {version}")

    def released(self, version: str, files: Mapping[str, str] | None = None) -> CommitId:
        """A release that was made before, and is known here."""
        commit = self.bump(version, files)
        self.checkout.git("tag", "-a", "-m", f"sessions {version}", f"v{version}")
        self.checkout.git("push", "-q", "origin", "HEAD:refs/heads/main", f"refs/tags/v{version}")
        return commit

    def install_hook(self, name: str, script: str, *, remote: bool = False) -> Path:
        """A hook of git's in the clone, or at the remote."""
        folder = self.remote.path if remote else self.checkout.path / ".git"
        hook = folder / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{script}\n")
        hook.chmod(0o700)
        return hook

    def tags(self) -> list[str]:
        """The tags here."""
        return self.checkout.git("tag", "--list").splitlines()

    def remote_tags(self) -> list[str]:
        """The tags at the remote."""
        return self.remote.git("tag", "--list").splitlines()
