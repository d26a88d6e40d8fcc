"""What a signal says, and which ones a host listens to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newleaf.core.release import CommitId, Release
from newleaf.core.releases.channels import Rule
from newleaf.core.releases.signals import Ignored, Signal, judge_signal, read_signal, signal_for

HERE = CommitId("a" * 40)
THERE = CommitId("b" * 40)
LIVE = Release(HERE, "1.2.0")
ALPHA, BETA = Rule(), Rule(channel="beta")
STABLE = Rule(channel="stable", pinned_minor="1.2")


def test_beta_then_versions_and_no_schema() -> None:
    text = signal_for(BETA, LIVE, Release(THERE, "1.3.0", "v1.3.0")).as_text()
    assert json.loads(text) == {
        "current": "1.2.0",
        "available": "1.3.0",
        "channel": "beta",
        "commit": THERE,
    }


def test_alpha_then_both_are_commits() -> None:
    record = json.loads(signal_for(ALPHA, LIVE, Release(THERE, "1.3.0")).as_text())
    assert (record["current"], record["available"], record["channel"]) == (HERE, THERE, "alpha")


def test_no_version_known_then_commits() -> None:
    signal = signal_for(BETA, Release(HERE), Release(THERE))
    assert (signal.current, signal.available) == (HERE, THERE)


def test_written_then_read_the_same() -> None:
    signal = signal_for(BETA, LIVE, Release(THERE, "1.3.0"))
    assert read_signal(signal.as_text().encode()) == signal


def test_other_program_s_signal_then_read_without_commit_and_with_more_keys() -> None:
    text = b'{"current": "1.2.0", "available": "1.3.0", "channel": "beta", "by": {"x": 1}}'
    assert read_signal(text) == Signal("1.2.0", "1.3.0", "beta")


WHOLE = {"current": "1.2.0", "available": "1.3.0", "channel": "beta", "commit": THERE}
STRANGE: list[tuple[bytes, str]] = [
    (b"", "empty"),
    (b" \n", "empty"),
    (b"{", "not JSON"),
    (b"\xff", "not JSON"),
    (b"[" * 100_000, "not JSON"),
    (b"[]", "not a JSON object"),
    (b"null", "not a JSON object"),
    *((json.dumps({**WHOLE, key: None}).encode(), key) for key in ("current", "available", "channel")),
    (json.dumps({**WHOLE, "available": ""}).encode(), "available"),
    (json.dumps({**WHOLE, "available": 1.3}).encode(), "available"),
    (json.dumps({**WHOLE, "available": "x" * 400}).encode(), "available"),
    (json.dumps({**WHOLE, "channel": "beta\nalpha"}).encode(), "channel"),
    (json.dumps({**WHOLE, "commit": "--upload-pack=x"}).encode(), "commit"),
    (json.dumps({**WHOLE, "commit": 5}).encode(), "commit"),
    (json.dumps(WHOLE).encode()[:-10], "not JSON"),
]


@pytest.mark.parametrize(("text", "why"), STRANGE)
def test_partial_or_strange_then_ignored_and_why(text: bytes, why: str) -> None:
    found = read_signal(text)
    assert isinstance(found, Ignored)
    assert why in found.reason


GOOD = [
    (ALPHA, Signal(HERE, THERE, "alpha")),
    (ALPHA, Signal(HERE[:12], THERE[:12], "alpha", THERE)),
    (BETA, Signal("1.2.0", "1.3.0", "beta")),
    (BETA, Signal("somewhere else", "1.3.0", "beta")),
    (Rule(channel="beta", prereleases=True), Signal("1.2.0", "1.3.0rc1", "beta")),
    (STABLE, Signal("1.2.0", "1.2.1", "stable", THERE)),
    (Rule(channel="beta", exact="1.1.0"), Signal("1.2.0", "1.1.0", "beta")),
    (Rule(channel="beta", exact=THERE), Signal("1.2.0", THERE, "beta", THERE)),
]


@pytest.mark.parametrize(("rule", "signal"), GOOD)
def test_signal_that_fits_then_listened_to(rule: Rule, signal: Signal) -> None:
    assert judge_signal(signal, rule, LIVE, {}) is None


BAD: list[tuple[Rule, Signal, str]] = [
    (BETA, Signal("1.2.0", "1.3.0", "alpha"), "channel alpha"),
    (ALPHA, Signal(HERE, THERE, "beta"), "channel beta"),
    (BETA, Signal("1.1.0", "1.2.0", "beta"), "stale"),
    (BETA, Signal("1.1.0", "1.1.5", "beta"), "stale"),
    (BETA, Signal("1.1.0", "1.3.0", "beta", HERE), "stale"),
    (ALPHA, Signal(THERE, HERE, "alpha"), "stale"),
    (ALPHA, Signal(HERE, "1.3.0", "alpha"), "no commit id"),
    (ALPHA, Signal(HERE, "--upload-pack=x", "alpha"), "no commit id"),
    (BETA, Signal("1.2.0", "next", "beta"), "no version"),
    (BETA, Signal("1.2.0", "1.3.0rc1", "beta"), "prerelease"),
    (STABLE, Signal("1.2.0", "1.2.1rc1", "stable"), "prerelease"),
    (STABLE, Signal("1.2.0", "1.3.0", "stable"), "outside of 1.2"),
    (STABLE, Signal("1.2.0", "1.20.0", "stable"), "outside of 1.2"),
    (Rule(channel="beta", exact="1.1.0"), Signal("1.2.0", "1.3.0", "beta"), "pinned to 1.1.0"),
    (Rule(channel="beta", exact="c" * 40), Signal("1.2.0", "1.3.0", "beta", THERE), "pinned to cccc"),
]


@pytest.mark.parametrize(("rule", "signal", "why"), BAD)
def test_signal_that_does_not_fit_then_ignored_and_why(rule: Rule, signal: Signal, why: str) -> None:
    found = judge_signal(signal, rule, LIVE, {})
    assert found
    assert why in found.reason


@pytest.mark.parametrize("signal", [Signal("1.2.0", "1.3.0", "beta", THERE), Signal(HERE, THERE, "beta")])
def test_denied_commit_then_ignored(signal: Signal) -> None:
    """lessons.md L42."""
    found = judge_signal(signal, BETA, LIVE, {THERE: {"why": "it failed"}})
    assert found
    assert "denied" in found.reason


@given(st.binary(max_size=300))
def test_any_bytes_then_an_answer(text: bytes) -> None:
    assert isinstance(read_signal(text), Signal | Ignored)


@given(
    st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20), st.sampled_from([ALPHA, BETA, STABLE])
)
def test_any_words_then_a_verdict(available: str, current: str, rule: Rule) -> None:
    signal: Any = Signal(current, available, rule.channel)
    found = judge_signal(signal, rule, LIVE, {})
    assert found is None or found.reason
