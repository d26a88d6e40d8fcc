"""The signal: what `update_available.json` says, and whether this host should listen to it.

A hint, never the truth: any program of this user may write it, and whatever it says, the remote is asked.
What is partial, stale, of another channel, or against this host's policy is ignored, and the reason is told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from msgspec import Struct
from packaging.version import Version

from newleaf.core.release import Release
from newleaf.core.releases.channels import Rule, minor_of, parse_minor, parse_pin, parse_version

MAX_CHARACTERS = 300

_COMMIT = re.compile(r"[0-9a-f]{7,64}\Z")


class Signal(Struct, frozen=True):
    """From what to what, on which channel. For alpha, `current` and `available` are commit ids."""

    current: str
    available: str
    channel: str
    commit: str | None = None

    def as_text(self) -> str:
        """The file's content, which has no schema number."""
        record = {"current": self.current, "available": self.available, "channel": self.channel}
        return json.dumps(record | ({"commit": self.commit} if self.commit else {})) + "\n"


class Ignored(Struct, frozen=True):
    """A signal that is not listened to, and why."""

    reason: str


def signal_for(rule: Rule, live: Release, target: Release) -> Signal:
    """The signal that says that `target` is available where `live` is."""
    if rule.follows_branch:
        return Signal(live.commit, target.commit, rule.channel, target.commit)
    current, available = live.version or live.commit, target.version or target.commit
    return Signal(current, available, rule.channel, target.commit)


def read_signal(text: bytes) -> Signal | Ignored:
    """What a file's content says; keys that are not known are left alone."""
    try:
        record: Any = json.loads(text)
    except (ValueError, RecursionError):
        return Ignored("it is not JSON" if text.strip() else "it is empty")
    if not isinstance(record, dict):
        return Ignored("it is not a JSON object")
    for key in ("current", "available", "channel"):
        if not _is_word(record.get(key)):
            return Ignored(f"its {key} is missing or no word")
    commit = record.get("commit")
    if commit is not None and not (_is_word(commit) and _COMMIT.match(commit)):
        return Ignored("its commit is no commit id")
    return Signal(record["current"], record["available"], record["channel"], commit)


def judge_signal(signal: Signal, rule: Rule, live: Release, denied: Collection[str]) -> Ignored | None:
    """Why a signal is not listened to on a host that follows `rule` and has `live`; None when it is.

    Raises: PinInvalid, MinorInvalid for settings that are wrong.
    """
    if signal.channel != rule.channel:
        return Ignored(f"it is for the channel {signal.channel}, and this host follows {rule.channel}")
    if signal.commit in denied or signal.available in denied:
        return Ignored(f"{signal.available} is denied on this host")
    if signal.commit == live.commit or signal.available in {live.commit, live.version}:
        return Ignored(f"it is stale: {signal.available} is what this host has")
    if rule.follows_branch:
        return None if _COMMIT.match(signal.available) else Ignored("its available is no commit id")
    return _judge_version(signal, rule, live)


def _judge_version(signal: Signal, rule: Rule, live: Release) -> Ignored | None:
    if rule.exact_commit:
        is_meant = rule.exact_commit in {signal.available, signal.commit}
        return None if is_meant else Ignored(f"this host is pinned to {rule.exact}")
    version = parse_version(signal.available)
    if version is None:
        return Ignored("its available is no version")
    if rule.exact:
        is_meant = version == parse_pin(rule.exact, rule.tag_prefix)
        return None if is_meant else Ignored(f"this host is pinned to {rule.exact}")
    has = parse_version(live.version or "")
    if has and version <= has:
        return Ignored(f"it is stale: {version} is not newer than {has}, which this host has")
    return judge_admission(version, rule)


def judge_admission(version: Version, rule: Rule) -> Ignored | None:
    """Why a version is none of those that the host's channel takes; None when it is.

    Raises: MinorInvalid.
    """
    if rule.channel == "stable" and minor_of(version) != parse_minor(rule.pinned_minor or ""):
        return Ignored(f"{version} is outside of {rule.pinned_minor}, to which this host is pinned")
    if version.is_prerelease and (rule.channel == "stable" or not rule.prereleases):
        return Ignored(f"{version} is a prerelease, and this host takes none")
    return None


def _is_word(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_CHARACTERS and value.isprintable()
