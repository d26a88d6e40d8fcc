"""Outcomes posted to `notify.urls`: chat webhooks, or any HTTP.

Rules: an address is called only when it leads to the public internet, or to a host named in
`notify.allow_private`, redirects included (threats.md T28); an unchanged alarm is posted once, until
something else was posted (lessons.md L5); a post that fails is told in a line and fails nothing; all posts
of one outcome together have a few seconds; no message repeats an address, which is a secret (T29).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from newleaf.agent.watch_file import WatchFile
from newleaf.core.errors import NewleafError
from newleaf.core.notice import fingerprint, notice_body
from newleaf.core.records import Status
from newleaf.core.releases.source_errors import HttpFailed
from newleaf.system.http import HttpClient, HttpRequest, host_of

ALARMS = "alarms"
POST_SECONDS = 5.0
ALL_POSTS_SECONDS = 15.0
MAX_REDIRECTS = 3
MAX_ANSWER_BYTES = 64 * 1024
REFUSED_FORM = frozenset({400, 415, 422})


class Notices(Struct, frozen=True):
    """Posts for one host. `say` is given a line for each post that failed."""

    urls: tuple[str, ...]
    allowed_private: frozenset[str]
    http: HttpClient
    memory: WatchFile
    say: Callable[[str], None]

    def post(self, status: Status) -> None:
        """Posts an outcome everywhere, unless it was the last of its kind to be posted."""
        if not self.urls or not self._is_news(status):
            return
        body = notice_body(status)
        deadline = time.monotonic() + ALL_POSTS_SECONDS
        for url in self.urls:
            seconds = min(POST_SECONDS, deadline - time.monotonic())
            try:
                if seconds <= 0:
                    raise HttpFailed(
                        what="notify.urls", host=host_of(url), reason="was not called: no time left"
                    )
                self._post_to(url, body, seconds)
            except NewleafError as error:
                self.say(error.message)

    def _is_news(self, status: Status) -> bool:
        """Whether this differs from what was posted last under its word; remembered at once."""
        try:
            posted = self.memory.table(ALARMS)
            mark = fingerprint(status)
            if posted.get(status.status) == mark:
                return False
            # A success ends the alarms before it: the next one is news again.
            kept = {} if status.status == "deployed" else posted
            self.memory.change(**{ALARMS: {**kept, status.status: mark}})
        except NewleafError as error:
            self.say(error.message)
        return True

    def _post_to(self, url: str, body: Mapping[str, Any], seconds: float) -> None:
        status = self._call(url, body, seconds)
        if status in REFUSED_FORM:
            # Some chats refuse an object with keys that they do not know.
            status = self._call(url, {"text": body["text"]}, seconds)
        if not 200 <= status < 300:
            raise HttpFailed(what="notify.urls", host=host_of(url), reason=f"answers {status}")

    def _call(self, url: str, body: Mapping[str, Any], seconds: float) -> int:
        request = HttpRequest(
            url,
            "notify.urls",
            method="POST",
            headers={"Content-Type": "application/json"},
            body=json.dumps(body).encode(),
            timeout_seconds=seconds,
            max_body_bytes=MAX_ANSWER_BYTES,
            max_redirects=MAX_REDIRECTS,
            private_hosts=self.allowed_private,
        )
        return self.http.send(request).status
