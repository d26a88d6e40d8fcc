"""What a notice says of a status, and when two say the same.

Rules: one JSON object for chat webhooks (`text`; some read `content`) and for programs (`newleaf`, the status
record); what changes from one repetition to the next (numbers, ids, times) does not make an alarm a new one
(lessons.md L5); nothing that looks like a secret is in it (threats.md T29).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from newleaf.core.records import Status
from newleaf.core.secrets import mask_text

MAX_TEXT_CHARACTERS = 1900
"""Chat services cut, or refuse, messages over 2,000 characters."""

_SENTENCES = {
    "deployed": "runs {release}",
    "update_failed": "could not be updated to {release}",
    "rolled_back": "is back at its last release after {release} failed",
    "held": "is held",
    "stale": "cannot reach its remote",
    "inconsistent": "needs a person",
    "waiting": "waits to update to {release}",
}
_VARYING = re.compile(r"[0-9a-f]{7,64}|[0-9]+")


def notice_text(status: Status) -> str:
    """The status in a sentence for people, its error behind it."""
    release = status.target or status.running
    sentence = _SENTENCES.get(status.status, "says {word}")
    said = sentence.format(release=release.name if release else "its target", word=status.status)
    text = mask_text(
        f"{status.app} on {status.computer} {said}" + (f": {status.error}" if status.error else "")
    )
    if len(text) <= MAX_TEXT_CHARACTERS:
        return text
    half = MAX_TEXT_CHARACTERS // 2 - 2
    return f"{text[:half]} … {text[-half:]}"


def notice_body(status: Status) -> dict[str, Any]:
    """The whole notice, for chats and programs."""
    text = notice_text(status)
    return {"text": text, "content": text, "newleaf": _masked(status.as_record())}


def fingerprint(status: Status) -> str:
    """The same for two statuses that tell a person the same."""
    release = status.target or status.running
    return f"{release.commit if release else None} {unvaried(status.error or '')}"


def unvaried(text: str) -> str:
    """The text without what changes from one repetition to the next."""
    return _VARYING.sub("#", text)


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, Mapping):
        return {key: _masked(entry) for key, entry in value.items()}
    return [_masked(entry) for entry in value] if isinstance(value, list) else value
