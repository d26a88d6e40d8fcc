"""What is known of a host when it is checked, as facts: its programs, disks, clock, checkout, daemon.

The defaults are those of a healthy host. What could not be found out is a fact as well: a `Trouble`.
Judged by `core.doctor.checkup`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

from newleaf.core.adoption.findings import CheckoutFacts

Level = Literal["ok", "warning", "problem"]


class Finding(Struct, frozen=True):
    """What one rule found."""

    check: str
    level: Level
    text: str
    cure: str = ""


class Trouble(Struct, frozen=True):
    """A question that found no answer: what was said instead, and what to do about it."""

    message: str
    cure: str = ""


class SecretFile(Struct, frozen=True):
    """A file that the settings name; `mode` is None when it is not there."""

    key: str
    path: str
    mode: int | None
    is_secret: bool


class RemoteAnswer(Struct, frozen=True):
    """What the remote said. `has_branch` and `versions` are of what the channel looks for."""

    url: str
    seconds: float
    has_branch: bool
    versions: int


class GitFacts(Struct, frozen=True):
    """The checkout and git, with what the settings ask of them."""

    version: tuple[int, ...] | Trouble
    needed: tuple[int, ...]
    checkout: CheckoutFacts | Trouble | None
    """None where releases lie in slots."""
    branch: str = "main"
    refuses_dirty: bool = False
    owner: str | None = None
    """Who the checkout belongs to when that is somebody else."""
    lock: str | None = None
    """An index.lock, by its path."""
    lock_owner: str | None = None
    uses_lfs: bool = False
    passes_lfs: bool = False
    """Whether git-lfs is there and the settings let it through."""


class SlotFacts(Struct, frozen=True):
    """The releases beside each other: the live one by its name, and how many there are of what."""

    live: str
    releases: int
    environments: int


class TrustFacts(Struct, frozen=True):
    """What must be signed, and by whom; `signers` counts who may, and is None where no file is named."""

    requires: str = "none"
    signers: int | Trouble | None = None
    has_revocations: bool = False
    floor: str | None = None
    has_verifier: bool = True
    """Whether ssh-keygen is there."""


class RedisFacts(Struct, frozen=True):
    """The Redis that gets the status; `word` is the one that it has, and `published` the last one."""

    url: str
    key: str
    word: str | None
    published: str | None


class StateFacts(Struct, frozen=True):
    """The state directory and the disks."""

    path: str
    mode: int = 0o700
    trouble: Trouble | None = None
    records: tuple[Trouble, ...] = ()
    free_bytes: Mapping[str, int] = field(default_factory=dict)
    skew_seconds: float | None = None
    """By how much this clock is ahead of the remote's."""
    behind_seconds: float = 0.0
    """By how much this clock is behind what has been written down already."""
    locked_by: str | None = None


class RunFacts(Struct, frozen=True):
    """Dependencies and the daemon."""

    installer: str | None = None
    """The program that installs; None when nothing does."""
    installer_missing: bool = False
    unread_lock: bool = False
    """Whether there is a uv.lock and no uv."""
    python: Trouble | None = None
    """Why no environment can be made."""
    owed: str | Trouble | None = None
    mode: str = "exit"
    command: str = ""
    command_missing: bool = False
    has_launcher: bool = False
    """Whether a launcher runs the app."""
    reported: str | None = None
    """The process that reported itself."""
    shares_environment: bool = False
    """Whether this newleaf lies in the app's environment without being locked there."""


class Patient(Struct, frozen=True):
    """Everything the rules look at."""

    git: GitFacts
    state: StateFacts
    run: RunFacts
    remote: RemoteAnswer | Trouble
    channel: str = "alpha"
    settings: tuple[str, ...] = ()
    """What is wrong with the settings."""
    secret_files: tuple[SecretFile, ...] = ()
    sharing: tuple[str, ...] = ()
    trust: TrustFacts = TrustFacts()
    slots: SlotFacts | Trouble | None = None
    """None where the checkout itself moves."""
    redis: RedisFacts | Trouble | None = None
    """None where the status goes to none."""
