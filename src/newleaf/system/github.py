"""GitHub's releases: https://docs.github.com/rest/releases, and what its API asks of clients.

Rules: every page is asked with the validator of last time, and an unchanged one comes from the
record of last time; pages are bounded, and stay on the API's own origin; what the API says about
waiting (Retry-After, the reset of its limit) is told with the error, and nothing is guessed instead. The
token is read anew for every call, goes to the API's origin alone, never in clear over a network, and
stands in no record, message or log (threats.md T29).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from newleaf.core.networks import private_kind
from newleaf.core.releases.hosting import Listing, keep_essentials
from newleaf.core.releases.source_errors import ApiBroken, ApiDenied, ApiLimited, TokenInClear
from newleaf.system.git.environment import read_token
from newleaf.system.http import HttpClient, HttpRequest, HttpResponse, host_of

API_VERSION = "2022-11-28"
PAGE_SIZE = 100
MAX_PAGES = 10
MAX_PAGE_BYTES = 16 * 1024 * 1024
CALL_SECONDS = 20.0
UNSAID_WAIT_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 24 * 3600.0

_NEXT = re.compile(r'<([^<>]*)>\s*;[^,]*\brel="?next"?')

Pages = list[dict[str, Any]]


@dataclass(frozen=True)
class Api:
    """Where the API is, which repository is meant, and what lets this host in."""

    url: str
    repository: str
    token_file: Path | None = None

    @property
    def host(self) -> str:
        return host_of(self.url)

    @property
    def first_page(self) -> str:
        return f"{self.url.rstrip('/')}/repos/{self.repository}/releases?per_page={PAGE_SIZE}"


@dataclass(frozen=True)
class Github:
    """Asks one repository's releases."""

    api: Api
    http: HttpClient
    now: Callable[[], datetime]

    def list_releases(self, record: Mapping[str, Any] | None = None) -> Listing:
        """All releases; `record` is the last listing's, for conditional requests.

        Raises: ApiLimited, ApiDenied, ApiBroken, TokenInClear, TokenUnreadable, HttpFailed, HttpTimedOut.
        """
        known = _known_pages(record, self.api.first_page)
        pages: Pages = []
        unchanged = True
        url: str | None = self.api.first_page
        while url and len(pages) < MAX_PAGES:
            page = self._page(url, known.get(url))
            unchanged = unchanged and page is known.get(url)
            pages.append(page)
            url = page["next"]
        releases = tuple(release for page in pages for release in page["releases"])
        return Listing(releases, {"url": self.api.first_page, "pages": pages}, unchanged)

    def _page(self, url: str, known: dict[str, Any] | None) -> dict[str, Any]:
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": API_VERSION}
        if known and known["etag"]:
            headers["If-None-Match"] = known["etag"]
        response = self._call(url, headers | self._authorization())
        if response.status == 304 and known:
            return known
        if response.status != 200:
            raise self._refusal(response)
        return {
            "url": url,
            "etag": response.headers.get("etag"),
            "releases": keep_essentials(self._documents(response)),
            "next": self._next(response),
        }

    def _call(self, url: str, headers: dict[str, str]) -> HttpResponse:
        return self.http.send(
            HttpRequest(
                url,
                "GitHub's API",
                headers=headers,
                timeout_seconds=CALL_SECONDS,
                max_body_bytes=MAX_PAGE_BYTES,
                # A repository that was renamed redirects.
                max_redirects=2,
                # The address is the host's own setting, and such a server may live inside.
                private_hosts=frozenset({self.api.host}),
            )
        )

    def _authorization(self) -> dict[str, str]:
        if self.api.token_file is None:
            return {}
        if urlsplit(self.api.url).scheme != "https" and not _is_this_machine(self.api.host):
            raise TokenInClear(host=self.api.host)
        return {"Authorization": f"Bearer {read_token(self.api.token_file)}"}

    def _documents(self, response: HttpResponse) -> list[dict[str, Any]]:
        try:
            found = json.loads(response.body)
        except (ValueError, RecursionError) as error:
            raise self._broken("does not answer in JSON") from error
        if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
            raise self._broken("does not answer with a list of releases")
        return found

    def _next(self, response: HttpResponse) -> str | None:
        found = _NEXT.search(response.headers.get("link", ""))
        if not found:
            return None
        own, other = urlsplit(self.api.url), urlsplit(found[1])
        if (own.scheme, own.netloc) != (other.scheme, other.netloc):
            raise self._broken("points to another server for its next page")
        return found[1]

    def _refusal(self, response: HttpResponse) -> ApiLimited | ApiDenied | ApiBroken:
        now = self.now()
        wait = _wait_seconds(response, now)
        if wait is not None:
            until = now + timedelta(seconds=min(max(wait, 1.0), LONGEST_WAIT_SECONDS))
            return ApiLimited(host=self.api.host, status=response.status, until=until)
        if response.status in {401, 403, 404}:
            return ApiDenied(host=self.api.host, repository=self.api.repository, status=response.status)
        return self._broken(f"answers {response.status}")

    def _broken(self, reason: str) -> ApiBroken:
        return ApiBroken(host=self.api.host, reason=reason)


def _known_pages(record: Mapping[str, Any] | None, first_page: str) -> dict[str, dict[str, Any]]:
    """The pages of a record, by their address; none when it is not about this listing, or not ours."""
    if not record or record.get("url") != first_page or not isinstance(record.get("pages"), list):
        return {}
    pages = [page for page in record["pages"] if _is_page(page)]
    return {page["url"]: page for page in pages} if len(pages) == len(record["pages"]) else {}


def _is_page(page: object) -> bool:
    if not isinstance(page, dict) or not isinstance(page.get("url"), str):
        return False
    texts = all(isinstance(page.get(name), str | None) for name in ("etag", "next"))
    releases = page.get("releases")
    return texts and isinstance(releases, list) and all(isinstance(entry, dict) for entry in releases)


def _wait_seconds(response: HttpResponse, now: datetime) -> float | None:
    """How long the API asks to wait; None when its refusal is not about how often it is asked."""
    if response.status not in {403, 429, 500, 502, 503, 504}:
        return None
    after = response.headers.get("retry-after", "")
    if after:
        return _seconds_until(after, now)
    if response.status in {403, 429} and response.headers.get("x-ratelimit-remaining") == "0":
        reset = response.headers.get("x-ratelimit-reset", "")
        return int(reset) - now.timestamp() if _is_number(reset) else UNSAID_WAIT_SECONDS
    return UNSAID_WAIT_SECONDS if response.status == 429 else None


def _seconds_until(after: str, now: datetime) -> float:
    """Retry-After: a number of seconds, or a date (RFC 9110)."""
    if _is_number(after):
        return float(after)
    try:
        moment = parsedate_to_datetime(after)
    except ValueError:
        return UNSAID_WAIT_SECONDS
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 12


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or private_kind(host) == "loopback"
    except ValueError:
        return False
