"""Which starts ended abnormally, and when that is a crash loop (lessons.md L32, L34)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newleaf.core.crashes import Start, Starts, allowed, judge

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
A, B = "a" * 40, "b" * 40


@dataclass
class Story:
    """Starts of a host, at seconds after noon; `limit` abnormal ends there may be."""

    limit: int = 2
    known: Starts = field(default_factory=Starts)

    def start(
        self, second: float, commit: str = A, *, confirmed: bool = False, asked: float | None = None
    ) -> float | None:
        """Asks for a start; until which second it must not happen, None when it may."""
        asked_at = None if asked is None else at(asked)
        self.known, until = judge(self.known, Start(commit, at(second), confirmed, asked_at), self.limit)
        return None if until is None else (until - NOON).total_seconds()

    @property
    def counted(self) -> int:
        return len(self.known.abnormal_ends)


def at(second: float) -> datetime:
    return NOON + timedelta(seconds=second)


def loop(limit: int = 2) -> Story:
    """A release that has just gone round too often."""
    story = Story(limit)
    assert [story.start(second) for second in range(limit + 1)] == [None] * (limit + 1)
    assert story.start(limit + 1) is not None
    return story


def test_the_first_start_counts_nothing() -> None:
    story = Story()
    assert story.start(0) is None
    assert story.counted == 0


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_one_abnormal_end_more_than_there_may_be_is_a_crash_loop(limit: int) -> None:
    """lessons.md L32: bounded attempts."""
    story = Story(limit)
    assert [story.start(second) for second in range(limit + 1)] == [None] * (limit + 1)
    assert story.counted == limit
    assert story.start(limit + 1) == 1 + 1800, "until the first end is out of the span"


def test_what_is_refused_is_no_start_and_counts_nothing_more() -> None:
    story = loop()
    known = story.known
    assert [story.start(second) for second in (4, 5, 600, 1800)] == [1801] * 4
    assert story.known == known


def test_when_the_span_is_over_it_is_tried_again_and_stopped_again() -> None:
    """lessons.md L34: more than N in M minutes, stop."""
    story = loop()
    tries = [second for second in range(1800, 3600) if story.start(second) is None]
    assert tries == [1801, 1802, 1803], "no more within the next span either"


def test_ends_that_are_further_apart_than_the_span_are_no_loop() -> None:
    story = Story()
    assert {story.start(second) for second in range(0, 20 * 901, 901)} == {None}
    assert story.counted == 2


def test_another_release_begins_anew() -> None:
    story = loop()
    assert story.start(10, B) is None
    assert story.counted == 0
    assert story.start(11, A) is None
    assert story.counted == 0


def test_a_confirmed_release_is_never_kept_from_starting() -> None:
    story = loop()
    assert {story.start(second, confirmed=True) for second in range(10, 60)} == {None}
    assert story.counted == 0


@pytest.mark.parametrize(("asked", "counted"), [(None, 1), (-1, 1), (0.2, 1), (0.5, 1), (0.6, 0), (5, 0)])
def test_a_restart_that_was_asked_for_since_the_start_is_no_abnormal_end(
    asked: float | None, counted: int
) -> None:
    """Since the start, and not in its second: that one brought the release."""
    story = Story()
    story.start(0.5)
    story.start(10, asked=asked)
    assert story.counted == counted


def test_one_word_excuses_one_end() -> None:
    story = Story()
    for second in range(3):
        story.start(second, asked=0.5)
    assert story.counted == 1


def test_a_clock_that_went_back_keeps_no_daemon_from_starting() -> None:
    story = loop()
    assert story.start(-86_400) is None
    assert story.counted == 0
    story.start(-86_399)
    assert story.counted == 1, "and from there it counts"


def test_allowed_by_a_person_it_starts_again_and_is_counted_anew() -> None:
    story = loop()
    story.known = story.known._replace(alarm="it ended")
    found = allowed(story.known, A[:7].upper())
    assert found == Starts(A, None, (), "it ended"), "the alarm is still to be taken back"
    story.known = found
    assert [story.start(second) for second in (4, 5, 6)] == [None] * 3
    assert story.start(7) is not None


@pytest.mark.parametrize("commit", ["", "aaaaaa", B, "A" * 41])
def test_only_the_counted_commit_can_be_allowed_by_seven_digits_at_least(commit: str) -> None:
    assert allowed(loop().known, commit) is None


def test_where_nothing_was_counted_nothing_can_be_allowed() -> None:
    story = Story()
    story.start(0)
    assert allowed(story.known, A) is None
    assert allowed(Starts(), A) is None


@given(
    st.lists(
        st.tuples(st.floats(0.01, 3600), st.sampled_from([A, A, A, B]), st.booleans(), st.booleans()),
        max_size=40,
    ),
    st.integers(1, 4),
)
def test_within_one_span_an_unconfirmed_release_starts_unasked_only_so_often(
    steps: list[tuple[float, str, bool, bool]], limit: int
) -> None:
    story, second, last = Story(limit), 0.0, ""
    begun: list[float] = []
    for gap, commit, is_asked, is_confirmed in steps:
        second += gap
        if commit != last or is_confirmed:
            begun = []
        last = commit
        until = story.start(second, commit, confirmed=is_confirmed, asked=second if is_asked else None)
        if until is None and not is_asked:
            begun.append(second)
        recent = [moment for moment in begun if moment > second - 1800]
        assert len(recent) <= limit + 2, "those that ended abnormally, the first, and one after an asked one"
        assert Starts.read(story.known.as_record()).commit == story.known.commit


def test_the_record_is_read_as_it_was_written() -> None:
    for known in (Starts(), loop().known._replace(alarm="it ended")):
        assert Starts.read({"schema": 1, **known.as_record(), "more": 1}) == known


GOOD = {"commit": A, "started": None, "abnormal_ends": ["2026-11-20T12:00:00Z"], "alarm": None}


@pytest.mark.parametrize(
    "change",
    [
        {"commit": 1},
        {"started": 1},
        {"started": "noon"},
        {"abnormal_ends": None},
        {"abnormal_ends": "noon"},
        {"abnormal_ends": [7]},
        {"abnormal_ends": ["0001-01-01T00:00:00+23:00"]},
        {"alarm": []},
    ],
    ids=str,
)
def test_a_record_that_no_newleaf_wrote_is_an_error(change: dict[str, object]) -> None:
    assert Starts.read(GOOD).commit == A
    with pytest.raises((TypeError, ValueError, OverflowError)):
        Starts.read({**GOOD, **change})


@pytest.mark.parametrize("key", ["commit", "started", "abnormal_ends"])
def test_a_record_that_misses_a_field_is_an_error(key: str) -> None:
    with pytest.raises(KeyError):
        Starts.read({name: value for name, value in GOOD.items() if name != key})
