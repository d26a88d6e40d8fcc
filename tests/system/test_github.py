"""GitHub's releases, asked of a server on this machine that speaks its API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from newleaf.core.errors import NewleafError
from newleaf.core.releases.git_errors import TokenUnreadable
from newleaf.core.releases.source_errors import ApiBroken, ApiDenied, ApiLimited, HttpFailed, TokenInClear
from newleaf.system import github as github_module
from newleaf.system.github import MAX_PAGES, Api, Github
from newleaf.system.http import HttpClient
from tests.support.github_server import GithubServer, github_api
from tests.support.http_server import Answer, serving

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def api() -> Iterator[GithubServer]:
    with github_api() as server:
        yield server


def client(api: GithubServer, token_file: Path | None = None, repository: str = "acme/sessions") -> Github:
    return Github(Api(api.url, repository, token_file), HttpClient(), lambda: NOW)


def tags(listing: Any) -> list[str]:
    return [release["tag"] for release in listing.releases]


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("ghp_canary0123456789\n")
    path.chmod(0o600)
    return path


# --- listing --------------------------------------------------------------------------


def test_releases_then_listed_without_drafts(api: GithubServer) -> None:
    api.publish("v1.0.0")
    api.publish("v1.1.0-rc.1", prerelease=True)
    listing = client(api).list_releases()
    assert tags(listing) == ["v1.1.0-rc.1", "v1.0.0"]
    assert listing.releases[0]["prerelease"] is True
    assert not listing.unchanged
    (asked,) = api.received
    assert asked.target == "/repos/acme/sessions/releases?per_page=100"
    assert asked.headers["accept"] == "application/vnd.github+json"
    assert asked.headers["x-github-api-version"]
    assert asked.headers["user-agent"] == "newleaf"


def test_draft_that_the_token_shows_then_left_out(api: GithubServer, token_file: Path) -> None:
    api.token = token_file.read_text().strip()
    api.publish("v1.0.0")
    api.publish("v2.0.0", draft=True)
    assert tags(client(api, token_file).list_releases()) == ["v1.0.0"]


def test_no_releases_then_empty(api: GithubServer) -> None:
    assert client(api).list_releases().releases == ()


def test_several_pages_then_all_of_them(api: GithubServer) -> None:
    api.page_size = 2
    for number in range(5):
        api.publish(f"v1.{number}.0")
    assert tags(client(api).list_releases()) == [f"v1.{number}.0" for number in range(4, -1, -1)]
    assert len(api.received) == 3


def test_pages_without_end_then_bounded(api: GithubServer) -> None:
    api.page_size = 1
    for number in range(MAX_PAGES + 5):
        api.publish(f"v1.{number}.0")
    assert len(client(api).list_releases().releases) == MAX_PAGES


def test_next_page_on_another_server_then_never_asked(api: GithubServer, token_file: Path) -> None:
    """threats.md T29: the token stays with the API."""
    with serving(lambda _: Answer(body=b"[]")) as other:
        api.instead.append(Answer(200, {"Link": f'<{other.url}/more>; rel="next"'}, b"[]"))
        with pytest.raises(ApiBroken, match="another server"):
            client(api, token_file).list_releases()
    assert other.received == []


# --- asking again ---------------------------------------------------------------------


def test_nothing_changed_then_304_and_the_same_releases_for_nothing(api: GithubServer) -> None:
    api.publish("v1.0.0")
    first = client(api).list_releases()
    again = client(api).list_releases(json.loads(json.dumps(first.record)))
    assert again.releases == first.releases
    assert again.unchanged
    assert api.counted == 1
    assert api.received[1].headers["if-none-match"].startswith('W/"')


def test_something_published_then_seen(api: GithubServer) -> None:
    api.publish("v1.0.0")
    first = client(api).list_releases()
    api.publish("v1.1.0")
    again = client(api).list_releases(first.record)
    assert tags(again) == ["v1.1.0", "v1.0.0"]
    assert not again.unchanged


def test_release_on_a_later_page_withdrawn_then_seen(api: GithubServer) -> None:
    api.page_size = 2
    for number in range(4):
        api.publish(f"v1.{number}.0")
    first = client(api).list_releases()
    del api.releases[3]
    again = client(api).list_releases(first.record)
    assert tags(again) == ["v1.3.0", "v1.2.0", "v1.1.0"]
    assert not again.unchanged


def test_pages_unchanged_then_each_is_304(api: GithubServer) -> None:
    api.page_size = 2
    for number in range(5):
        api.publish(f"v1.{number}.0")
    first = client(api).list_releases()
    again = client(api).list_releases(first.record)
    assert (again.releases, again.unchanged, api.counted) == (first.releases, True, 3)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"url": "http://elsewhere/", "pages": []},
        {"pages": "none"},
        {"pages": [{"url": 1}]},
        {"pages": [{"url": "x", "etag": 1, "next": None, "releases": []}]},
        {"pages": [{"url": "x", "etag": None, "next": None, "releases": [1]}]},
    ],
)
def test_record_is_not_ours_then_asked_anew(record: dict[str, Any], api: GithubServer) -> None:
    api.publish("v1.0.0")
    found = client(api).list_releases({"url": client(api).api.first_page, **record})
    assert tags(found) == ["v1.0.0"]
    assert "if-none-match" not in api.received[0].headers


def test_304_without_having_asked_for_it_then_broken(api: GithubServer) -> None:
    api.instead.append(Answer(304))
    with pytest.raises(ApiBroken, match="304"):
        client(api).list_releases()


def test_record_then_no_token_in_it(api: GithubServer, token_file: Path) -> None:
    """threats.md T29."""
    api.publish("v1.0.0")
    listing = client(api, token_file).list_releases()
    assert "canary" not in json.dumps(listing.record)


# --- being let in ---------------------------------------------------------------------


def test_private_repository_with_its_token_then_listed(api: GithubServer, token_file: Path) -> None:
    api.token = token_file.read_text().strip()
    api.publish("v1.0.0")
    assert tags(client(api, token_file).list_releases()) == ["v1.0.0"]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_not_let_in_then_error_that_says_what_to_do(status: int, api: GithubServer, token_file: Path) -> None:
    """threats.md T29: and without the token."""
    api.instead.append(Answer(status, body=b"canary"))
    with pytest.raises(ApiDenied) as caught:
        client(api, token_file).list_releases()
    assert "acme/sessions" in caught.value.message
    assert "source.token_file" in caught.value.advice
    assert "canary" not in caught.value.message + caught.value.advice


def test_token_readable_by_others_then_refused(api: GithubServer, token_file: Path) -> None:
    token_file.chmod(0o644)
    with pytest.raises(TokenUnreadable) as caught:
        client(api, token_file).list_releases()
    assert "canary" not in caught.value.message
    assert api.received == []


def test_token_with_a_line_break_inside_then_only_the_first_line_is_sent(
    api: GithubServer, token_file: Path
) -> None:
    token_file.write_text("ghp_first\nX-Injected: yes\n")
    client(api, token_file).list_releases()
    assert api.received[0].headers["authorization"] == "Bearer ghp_first"
    assert "x-injected" not in api.received[0].headers


def test_token_over_http_to_another_machine_then_refused(token_file: Path) -> None:
    """threats.md T29."""
    api = Api("http://git.example.org/api/v3", "acme/sessions", token_file)
    with pytest.raises(TokenInClear):
        Github(api, HttpClient(), lambda: NOW).list_releases()


def test_redirect_to_another_server_then_the_token_stays(api: GithubServer, token_file: Path) -> None:
    """threats.md T29."""
    with serving(lambda _: Answer(body=b"[]")) as other:
        api.instead.append(Answer(301, {"Location": f"{other.url}/x".replace("127.0.0.1", "localhost")}))
        # Another name for this machine is not the one that was configured.
        with pytest.raises(NewleafError):
            client(api, token_file).list_releases()
    assert other.received == []


def test_repository_renamed_then_followed_with_the_token(api: GithubServer, token_file: Path) -> None:
    api.token = token_file.read_text().strip()
    api.publish("v1.0.0")
    old = f"/repos/{api.repository}/releases?per_page=100"
    api.instead.append(Answer(301, {"Location": api.url + old}))
    assert tags(client(api, token_file, "acme/old-name").list_releases()) == ["v1.0.0"]


# --- limits ---------------------------------------------------------------------------

RESET = str(int((NOW + timedelta(minutes=20)).timestamp()))

WAITS = {
    "retry after seconds": (Answer(429, {"Retry-After": "90"}), 90),
    "retry after on 403": (Answer(403, {"Retry-After": "60"}), 60),
    "retry after a date": (Answer(503, {"Retry-After": "Fri, 20 Nov 2026 12:05:00 GMT"}), 300),
    "retry after nonsense": (Answer(503, {"Retry-After": "soon"}), 60),
    "limit reached": (Answer(403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": RESET}), 1200),
    "limit without a reset": (Answer(403, {"X-RateLimit-Remaining": "0"}), 60),
    "too many, and no more said": (Answer(429), 60),
    "a reset in the past": (Answer(429, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "5"}), 1),
    "for ever": (Answer(429, {"Retry-After": "999999999"}), 24 * 3600),
}


@pytest.mark.parametrize(("answer", "seconds"), WAITS.values(), ids=WAITS)
def test_limit_reached_then_until_when(answer: Answer, seconds: int, api: GithubServer) -> None:
    """lessons.md L44: the server's word on waiting is obeyed."""
    api.instead.append(answer)
    with pytest.raises(ApiLimited) as caught:
        client(api).list_releases()
    assert caught.value.facts["until"] == NOW + timedelta(seconds=seconds)


# --- bad answers ----------------------------------------------------------------------

BROKEN = {
    "not JSON": b"<html>",
    "half JSON": b'[{"tag_name": "v1',
    "no list": b'{"message": "hello"}',
    "strangers": b"[1, 2]",
    "nothing": b"",
    "deep": b"[" * 100_000,
    "not text": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_malformed_answer_then_broken(body: bytes, api: GithubServer) -> None:
    api.instead.append(Answer(200, body=body))
    with pytest.raises(ApiBroken, match="127"):
        client(api).list_releases()


@pytest.mark.parametrize("status", [204, 301, 418, 500, 502])
def test_other_status_then_broken(status: int, api: GithubServer) -> None:
    api.instead.append(Answer(status))
    with pytest.raises(ApiBroken, match=str(status)):
        client(api).list_releases()


def test_oversized_answer_then_failure(api: GithubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """threats.md T5."""
    monkeypatch.setattr(github_module, "MAX_PAGE_BYTES", 1000)
    api.publish("v1.0.0", body="x" * 1000)
    with pytest.raises(HttpFailed, match="1000 bytes"):
        client(api).list_releases()


def test_dripping_answer_then_failure_in_time(api: GithubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """threats.md T5."""
    monkeypatch.setattr(github_module, "CALL_SECONDS", 0.3)
    api.instead.append(Answer(body=b"[" + b" " * 1000 + b"]", drip_seconds=0.02))
    with pytest.raises(HttpFailed):
        client(api).list_releases()
