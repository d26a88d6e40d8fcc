"""A server on this machine that lists releases as GitHub's API does: pages, validators, limits."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.http_server import Answer, LocalServer, Received, serving


@dataclass
class GithubServer:
    """One repository's releases, newest first. What a test sets here is what is answered next."""

    repository: str = "acme/sessions"
    token: str | None = None
    releases: list[dict[str, Any]] = field(default_factory=list)
    page_size: int = 100
    instead: list[Answer] = field(default_factory=list)
    """Answers to give first, in order, whatever is asked."""
    counted: int = 0
    """Answers that count against the limit: all but 304."""
    server: LocalServer | None = None

    @property
    def url(self) -> str:
        assert self.server
        return self.server.url

    @property
    def received(self) -> list[Received]:
        assert self.server
        return self.server.received

    def publish(self, tag: str, **fields: Any) -> None:
        """Publishes a release; `draft=True` and `prerelease=True` as on GitHub."""
        document = {
            "tag_name": tag,
            "name": f"Release {tag}",
            "draft": False,
            "prerelease": False,
            "published_at": "2026-11-20T12:00:00Z",
            "target_commitish": "main",
            "body": "What is new.",
            "assets": [],
        }
        self.releases.insert(0, {**document, **fields})

    def answer(self, request: Received) -> Answer:
        if self.instead:
            return self.instead.pop(0)
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            # A private repository does not exist for those who may not see it.
            return self._said(404, {"message": "Not Found"})
        url = urlsplit(request.target)
        if url.path != f"/repos/{self.repository}/releases":
            return self._said(404, {"message": "Not Found"})
        query = parse_qs(url.query)
        size = min(int(query.get("per_page", ["30"])[0]), self.page_size)
        return self._page(request, int(query.get("page", ["1"])[0]), size)

    def _page(self, request: Received, number: int, size: int) -> Answer:
        seen = [release for release in self.releases if self.token or not release["draft"]]
        shown = seen[(number - 1) * size : number * size]
        text = json.dumps(shown).encode()
        etag = f'W/"{hashlib.sha256(text).hexdigest()}"'
        headers = {"ETag": etag, "X-RateLimit-Remaining": "59"}
        if number * size < len(seen):
            path = f"{self.url}/repos/{self.repository}/releases?per_page={size}&page="
            headers["Link"] = f'<{path}{number + 1}>; rel="next", <{path}99>; rel="last"'
        if request.headers.get("if-none-match") == etag:
            return Answer(304, headers)
        self.counted += 1
        return Answer(200, headers | {"Content-Type": "application/json"}, text)

    def _said(self, status: int, document: dict[str, Any]) -> Answer:
        return Answer(status, {"Content-Type": "application/json"}, json.dumps(document).encode())


@contextlib.contextmanager
def github_api(**fields: Any) -> Iterator[GithubServer]:
    """Serves the API until the block ends."""
    api = GithubServer(**fields)
    with serving(api.answer) as server:
        api.server = server
        yield api
