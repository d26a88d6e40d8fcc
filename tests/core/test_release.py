"""A release, as people and records know it."""

from __future__ import annotations

import pytest

from newleaf.core.release import Release
from tests.support.simulated_host import commit_of, release_of


def test_a_release_is_named_by_version_and_short_commit() -> None:
    assert release_of("a", "1.2.0").name == "1.2.0 (aaaaaaaaa)"
    assert release_of("a").name == "aaaaaaaaa"


def test_a_release_survives_the_way_to_a_record_and_back() -> None:
    release = Release(commit_of("a"), "1.2.0", "v1.2.0")
    assert Release.read(release.as_record()) == release


COMMIT = commit_of("a")


@pytest.mark.parametrize(
    "record",
    [
        None,
        "text",
        [],
        {},
        {"commit": None},
        {"version": "1.0.0"},
        {"commit": "--upload-pack=touch x"},
        {"commit": COMMIT[:12]},
        {"commit": COMMIT + "\n"},
        {"commit": COMMIT, "version": 1.2},
        {"commit": COMMIT, "tag": ["v1.0.0"]},
    ],
)
def test_what_names_no_commit_is_no_release(record: object) -> None:
    assert Release.read(record) is None
