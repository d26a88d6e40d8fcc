"""What GitHub's webhooks say, and which of them a host listens to."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from newleaf.core.releases.channels import Rule
from newleaf.core.releases.webhooks import FORM, Payload, Published, judge_delivery, read_payload

ALPHA, BETA = Rule(), Rule(channel="beta")
STABLE = Rule(channel="stable", pinned_minor="1.2")
PUSH = {"ref": "refs/heads/main", "deleted": False, "commits": [{"id": "x"}], "forced": True}


def release(tag: str, action: str = "published", *, draft: bool = False) -> Payload:
    return Payload(action=action, release=Published(tag, draft))


def test_json_or_a_form_with_json_then_it_is_read() -> None:
    body = json.dumps(PUSH)
    assert read_payload(body.encode(), "application/json") == Payload("refs/heads/main")
    form = urlencode({"payload": body}).encode()
    assert read_payload(form, f"{FORM}; charset=utf-8") == Payload("refs/heads/main")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"\xff",
        b'{"ref": 7}',
        b'{"release": []}',
        b'{"x":' + b"[" * 200_000,
        b"[" * 900_000,
    ],
)
def test_t24_anything_else_and_deep_json_then_nothing_is_read(body: bytes) -> None:
    assert read_payload(body, "application/json") is None
    assert read_payload(body, FORM) is None


@pytest.mark.parametrize(
    ("event", "payload", "rule"),
    [
        ("push", Payload("refs/heads/main"), ALPHA),
        ("push", Payload("refs/heads/next"), Rule(branch="next")),
        ("release", release("v1.3.0"), BETA),
        ("release", release("v1.3.0-rc.1"), Rule(channel="beta", prereleases=True)),
        ("release", release("v1.2.7"), STABLE),
        ("release", release("app-1.3.0"), Rule(channel="beta", tag_prefix="app-")),
    ],
)
def test_what_the_channel_follows_then_it_is_listened_to(event: str, payload: Payload, rule: Rule) -> None:
    assert judge_delivery(event, payload, rule) is None


@pytest.mark.parametrize(
    ("event", "payload", "rule", "said"),
    [
        ("push", Payload("refs/heads/other"), ALPHA, "not a push to main"),
        ("push", Payload("refs/tags/main"), ALPHA, "not a push to main"),
        ("push", Payload(), ALPHA, "not a push to main"),
        ("push", Payload("refs/heads/main", deleted=True), ALPHA, "was deleted"),
        ("push", Payload("refs/heads/main"), BETA, "follows beta"),
        ("release", release("v1.3.0"), ALPHA, "follows alpha"),
        ("release", release("v1.3.0", "created"), BETA, "no release was published"),
        ("release", release("v1.3.0", draft=True), BETA, "no release was published"),
        ("release", Payload(action="published"), BETA, "no release was published"),
        ("release", release("nightly"), BETA, "no version"),
        ("release", release("v1.3.0-rc.1"), BETA, "prerelease"),
        ("release", release("v1.3.0"), STABLE, "outside of 1.2"),
        ("release", release("v1.2.8-rc.1"), STABLE, "prerelease"),
        ("ping", Payload(), ALPHA, "does not listen to 'ping'"),
        ("x" * 1000, Payload(), ALPHA, "does not listen"),
    ],
)
def test_anything_else_then_it_is_ignored_and_why(
    event: str, payload: Payload, rule: Rule, said: Any
) -> None:
    ignored = judge_delivery(event, payload, rule)
    assert ignored
    assert said in ignored.reason
    assert len(ignored.reason) < 200
