"""Where a remote is hosted, and what GitHub says of its releases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newleaf.core.releases.hosting import (
    GITHUB_API,
    GITHUB_HOSTS,
    Hosted,
    keep_essentials,
    read_hosted,
    read_releases,
    reads_github,
)

ON_GITHUB = [
    "https://github.com/acme/sessions",
    "https://github.com/acme/sessions.git",
    "https://github.com/acme/sessions/",
    "https://GitHub.com/acme/sessions",
    "https://github.com:443/acme/sessions.git",
    "ssh://git@github.com/acme/sessions.git",
    "ssh://git@ssh.github.com:443/acme/sessions.git",
    "git@github.com:acme/sessions.git",
    "github.com:acme/sessions",
]
ELSEWHERE = [
    "https://git.example.org/acme/sessions.git",
    "https://example.org/github.com/acme/sessions",
    "https://notgithub.com/acme/sessions",
    "https://github.com.example.org/acme/sessions",
    "git@example.org:acme/sessions",
    "file:///srv/acme/sessions.git",
    "/srv/acme/sessions.git",
]
NOWHERE = ["", "/", "sessions", "https://github.com", "https://github.com/acme", "git@github.com:sessions"]


@pytest.mark.parametrize("url", ON_GITHUB)
def test_address_on_github_then_owner_and_name(url: str) -> None:
    hosted = read_hosted(url)
    assert hosted
    assert hosted.host in GITHUB_HOSTS
    assert hosted.path == "acme/sessions"
    assert reads_github("auto", url, GITHUB_API)


@pytest.mark.parametrize("url", ELSEWHERE)
def test_address_elsewhere_then_tags_unless_there_is_an_own_api(url: str) -> None:
    hosted = read_hosted(url)
    assert hosted
    assert not hosted.is_on_github
    assert hosted.path == "acme/sessions"
    assert not reads_github("auto", url, GITHUB_API)
    assert not reads_github("auto", url, GITHUB_API + "/")
    assert reads_github("auto", url, "https://git.example.org/api/v3")


@pytest.mark.parametrize("url", NOWHERE)
def test_address_without_owner_and_name_then_none(url: str) -> None:
    assert read_hosted(url) is None
    assert not reads_github("auto", url, "https://git.example.org/api/v3")


@pytest.mark.parametrize(
    "url", ["https://github.com/../sessions", "https://github.com/acme/a?b", "/srv/a b/c d"]
)
def test_address_with_parts_that_no_repository_has_then_none(url: str) -> None:
    assert read_hosted(url) is None


@pytest.mark.parametrize(("setting", "expected"), [("tags", False), ("github", True)])
def test_setting_says_so_then_whatever_the_address(setting: str, expected: bool) -> None:
    for url in [*ON_GITHUB, *ELSEWHERE, *NOWHERE]:
        assert reads_github(setting, url, GITHUB_API) is expected


def test_releases_then_drafts_and_strangers_left_out() -> None:
    documents: list[dict[str, Any]] = [
        {"tag_name": "v1.0", "draft": False, "prerelease": False, "published_at": "2026-11-20T12:00:00Z"},
        {"tag_name": "v1.1", "draft": True},
        {"tag_name": None},
        {"name": "no tag"},
        {"tag_name": "v1.2", "prerelease": "yes", "body": "x" * 1000},
    ]
    assert keep_essentials(documents) == [
        {"tag": "v1.0", "prerelease": False, "published_at": "2026-11-20T12:00:00Z"},
        {"tag": "v1.2", "prerelease": False, "published_at": None},
    ]


def test_releases_then_versions_flags_and_times() -> None:
    essentials: list[dict[str, Any]] = [
        {"tag": "v1.2.0", "prerelease": False, "published_at": "2026-11-20T12:00:00Z"},
        {"tag": "v1.3.0-rc.1", "prerelease": False, "published_at": "yesterday"},
        {"tag": "v1.3.0", "prerelease": True, "published_at": "2026-11-20T12:00:00"},
        {"tag": "nightly", "prerelease": False},
        {"tag": None},
        {},
    ]
    found = read_releases(essentials, "v")
    assert [(str(p.version), p.prerelease) for p in found] == [
        ("1.2.0", False),
        ("1.3.0rc1", True),
        ("1.3.0", True),
    ]
    assert found[0].published_at == datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert found[1].published_at is None
    assert found[2].published_at is None
    assert all(p.commit is None for p in found)


@given(st.text(max_size=60))
def test_any_address_then_an_answer(url: str) -> None:
    hosted = read_hosted(url)
    assert hosted is None or isinstance(hosted, Hosted)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["tag_name", "tag", "draft", "prerelease"]), st.text(max_size=5))
    )
)
def test_any_documents_then_no_exception(documents: list[dict[str, str]]) -> None:
    read_releases(keep_essentials(documents), "v")
    read_releases(documents, "")
