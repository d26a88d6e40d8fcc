"""What a notice says, and when two say the same."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from newleaf.core.notice import MAX_TEXT_CHARACTERS, fingerprint, notice_body, notice_text
from newleaf.core.records import Status
from newleaf.core.release import CommitId, Release

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TARGET = Release(CommitId("b" * 40), "1.3.0")
FAILED = Status(
    "update_failed", NOW, "mini-1", "sessions", "beta", target=TARGET, error="git fetch failed (exit 128)"
)


def test_notice_then_a_sentence_for_chats_and_the_record_for_programs() -> None:
    body = notice_body(FAILED)
    assert body["text"] == body["content"]
    assert body["text"].startswith("sessions on mini-1 could not be updated to 1.3.0 (bbbbbbbbb): git fetch")
    assert body["newleaf"]["status"] == "update_failed"
    assert body["newleaf"]["target"]["commit"] == TARGET.commit


@pytest.mark.parametrize(
    "word",
    ["deployed", "update_failed", "rolled_back", "held", "stale", "inconsistent", "waiting", "checking"],
)
def test_every_word_then_a_sentence(word: str) -> None:
    for target in (TARGET, None):
        text = notice_text(FAILED._replace(status=word, target=target))
        assert "{" not in text
        assert "None" not in text


def test_secret_in_the_error_then_masked_in_text_and_record() -> None:
    """threats.md T29."""
    error = "fetching https://me:canary@git.example.org/x failed; token=canary"
    body = notice_body(FAILED._replace(error=error))
    assert "canary" not in str(body)
    assert "git.example.org" in body["text"]


def test_long_error_then_its_middle_is_cut() -> None:
    text = notice_text(FAILED._replace(error="begin " + "x" * 5000 + " end"))
    assert len(text) <= MAX_TEXT_CHARACTERS
    assert "begin" in text
    assert text.endswith(" end")


def test_same_failure_with_other_numbers_then_the_same() -> None:
    """lessons.md L5: 48 identical alarms a day differ in times, process ids and attempts."""
    error = "took longer than {} s, pid {}, lock since 2026-11-2{}T12:00:00Z, at {}"
    first = FAILED._replace(error=error.format(30.1, 71, 0, "abcdef0"), attempt="a1")
    again = FAILED._replace(error=error.format(31.7, 80123, 1, "1234567"), attempt="a2")
    assert fingerprint(first) == fingerprint(again)


@pytest.mark.parametrize(
    "other",
    [
        FAILED._replace(error="disk full"),
        FAILED._replace(target=Release(CommitId("c" * 40), "1.3.1")),
        FAILED._replace(target=None),
    ],
)
def test_another_failure_or_target_then_another(other: Status) -> None:
    assert fingerprint(other) != fingerprint(FAILED)
