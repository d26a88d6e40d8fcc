"""What a webhook of GitHub's says, and whether this host should listen to it.

A hint, never the truth: whatever it says, the remote is asked. Rules: a push to the branch is for `alpha`, a
published release for `beta`, and for `stable` inside its minor; everything else is ignored, and the reason is
told. Of a body no more is read than these few words, so that a long one costs little.
"""

from __future__ import annotations

from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from newleaf.core.releases.channels import Rule, version_of_tag
from newleaf.core.releases.names import HEADS
from newleaf.core.releases.signals import Ignored, judge_admission

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 10


class Published(Struct, frozen=True):
    """A release, as a webhook tells of it."""

    tag_name: str = ""
    draft: bool = False


class Payload(Struct, frozen=True):
    """What is read of a webhook's body."""

    ref: str | None = None
    deleted: bool = False
    action: str | None = None
    release: Published | None = None


def read_payload(body: bytes, content_type: str) -> Payload | None:
    """What a body says, as JSON or as a form with JSON in it; None when it cannot be read."""
    try:
        if content_type.partition(";")[0].strip().lower() == FORM:
            body = parse_qs(body.decode(), max_num_fields=MAX_FIELDS)["payload"][0].encode()
        return msgspec.json.decode(body, type=Payload)
    except (msgspec.MsgspecError, ValueError, KeyError, RecursionError):
        return None


def judge_delivery(event: str, payload: Payload, rule: Rule) -> Ignored | None:
    """Why an event is not listened to on a host that follows `rule`; None when it is.

    Raises: MinorInvalid for settings that are wrong.
    """
    if event == "push":
        return _judge_push(payload, rule)
    if event == "release":
        return _judge_release(payload, rule)
    return Ignored(f"this host does not listen to {event[:40]!r}")


def _judge_push(payload: Payload, rule: Rule) -> Ignored | None:
    if not rule.follows_branch:
        return Ignored(f"it is a push, and this host follows {rule.channel}")
    if payload.ref != HEADS + rule.branch:
        return Ignored(f"it is not a push to {rule.branch}")
    return Ignored(f"{rule.branch} was deleted") if payload.deleted else None


def _judge_release(payload: Payload, rule: Rule) -> Ignored | None:
    if rule.follows_branch:
        return Ignored(f"it is a release, and this host follows {rule.channel}")
    release = payload.release
    if payload.action != "published" or release is None or release.draft:
        return Ignored("no release was published")
    version = version_of_tag(release.tag_name, rule.tag_prefix)
    return judge_admission(version, rule) if version else Ignored("its tag is no version")
